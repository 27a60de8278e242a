from scanssc_core.sources.stereo_topics import StereoTopics
from scanssc_ros.programs.demo import node_command


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
