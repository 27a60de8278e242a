"""Whenever a signal comes, the node ends with status 0 and without a traceback, and leaves nothing in shared memory."""

import os
import re
import resource
import signal
from pathlib import Path

import pytest

from scanssc_ros.shared_memory import FOLDER
from system.harness import set_parameter

pytestmark = pytest.mark.system

SIGNALS = [signal.SIGINT, signal.SIGTERM]
IDS = ["SIGINT", "SIGTERM"]


def blocks_signals(node):
    """Whether the process has come to hold signals back: the first thing its program does."""
    mask = re.search(r"SigBlk:\s*(\w+)", Path(f"/proc/{node.process.pid}/status").read_text())
    return bool(int(mask[1], 16) >> (signal.SIGTERM - 1) & 1)


def segments(node):
    """Its own files in shared memory, by the locks that it holds; it opens and maps those of others, too."""
    entries = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    held = {int(entry[5].rpartition(":")[2]) for entry in entries if entry[4] == str(node.process.pid)}
    locks = [path for path in FOLDER.iterdir() if re.fullmatch(r"fast\w+_[0-9a-f]{16}_el", path.name)]
    locks = [path for path in locks if path.stat().st_ino in held]
    return [*locks, *(lock.with_name(lock.name.removesuffix("_el")) for lock in locks)]


def children_s():
    """Processor time of the child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def assert_ended_cleanly(node, status):
    assert status == 0
    for word in ("Traceback", "KeyboardInterrupt", "failed", "terminate"):
        assert word not in node.log


@pytest.mark.parametrize("with_signal", SIGNALS, ids=IDS)
def test_signal_while_modules_are_imported(world, start_node, with_signal):
    node = start_node()
    world.spin_until(lambda: blocks_signals(node))
    world.spin_for(0.2)
    assert_ended_cleanly(node, node.stop(with_signal))
    assert node.log == ""


@pytest.mark.parametrize("with_signal", SIGNALS, ids=IDS)
def test_signal_while_the_model_is_built(world, start_node, with_signal):
    node = start_node(model="lite")
    world.spin_until(lambda: "configuring: model lite" in node.log)
    files = segments(node)
    assert_ended_cleanly(node, node.stop(with_signal))
    assert "configured on" not in node.log
    assert files and not any(path.exists() for path in files)


@pytest.mark.parametrize("with_signal", SIGNALS, ids=IDS)
def test_signals_while_images_flow_and_a_second_one_while_it_ends(world, start_node, with_signal):
    node = start_node(dummy_latency_s=0.05)
    world.wait_for_node(node)
    files = segments(node)
    stamp_ns = world.publish_pair()
    world.wait_for_grid(stamp_ns)
    for _ in range(10):
        world.publish_pair()
    node.process.send_signal(with_signal)
    world.publish_pair()
    assert_ended_cleanly(node, node.stop(signal.SIGINT))
    assert files and not any(path.exists() for path in files)


def test_signal_does_not_wait_for_a_model_that_hangs(world, start_node):
    node = start_node(dummy_latency_s=60.0, max_age_s=600.0)
    world.wait_for_node(node)
    world.publish_pair()
    world.spin_until(lambda: world.value("pipeline", "stage") == "occupancy")
    files = segments(node)
    assert_ended_cleanly(node, node.stop())
    assert files and not any(path.exists() for path in files)


def test_what_a_killed_node_left_is_freed_by_the_next_one(world, start_node):
    killed = start_node()
    world.wait_for_node(killed)
    world.spin_for(2.0)  # locks younger than this are left alone
    files = segments(killed)
    killed.process.kill()
    killed.process.wait()
    assert files and all(path.exists() for path in files)
    node = start_node()
    world.spin_until(lambda: "of shared memory of killed programs were freed" in node.log)
    assert not [path for path in files if path.exists()]
    world.statuses.clear()  # the killed node's last message may have come late
    world.spin_until(lambda: "pipeline" in world.statuses)
    assert set_parameter(world, "max_age_s", 3.0).successful


def test_end_costs_next_to_no_processor_time(world, start_node):
    """Where twenty programs share a core, half a second of it is ten, and the interpreter takes more."""
    node = start_node()
    world.wait_for_node(node)
    ended_s = children_s()
    running_s = sum(map(int, Path(f"/proc/{node.process.pid}/stat").read_text().split()[13:15])) / os.sysconf(
        "SC_CLK_TCK"
    )
    assert_ended_cleanly(node, node.stop())
    assert children_s() - ended_s - running_s < 0.3
