"""Sequence folders and data sets of ../shared/cases: what index.tsv calls right."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from cases.command import Result, scanssc

from scanssc_core.geometry import only_measured
from scanssc_core.health.coverage import MIN_COVERAGE, depth_coverage
from scanssc_core.sources.kitti import open_sequence
from scanssc_core.stereo.sgm import SgmBackend

ODOMETRY = Path("sequences/02")
RAW = Path("2011_10_03/2011_10_03_drive_0034_sync")
KITTI_360 = Path("data_2d_raw/2013_05_28_drive_0000_sync")


def predict(folder: Path, out: Path) -> Result:
    return scanssc("predict", folder, out, "--model", "stereo")


def is_read(folder: Path, out: Path, num_frames: int = 3) -> Result:
    """All frames are labelled."""
    result = predict(folder, out)
    assert result.status == 0, result.err
    files = sorted(out.glob("*.npz"))
    assert len(files) == num_frames
    for file in files:
        labels = np.load(file)["labels"]
        assert ((labels > 0) & (labels < 255)).sum() > 50
    return result


def is_read_in_silence(folder: Path, out: Path) -> None:
    assert "warning" not in is_read(folder, out).err


def is_refused(folder: Path, out: Path, *parts: str) -> None:
    """One line that has all of these in it, status 1 and nothing written."""
    result = predict(folder, out)
    assert result.status == 1
    error = next(line for line in result.err.splitlines() if line.startswith("error: "))
    assert not [part for part in parts if part not in error], error
    assert not out.exists() or not list(out.glob("*.npz"))


def odometry(*parts: str) -> Callable[[Path, Path], None]:
    """An odometry sequence that is refused, with these parts in the error."""
    return lambda case, tmp_path: is_refused(case / ODOMETRY, tmp_path / "out", *parts)


def sizes_differ(case: Path, tmp_path: Path) -> None:
    result = predict(case / ODOMETRY, tmp_path / "out")
    assert result.status == 1
    for part in ("000001.png", "306x92", "310x94", "one calibration"):
        assert part in result.err


def twice_as_large(case: Path, tmp_path: Path) -> None:
    result = is_read(case / ODOMETRY, tmp_path / "out")
    (warning,) = [line for line in result.err.splitlines() if line.startswith("warning: ") and "calib.txt" in line]
    for part in ("principal point (151.8, 46.3)", "(310.0, 94.0)", "620x188"):
        assert part in warning
    assert "warning: 000000: ground: " in result.err, "and the ground is not where the calibration has it"


def swapped(case: Path, tmp_path: Path) -> None:
    result = predict(case / ODOMETRY, tmp_path / "out")
    assert "warning: 000000: depth coverage: depth covers" in result.err and "swapped" in result.err
    assert "warning: depth coverage: in 3 of 3 frames" in result.err


def twelve_bits(case: Path, tmp_path: Path) -> None:
    is_read_in_silence(case / ODOMETRY, tmp_path / "out")
    frame = open_sequence(case / ODOMETRY).frame(0)
    assert frame.left_rgb.max() > 200, "scaled to eight bits"
    assert len(np.unique(frame.left_rgb)) > 100, "not only the upper bits of sixteen"


def numbers_of_a_rig(case: Path, tmp_path: Path) -> None:
    """A 4x4 Tr gives the labels of the 3x4 one."""
    is_read_in_silence(case / ODOMETRY, tmp_path / "out")
    plain = open_sequence(case.parent / "base_odometry" / ODOMETRY).frame(0)
    np.testing.assert_array_equal(open_sequence(case / ODOMETRY).frame(0).T_cam_velo, plain.T_cam_velo)


def jpg_without_labels(case: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(case, root)
    check = scanssc("data", "check", root)
    assert check.status == 1, "labels are expected in 08"
    assert (
        "2 problems" in check.out and "08/voxels/000008.label" in check.out and "08/voxels/000008.invalid" in check.out
    )
    assert scanssc("data", "depth", root, "--workers", 1).status == 0
    depth_m = np.load(root / "depth/sequences/08/000008.npy")
    assert depth_coverage(depth_m) > 3 * MIN_COVERAGE
    frame = open_sequence(case / "sequences/08").frame(0)
    expected_m = only_measured(SgmBackend().compute_depth(frame.left_rgb, frame.right_rgb, frame.rig))
    np.testing.assert_array_equal(depth_m, expected_m)
    scored = scanssc("eval", "--data", root, "--sequence", "08", "--out", tmp_path / "out", "--workers", 0)
    assert scored.status == 1 and "no frame of 08 has labels to score" in scored.err


CASES: dict[str, Callable[[Path, Path], None]] = {
    "base_odometry": lambda case, tmp_path: is_read_in_silence(case / ODOMETRY, tmp_path / "out"),
    "odo_latin1_comment": odometry("calib.txt, line 1", "UTF-8", "0xdf"),
    "odo_p2_11_numbers": odometry("calib.txt, line 3, entry P2", "12", "got 11"),
    "odo_tr_16_numbers": numbers_of_a_rig,
    "odo_calib_nan": odometry("calib.txt, line 5, entry Tr", "finite", "'nan'"),
    "odo_times_garbage": odometry("times.txt, line 1", "seconds", "'0.000000e+00,x'"),
    "odo_left_missing": odometry("1 left image(s) missing", "image_2/000001.png"),
    "odo_upper_PNG": lambda case, tmp_path: is_read_in_silence(case / ODOMETRY, tmp_path / "out"),
    "odo_frame_names": odometry("image_2: ", "the frame's number", "frame_000000.png"),
    "odo_png_and_jpg": odometry("image_2: ", "000000.jpg and 000000.png are the same frame"),
    "odo_sizes_differ_in_sequence": sizes_differ,
    "odo_images_twice_as_large_as_calib": twice_as_large,
    "odo_png_12bit_in_16": twelve_bits,
    "odo_swapped": swapped,
    "raw_gap_timestamps_compacted": lambda case, tmp_path: is_refused(
        case / RAW, tmp_path / "out", "image_02/timestamps.txt", "2 times", "frame 000002"
    ),
    "raw_empty_line_timestamps": lambda case, tmp_path: is_refused(
        case / RAW, tmp_path / "out", "image_02/timestamps.txt, line 2", "blank"
    ),
    "k360_timestamps_short": lambda case, tmp_path: is_refused(
        case / KITTI_360, tmp_path / "out", "image_00/timestamps.txt", "1 times", "frame 000002"
    ),
    "ds_jpg_without_labels": jpg_without_labels,
}
