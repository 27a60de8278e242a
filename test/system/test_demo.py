import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from core.sources.small_bags import SmallBag
from system.harness import DEADLINE_S, executable

pytestmark = pytest.mark.system

WIDTH, HEIGHT = 320, 96
NAMES = ("scanssc_node", "bag_player")


@pytest.fixture(scope="module")
def long_bag(tmp_path_factory):
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
    bag = SmallBag().rig(size=(WIDTH, HEIGHT), Tx=-5.0).pairs(num_pairs=600, pixels=pixels)
    return bag.write(tmp_path_factory.mktemp("bags") / "long")


def children_of(pid: int) -> dict[str, int]:
    """Running child processes by the name of their program."""
    pids = (int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split())
    return {name: child for child in pids if (name := program_of(child))}


def program_of(pid: int) -> str:
    """Name of the program that a process runs; empty where there is none, or only its exit status is left."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except FileNotFoundError:
        return ""
    return next((name for argument in arguments if (name := Path(argument.decode()).name) in NAMES), "")


def wait_until(condition) -> None:
    end_s = time.monotonic() + 2 * DEADLINE_S  # two programs start within it, one after the other
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.05)


@pytest.fixture
def demo(long_bag, tmp_path):
    """The demonstration in the midst of the replay, and its children."""
    with (tmp_path / "demo.log").open("w") as log:
        process = subprocess.Popen(
            [executable("demo"), "--bag", long_bag, "--out", tmp_path / "out", "-p", "model:=stereo"],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    children: dict[str, int] = {}

    def is_replaying() -> bool:
        children.update(children_of(process.pid))
        return len(children) == len(NAMES)

    try:
        wait_until(is_replaying)
        yield process, children, tmp_path / "demo.log"
    finally:
        process.kill()
        process.wait()
        print((tmp_path / "demo.log").read_text())


def test_demo_whose_node_dies_fails_and_ends_the_player(demo):
    process, children, log = demo
    subprocess.run(["kill", "-KILL", str(children["scanssc_node"])], check=True)
    assert process.wait(DEADLINE_S) == 1
    assert program_of(children["bag_player"]) == ""
    assert "step 'replay the bag' failed: the node ended with status -9" in " ".join(log.read_text().split())


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_demo_that_is_ended_takes_node_and_player_with_it(demo, ending):
    process, children, log = demo
    process.send_signal(ending)
    assert process.wait(DEADLINE_S) == (-signal.SIGKILL if ending == signal.SIGKILL else 1)
    wait_until(lambda: not any(program_of(pid) for pid in children.values()))
    assert "Traceback" not in log.read_text()
