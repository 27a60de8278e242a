"""Bags of ../shared/cases: what index.tsv calls right."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from cases.command import Result, scanssc

from scanssc_core.sources.bag_reader import BagSequence

NUM_FRAMES = 3


def frames_like_base(case: Path, tolerance: float = 0.0) -> None:
    """The frames are those of a good bag: calibration, pose, and pixels within a tolerance."""
    frames, expected = list(BagSequence(case)), list(BagSequence(case.parent / "bag_base"))
    assert len(frames) == len(expected) == NUM_FRAMES
    for frame, base in zip(frames, expected, strict=True):
        assert frame.rig == base.rig
        np.testing.assert_allclose(frame.T_cam_velo, base.T_cam_velo, atol=1e-9)
        for image, its_base in ((frame.left_rgb, base.left_rgb), (frame.right_rgb, base.right_rgb)):
            assert np.abs(image.astype(int) - its_base).mean() <= tolerance


def predict(case: Path, tmp_path: Path, *options: object) -> Result:
    return scanssc("predict", case, tmp_path / "out", "--model", "stereo", *options)


def predicts(case: Path, tmp_path: Path, *options: object, num_frames: int = 1) -> Result:
    """The first frames are labelled; one is enough where the frames themselves are looked at."""
    result = predict(case, tmp_path, "--frames", num_frames, *options)
    assert result.status == 0, result.err
    assert f"{num_frames} frames in" in result.out
    assert len(list((tmp_path / "out").glob("*.npz"))) == num_frames
    return result


def refused(case: Path, tmp_path: Path, *words: str) -> None:
    """One line that names the bag and these words, status 1, and no frame."""
    result = predict(case, tmp_path)
    assert result.status == 1
    assert result.err.startswith("error: ") and result.err.count("\n") == 1
    for word in (str(case), *words):
        assert word in result.err
    assert not list((tmp_path / "out").glob("*.npz"))


def base(case: Path, tmp_path: Path) -> None:
    predicts(case, tmp_path)


def right_1us_later(case: Path, tmp_path: Path) -> None:
    predicts(case, tmp_path, num_frames=NUM_FRAMES)
    frames_like_base(case)
    viewed = scanssc("view", case, "--save", tmp_path / "a.rrd", "--model", "stereo")
    assert viewed.status == 0 and f"{NUM_FRAMES} frames in" in viewed.out
    for command in (("predict", case, tmp_path / "none"), ("view", case, "--save", tmp_path / "b.rrd")):
        missed = scanssc(*command, "--model", "stereo", "--tolerance", 0)
        assert missed.status == 1 and "the nearest stamps are 0.001 ms apart" in missed.err


def ros1(case: Path, tmp_path: Path) -> None:
    predicts(case, tmp_path)
    frames_like_base(case)


def raw_and_rect(case: Path, tmp_path: Path) -> None:
    result = predicts(case, tmp_path)
    assert "left /stereo/left/image_rect" in result.out and "right /stereo/right/image_rect" in result.out
    frames_like_base(case)
    raw = ("--left-topic", "/stereo/left/image_raw", "--right-topic", "/stereo/right/image_raw")
    assert "right /stereo/right/image_raw" in predicts(case, tmp_path / "raw", *raw).out


def depth_sorts_first(case: Path, tmp_path: Path) -> None:
    assert "left /stereo/left/image " in predicts(case, tmp_path).out
    frames_like_base(case)
    depth = ("--left-topic", "/stereo/left/depth", "--right-topic", "/stereo/right/depth")
    asked = predict(case, tmp_path / "depth", *depth)
    assert asked.status == 1 and "16UC1 is of depth images" in asked.err


def two_rigs(case: Path, tmp_path: Path) -> None:
    refused(case, tmp_path, "--left-topic /front/left/image --right-topic /front/right/image", "/back/left/image")
    front = ("--left-topic", "/front/left/image", "--right-topic", "/front/right/image")
    assert "left /front/left/image (/front/left/camera_info)" in predicts(case, tmp_path, *front).out


def realsense_names(case: Path, tmp_path: Path) -> None:
    assert "left /camera/infra1/image_rect_raw" in predicts(case, tmp_path).out


def grid_frame_lidar(case: Path, tmp_path: Path) -> None:
    refused(case, tmp_path, "'velodyne'", "lidar_link", "--grid-frame", "--t-camera-grid")
    predicts(case, tmp_path, "--grid-frame", "lidar_link")
    [T_cam_grid] = {frame.T_cam_velo.tobytes() for frame in BagSequence(case.parent / "bag_base")}
    pose = np.frombuffer(T_cam_grid).reshape(4, 4)[:3].reshape(-1)
    predicts(case, tmp_path / "pose", "--t-camera-grid", *pose.tolist())
    by_frame, by_pose = (np.load(tmp_path / name / "000000.npz")["labels"] for name in ("out", "pose/out"))
    np.testing.assert_array_equal(by_frame, by_pose)


def slash_frame(case: Path, tmp_path: Path) -> None:
    predicts(case, tmp_path)
    frames_like_base(case)


def truncated_mcap(case: Path, tmp_path: Path) -> None:
    refused(case, tmp_path, "mcap recover")


def no_metadata(case: Path, tmp_path: Path) -> None:
    predicts(case, tmp_path)
    frames_like_base(case)


def comp_broken_in_middle(case: Path, tmp_path: Path) -> None:
    result = predict(case, tmp_path)
    assert result.status == 0 and "2 frames in" in result.out
    stamps_ns = [int(np.load(tmp_path / "out" / f"00000{index}.npz")["stamp_ns"]) for index in (0, 1)]
    assert stamps_ns == [1317384000_000000000, 1317384000_200000000]


def info_P_zero(case: Path, tmp_path: Path) -> None:
    refused(case, tmp_path, "/kitti/camera_color_left/camera_info", "all zero")


def info_binning2_full_size_P(case: Path, tmp_path: Path) -> None:
    predicts(case, tmp_path)
    frames_like_base(case)


def enc_yuv422_yuy2(case: Path, tmp_path: Path) -> None:
    predicts(case, tmp_path)
    frames_like_base(case, tolerance=10.0)  # its luma is of full range, cv_bridge and cameras have 16 to 235


def enc_mono12in16(case: Path, tmp_path: Path) -> None:
    predicts(case, tmp_path)
    for frame in BagSequence(case):
        assert len(np.unique(frame.left_rgb)) > 128, "eight of twelve bits are kept, not four"


_ALL = (
    base, right_1us_later, raw_and_rect, depth_sorts_first, two_rigs, realsense_names, grid_frame_lidar, slash_frame,
    truncated_mcap, no_metadata, comp_broken_in_middle, info_P_zero, info_binning2_full_size_P, enc_yuv422_yuy2,
    enc_mono12in16,
)  # fmt: skip

CASES: dict[str, Callable[[Path, Path], None]] = {
    "bag_ros1_kitti2bag.bag": ros1,
    **{f"bag_{case.__name__}": case for case in _ALL},
}
