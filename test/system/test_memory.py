"""Memory that runs out while the node is configured, and shared memory that is too small."""

import re
import resource
import shutil
import subprocess
from pathlib import Path

import pytest
from lifecycle_msgs.msg import State, Transition

from system.harness import change_state, set_parameter, state

pytestmark = pytest.mark.system


def test_memory_that_runs_out_leaves_the_node_unconfigured_and_free(world, start_node):
    node = start_node(autostart=False, model="lite", extrinsics_source="tf")
    world.spin_until(lambda: "unconfigured" in world.message("pipeline"))
    num_readers = world.count_subscribers("/tf_static")
    virtual_kib = int(re.search(r"VmSize:\s*(\d+)", Path(f"/proc/{node.process.pid}/status").read_text())[1])
    resource.prlimit(node.process.pid, resource.RLIMIT_AS, ((virtual_kib << 10) + (100 << 20), resource.RLIM_INFINITY))
    for _ in range(2):
        assert not change_state(world, Transition.TRANSITION_CONFIGURE)
        assert state(world) == State.PRIMARY_STATE_UNCONFIGURED
        world.spin_until(lambda: world.count_subscribers("/tf_static") == num_readers)
    world.spin_until(lambda: "cannot configure" in world.message("pipeline"))
    assert re.search("memory|alloc", world.message("pipeline"), re.IGNORECASE)
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(node.process.pid, resource.RLIMIT_AS, unlimited)
    assert set_parameter(world, "model", "dummy").successful
    assert change_state(world, Transition.TRANSITION_CONFIGURE)
    assert node.stop() == 0


def test_shared_memory_that_is_too_small_is_named(world, start_node, tmp_path):
    small = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=20m tmpfs /dev/shm && exec "$0" "$@"']
    if shutil.which("unshare") is None or subprocess.run([*small, "true"], capture_output=True).returncode:
        pytest.skip("needs the right to mount: a /dev/shm of 20 MiB for the node alone")
    node = start_node(prefix=small)
    # In its log: without shared memory in common, this process may not hear it.
    world.spin_until(lambda: "shared memory: /dev/shm has" in node.log)
    assert "instead of the 32 of config/fastdds.xml" in node.log
