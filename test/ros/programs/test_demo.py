import io
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import UNKNOWN
from scanssc_core.sources.bag_writer import RECORDING_DAY_NS
from scanssc_core.sources.stereo_topics import StereoTopics
from scanssc_core.synthetic.scene import wall_scene
from scanssc_core.synthetic.sequence import SyntheticSequence
from scanssc_ros.programs import demo
from scanssc_ros.programs.demo import DemoError, Waiting, node_command, truth_at

STAMP = "[INFO] [1700000000.123456789] [scanssc]: "


@pytest.fixture
def waiting(tmp_path, monkeypatch):
    """Waits for a node that lives until its status is set; every spin takes ten seconds. What it says is `printed`."""
    clock = SimpleNamespace(now_s=0.0)

    def spin_once(recorder, timeout_sec):
        clock.now_s += 10.0

    monkeypatch.setattr(demo.rclpy, "spin_once", spin_once)
    monkeypatch.setattr(demo.time, "monotonic", lambda: clock.now_s)
    log_file = tmp_path / "node.log"
    log_file.write_text(f"{STAMP}configuring: model lite, depth by sgm\n")
    node = SimpleNamespace(poll=lambda: made.status, returncode=1)
    made = Waiting(None, node, log_file, Console(file=io.StringIO(), width=40))
    made.status, made.clock, made.log_file = None, clock, log_file
    made.printed = lambda: made._console.file.getvalue().splitlines()
    return made


def test_a_node_that_lives_is_waited_for_and_that_is_said_with_what_it_does(waiting):
    waiting.until("start the node", lambda: waiting.clock.now_s >= 300.0)
    begin = "start the node: still waiting after "
    waits_s = [int(line.removeprefix(begin).split()[0]) for line in waiting.printed()]
    assert waits_s == [20, 40, 70, 130, 250]
    assert all(
        line.endswith(f"{waiting.log_file}: configuring: model lite, depth by sgm") for line in waiting.printed()
    )


def test_what_is_done_soon_is_done_without_a_word(waiting):
    waiting.until("start the node", lambda: waiting.clock.now_s >= 10.0)
    assert waiting.printed() == []


def test_patience_ends_after_minutes_with_what_to_do(waiting):
    with pytest.raises(DemoError, match=r"'start the node' failed: not done after 15 minutes, .*DEMO_ARGS='-p model:"):
        waiting.until("start the node", lambda: False)


def test_the_end_of_the_node_is_told_with_what_it_said_last(waiting):
    waiting.status = 1
    waiting.log_file.write_text(f"{STAMP}cannot configure, 1 problem(s):\n  - device: cuda was asked for\n\n")
    with pytest.raises(DemoError, match="ended with status 1, the newest line of .*node.log: - device: cuda was asked"):
        waiting.until("start the node", lambda: False)


def test_topics_of_the_bag_are_given_to_the_node_whether_it_rectifies_or_not():
    topics = StereoTopics("/cam/l/compressed", "/cam/r/compressed", "/cam/l/camera_info", "/cam/r/camera_info", True)
    command = node_command(topics, [])
    for name, topic in (
        ("left/image_rect/compressed", "/cam/l/compressed"),
        ("right/image_raw/compressed", "/cam/r/compressed"),
        ("right/camera_info", "/cam/r/camera_info"),
    ):
        assert f"{name}:={topic}" in command


def test_only_bags_of_kitti_may_do_without_a_transform():
    own = StereoTopics("/cam/l", "/cam/r", "/cam/l/camera_info", "/cam/r/camera_info", False)
    kitti = StereoTopics("/kitti/l", "/kitti/r", "/kitti/l/camera_info", "/kitti/r/camera_info", False)
    assert "extrinsics_source:=auto" in node_command(kitti, [])
    assert not any(part.startswith("extrinsics_source") for part in node_command(own, []))


def test_the_truth_of_a_stamp_in_the_bag_is_that_of_its_frame():
    drive = SyntheticSequence(wall_scene(12.1), num_frames=3)
    truth = truth_at(drive, RECORDING_DAY_NS + 200_000_000)
    expected = drive.truth(2, VoxelGridSpec.semantic_kitti())
    np.testing.assert_array_equal(truth[~expected.is_invalid], expected.labels[~expected.is_invalid])
    assert (truth[expected.is_invalid] == UNKNOWN).all()
    with pytest.raises(ValueError, match="has 3 frames, none with the stamp"):
        truth_at(drive, RECORDING_DAY_NS + 300_000_000)
