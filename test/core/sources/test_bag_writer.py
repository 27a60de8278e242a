import numpy as np
import pytest

from scanssc_core.geometry import PinholeCamera, StereoRig, invert_transform, make_transform
from scanssc_core.geometry.moving_frames import MovingFrames
from scanssc_core.sources.bag import open_bag, read_messages
from scanssc_core.sources.bag_reader import BagSequence
from scanssc_core.sources.bag_writer import write_stereo_bag
from scanssc_core.sources.kitti import open_sequence
from scanssc_core.synthetic.scene import wall_scene
from scanssc_core.synthetic.sequence import SyntheticSequence

RIG = StereoRig(PinholeCamera(60.0, 60.0, 31.5, 15.0, width=64, height=32), 0.5, 31.5)


@pytest.fixture
def drive():
    return SyntheticSequence(wall_scene(8.0), num_frames=3, rig=RIG)


def test_written_bag_reads_back_the_same_frames(drive, tmp_path):
    write_stereo_bag(drive, tmp_path / "bag")
    read = list(BagSequence(tmp_path / "bag"))
    assert len(read) == 3
    for frame, expected in zip(read, drive, strict=True):
        np.testing.assert_array_equal(frame.left_rgb, expected.left_rgb)
        np.testing.assert_array_equal(frame.right_rgb, expected.right_rgb)
        np.testing.assert_allclose(frame.T_cam_velo, expected.T_cam_velo, atol=1e-12)
        assert frame.rig == expected.rig
    assert read[1].stamp_ns - read[0].stamp_ns == 100_000_000
    assert read[0].stamp_ns > 0


def test_poses_are_odometry_of_base_link_in_tf_and_join_the_grid_to_odom(drive, tmp_path):
    poses = [invert_transform(drive.pose(0)) @ drive.pose(index) for index in range(3)]
    write_stereo_bag(drive, tmp_path / "bag", T_first_velo=poses)
    frames, stamps = MovingFrames(), []
    with open_bag(tmp_path / "bag") as reader:
        for connection, _, raw in read_messages(reader):
            if not connection.topic.startswith("/tf"):
                continue
            for entry in reader.deserialize(raw, connection.msgtype).transforms:
                q, t = entry.transform.rotation, entry.transform.translation
                T = make_transform((q.x, q.y, q.z, q.w), (t.x, t.y, t.z))
                if connection.topic == "/tf":
                    stamps.append(entry.header.stamp.sec * 10**9 + entry.header.stamp.nanosec)
                    frames.add(entry.header.frame_id, entry.child_frame_id, T, stamps[-1])
                else:
                    frames.fixed.add(entry.header.frame_id, entry.child_frame_id, T)
    assert stamps == [frame.stamp_ns for frame in BagSequence(tmp_path / "bag")]
    for stamp_ns, T_first_velo in zip(stamps, poses, strict=True):
        moved = invert_transform(frames.lookup("odom", "velodyne", stamps[0])) @ frames.lookup(
            "odom", "velodyne", stamp_ns
        )
        np.testing.assert_allclose(moved, T_first_velo, atol=1e-6)
        assert frames.lookup("odom", "base_link", stamps[0])[:3, 3] == pytest.approx(0, abs=1e-6)
    assert poses[2][0, 3] > 0.1


def test_without_poses_there_is_no_odometry(drive, tmp_path):
    write_stereo_bag(drive, tmp_path / "bag")
    with open_bag(tmp_path / "bag") as reader:
        assert "/tf" not in reader.topics and "/tf_static" in reader.topics


def test_compressed_bag_keeps_the_images_but_for_jpeg(drive, tmp_path):
    write_stereo_bag(drive, tmp_path / "bag", compressed=True)
    frame, expected = next(iter(BagSequence(tmp_path / "bag"))), next(iter(drive))
    assert np.abs(frame.left_rgb.astype(int) - expected.left_rgb).mean() < 12


def test_a_flipped_bit_anywhere_in_the_messages_is_found(drive, tmp_path):
    write_stereo_bag(drive, tmp_path / "bag")
    file = tmp_path / "bag" / "bag.mcap"
    content = bytearray(file.read_bytes())
    left = next(iter(drive)).left_rgb.tobytes()
    content[content.index(left) + len(left) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"bag is damaged after 0 messages that were read: .*checksum"):
        list(BagSequence(tmp_path / "bag"))


def test_existing_bag_is_not_overwritten(drive, tmp_path):
    write_stereo_bag(drive, tmp_path / "bag")
    with pytest.raises(ValueError, match="exists"):
        write_stereo_bag(drive, tmp_path / "bag")


def test_folder_that_readers_would_take_for_a_ros_1_bag_is_refused(drive, tmp_path):
    with pytest.raises(ValueError, match=r"street\.bag: expected the name of a folder"):
        write_stereo_bag(drive, tmp_path / "street.bag")


def test_failure_half_way_leaves_nothing_behind(drive, tmp_path):
    class Failing:
        def __len__(self):
            return 2

        def __iter__(self):
            yield next(iter(drive))
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_stereo_bag(Failing(), tmp_path / "bag")
    assert list(tmp_path.iterdir()) == []


def test_real_bag_reads_like_the_frames_it_was_made_of(bags):
    from_bag = next(iter(BagSequence(bags / "kitti_10hz_color")))
    from_files = open_sequence(bags / "kitti_10hz_frames" / "sequences" / "02").frame(0)
    np.testing.assert_array_equal(from_bag.left_rgb, from_files.left_rgb)
    np.testing.assert_allclose(from_bag.T_cam_velo, from_files.T_cam_velo, atol=1e-6)
    assert from_bag.rig.baseline_m == pytest.approx(from_files.rig.baseline_m, abs=1e-6)
