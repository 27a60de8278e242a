# Two commands do everything on a bare machine: `make demo` and `make test`; a third what needs a GPU.
#   make demo [BAG=path] [DEMO_ARGS=...]   environment, build, node, replayed bag, picture in demo/
#   make test [ROS=jazzy] [TESTS=...]      lint, types, unit and system tests; on another distribution those with nodes
#   make build [ROS=jazzy]                 only the environment and the package
#   make gpu                               tests, benchmark and a short training on a GPU -> docs/benchmarks/cuda.md
#   make docs                              the site, in build/site
#   make docs-check                        the commands of the tutorials, run

SHELL := /bin/bash
PYTHON ?= python3
# The distribution of ROS 2. Each has an environment and a build of its own.
ROS ?= kilted
SUFFIX := $(if $(filter-out kilted,$(ROS)),-$(ROS))
VENV := .venv$(SUFFIX)
COLCON := .colcon$(SUFFIX)
BAG ?=
DEMO_ARGS ?=
TEST_PROCESSES ?= 2

# Another distribution that the shell was set up for must not mix in.
unexport AMENT_PREFIX_PATH COLCON_PREFIX_PATH CMAKE_PREFIX_PATH PYTHONPATH LD_LIBRARY_PATH ROS_DISTRO
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE

ENVIRONMENT := $(VENV)/.ready
INSTALL := $(COLCON)/.built
SOURCE_LIST := $(COLCON)/.sources
# Files of tests run side by side, the longest first; those with nodes after the others, each process in a DDS domain of
# its own. Alone run those of what killed nodes leave in shared memory: every node that starts removes it.
TESTS_ALONE := test/system/test_signals.py
TESTS_WITH_NODES := $(filter-out $(TESTS_ALONE),$(wildcard test/system/test_*.py) $(wildcard test/ros/*/ test/ros/test_*.py))
TESTS_WITHOUT_NODES := test/packaging/ $(filter-out test/packaging/ test/ros/ test/system/,$(wildcard test/*/ test/test_*.py))
SOURCES := package.xml CMakeLists.txt $(shell find scanssc_ros scanssc_core launch config msg srv tools/tf2_msgs -type f \
	-not -name '*.pyc')

# What a shell needs to run the installed package.
define IN_ROS
source $(VENV)/bin/activate && source $(COLCON)/install/setup.bash && \
export $$(python -c 'from scanssc_ros.distribution import *; print(profile_variable())')=$(CURDIR)/config/fastdds.xml \
	ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST &&
endef

.PHONY: demo test gpu docs docs-check build clean always
.DEFAULT_GOAL := build

build: $(INSTALL)

demo: $(INSTALL)
	@$(IN_ROS) $(COLCON)/install/scanssc_ros/lib/scanssc_ros/demo $(if $(BAG),--bag "$(BAG)") $(DEMO_ARGS)

ifdef TESTS
test: $(INSTALL)
	@$(IN_ROS) pytest $(TESTS)
else
test: $(INSTALL)
ifeq ($(ROS),kilted)
	@$(IN_ROS) ruff check . && ruff format --check . && mypy
	@$(IN_ROS) OMP_NUM_THREADS=1 pytest -n $(TEST_PROCESSES) --dist loadfile $(TESTS_WITHOUT_NODES)
endif
	@$(IN_ROS) pytest -n $(TEST_PROCESSES) --dist loadfile $(TESTS_WITH_NODES)
	@$(IN_ROS) pytest $(TESTS_ALONE)
endif

gpu: $(INSTALL)
	@$(IN_ROS) python benchmarks/cuda.py

docs: $(INSTALL)
	@$(IN_ROS) sphinx-build -q -W --keep-going -d build/site/.doctrees docs build/site && echo "build/site/index.html"

docs-check: $(INSTALL)
	@$(IN_ROS) python tools/run_docs.py docs/tutorials/*.md

$(ENVIRONMENT): pyproject.toml constraints.txt requirements-$(ROS).txt tools/setup_environment.py
	@$(PYTHON) tools/setup_environment.py $(VENV) --ros $(ROS)
	@touch $@

# An installed module stays when its source is moved or deleted: another set of sources starts an empty install folder.
$(SOURCE_LIST): always
	@mkdir -p $(COLCON) && printf '%s\n' $(sort $(SOURCES)) > $@.new
	@cmp -s $@.new $@ && rm $@.new || { rm -rf $(COLCON)/install && mv $@.new $@; }

$(INSTALL): $(ENVIRONMENT) $(SOURCES) $(SOURCE_LIST)
	@echo "== build the ROS package"
	@source $(VENV)/bin/activate && colcon --log-base $(COLCON)/log build --base-paths . tools/tf2_msgs \
		--build-base $(COLCON)/build --install-base $(COLCON)/install --event-handlers console_direct- \
		--cmake-args -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF \
		|| { echo "error: step 'build the ROS package' failed: see $(COLCON)/log/latest_build" >&2; exit 1; }
	@touch $@

clean:
	rm -rf .venv .venv-* .colcon .colcon-* demo build docs/reference *.egg-info
