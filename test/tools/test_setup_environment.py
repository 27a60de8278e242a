"""The platform is judged before anything is downloaded."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[2] / "tools" / "setup_environment.py"
spec = importlib.util.spec_from_file_location("setup_environment", PATH)
setup_environment = importlib.util.module_from_spec(spec)
spec.loader.exec_module(setup_environment)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("platform", "machine", lambda: "aarch64"), "x86_64.*aarch64"),
        (("platform", "python_implementation", lambda: "PyPy"), "PyPy"),
        (("platform", "libc_ver", lambda: ("glibc", "2.27")), r"glibc 2\.28.*2\.27"),
        (("platform", "libc_ver", lambda: ("", "")), "another C library"),
        (("sys", "version_info", (3, 9, 18)), r"3\.10 to 3\.14"),
    ],
)
def test_unsupported_platforms_are_named_with_what_is_needed(monkeypatch, change, reason):
    module, name, value = change
    monkeypatch.setattr(getattr(setup_environment, module), name, value)
    with pytest.raises(setup_environment.SetupError, match=reason):
        setup_environment.check_platform()


def test_what_the_system_lacks_is_named_with_one_command_where_we_are_not_root(monkeypatch):
    monkeypatch.setattr(setup_environment.shutil, "which", lambda name: None)
    monkeypatch.setattr(setup_environment.os, "geteuid", lambda: 1000)
    with pytest.raises(setup_environment.SetupError, match="lacks g.*sudo apt-get install -y"):
        setup_environment.install_system_packages()


def test_a_failed_step_is_named_with_its_remedy():
    with pytest.raises(setup_environment.SetupError, match="step 'try' failed with status 1.*\n.*do this"):
        setup_environment.run("try", ["false"], "do this")


def test_a_step_that_is_silent_for_minutes_says_so_before(capfd):
    setup_environment.run("try", ["true"], "", note=": four minutes without a word")
    assert capfd.readouterr().out == "== try: four minutes without a word\n"


def test_the_installation_says_how_long_it_is_silent(monkeypatch, tmp_path):
    told = {}
    monkeypatch.setattr(setup_environment, "run", lambda step, *arguments, note="": told.update({step: note}))
    for name in ("check_platform", "install_system_packages"):
        monkeypatch.setattr(setup_environment, name, lambda: None)
    monkeypatch.setattr(setup_environment, "finish_ros_wheels", lambda *arguments: None)
    monkeypatch.setattr("sys.argv", ["setup_environment.py", str(tmp_path)])
    assert setup_environment.main() == 0
    assert "minutes" in told["install the Python packages"]


def test_second_environment_is_made_by_uv_of_the_first(monkeypatch, tmp_path):
    monkeypatch.setattr(setup_environment, "ROOT", tmp_path)
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels")
    first, second = tmp_path / ".venv", tmp_path / ".venv-jazzy"
    assert setup_environment.installer(second) == [f"{second}/bin/pip", "install"]
    uv = first / "bin" / "uv"
    uv.parent.mkdir(parents=True)
    uv.touch()
    assert setup_environment.installer(first) == [f"{first}/bin/pip", "install"]
    python = f"{second}/bin/python"
    assert setup_environment.installer(second) == [str(uv), "pip", "install", "--python", python, "-f/wheels"]


def test_every_distribution_has_its_list_of_wheels():
    for distribution in setup_environment.DISTRIBUTIONS:
        assert "ros-rclpy==" in (PATH.parents[1] / f"requirements-{distribution}.txt").read_text()
