import numpy as np
import pytest

from scanssc_core.geometry import PinholeCamera, StereoRig
from scanssc_core.sources.bag import find_stereo_topics, write_stereo_bag
from scanssc_core.sources.bag_reader import BagSequence
from scanssc_core.sources.kitti import open_sequence
from scanssc_core.synthetic.scene import wall_scene
from scanssc_core.synthetic.sequence import SyntheticSequence

RIG = StereoRig(PinholeCamera(60.0, 60.0, 31.5, 15.0, width=64, height=32), 0.5, 31.5)
IMAGE, COMPRESSED, INFO = (f"sensor_msgs/msg/{name}" for name in ("Image", "CompressedImage", "CameraInfo"))


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


def test_bare_mcap_file_reads_like_its_folder(drive, tmp_path):
    write_stereo_bag(drive, tmp_path / "bag")
    assert len(list(BagSequence(tmp_path / "bag" / "bag.mcap"))) == 3


def test_compressed_bag_keeps_the_images_but_for_jpeg(drive, tmp_path):
    write_stereo_bag(drive, tmp_path / "bag", compressed=True)
    frame, expected = next(iter(BagSequence(tmp_path / "bag"))), next(iter(drive))
    assert np.abs(frame.left_rgb.astype(int) - expected.left_rgb).mean() < 12


def test_existing_bag_is_not_overwritten(drive, tmp_path):
    write_stereo_bag(drive, tmp_path / "bag")
    with pytest.raises(ValueError, match="exists"):
        write_stereo_bag(drive, tmp_path / "bag")


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


def test_path_without_a_bag_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no bag at"):
        BagSequence(tmp_path / "nothing")
    (tmp_path / "x.mcap").write_bytes(b"rubbish")
    with pytest.raises(ValueError, match="not a rosbag2"):
        BagSequence(tmp_path / "x.mcap")


@pytest.mark.parametrize(
    ("left", "right", "info", "kind"),
    [
        (
            "/kitti/camera_color_left/image_raw",
            "/kitti/camera_color_right/image_raw",
            "/kitti/camera_color_left",
            IMAGE,
        ),
        (
            "/kitti/camera/color/left/image_raw",
            "/kitti/camera/color/right/image_raw",
            "/kitti/camera/color/left",
            IMAGE,
        ),
        ("/stereo/left/image_rect/compressed", "/stereo/right/image_rect/compressed", "/stereo/left", COMPRESSED),
    ],
)
def test_stereo_topics_of_several_converters_are_found(left, right, info, kind):
    topics = {
        left: kind,
        right: kind,
        f"{info}/camera_info": INFO,
        f"{info.replace('left', 'right')}/camera_info": INFO,
    }
    found = find_stereo_topics({**topics, "/velo/points": "sensor_msgs/msg/PointCloud2"})
    assert (found.left_image, found.right_image) == (left, right)
    assert found.left_info == f"{info}/camera_info"
    assert found.is_compressed == (kind == COMPRESSED)


def test_bag_without_a_stereo_pair_lists_its_topics():
    with pytest.raises(ValueError, match=r"no stereo pair.*/front/image"):
        find_stereo_topics({"/front/image": IMAGE})


def test_real_bag_reads_like_the_frames_it_was_made_of(bags):
    from_bag = next(iter(BagSequence(bags / "kitti_10hz_color")))
    from_files = open_sequence(bags / "kitti_10hz_frames" / "sequences" / "02").frame(0)
    np.testing.assert_array_equal(from_bag.left_rgb, from_files.left_rgb)
    np.testing.assert_allclose(from_bag.T_cam_velo, from_files.T_cam_velo, atol=1e-6)
    assert from_bag.rig.baseline_m == pytest.approx(from_files.rig.baseline_m, abs=1e-6)
