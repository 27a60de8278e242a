"""Baselines of one pair that contradict each other: CameraInfo's, TF's, and the one that the user gives.

An option is called as whoever asks names it to the user.
"""

import numpy as np
from numpy.typing import NDArray

from scanssc_core.sources.camera_info import CameraCalibration, make_rig

_TOLERANCE = 0.03  # of the one that CameraInfo says, or of the longer one


def replaced_baseline(
    left: CameraCalibration, right: CameraCalibration, baseline_m: float, option: str, remedy: str
) -> str:
    """What to say where CameraInfo has another baseline that a camera can have; empty: nothing.

    Args:
        baseline_m: taken instead.
        option: that gave it.
        remedy: what to do to have that of CameraInfo.
    """
    try:
        told_m = make_rig(left, right).baseline_m
    except ValueError:
        return ""
    if abs(told_m - baseline_m) <= _TOLERANCE * told_m:
        return ""
    return (
        f"{option}, {baseline_m:.4f} m, replaces the {told_m:.4f} m of CameraInfo, and depth follows: {remedy} unless "
        "CameraInfo is wrong"
    )


def compare_with_tf(
    left_frame: str, right_frame: str, T_left_right: NDArray, baseline_m: float, option: str
) -> tuple[str, str]:
    """TF's distance of the cameras beside the baseline that is taken, and what to say where they differ.

    Args:
        left_frame, right_frame: frame_id of the images.
        T_left_right: (4, 4) of TF.
        baseline_m: of the calibration.
        option: that would give another.
    Returns:
        both in words, and the problem; empty: none.
    """
    distance_m = float(np.linalg.norm(T_left_right[:3, 3]))
    both = f"{distance_m:.4f} m in TF, {baseline_m:.4f} m by the calibration"
    if abs(distance_m - baseline_m) <= _TOLERANCE * max(distance_m, baseline_m):
        return both, ""
    return both, (
        f"TF has {left_frame!r} and {right_frame!r} {distance_m:.4f} m apart, the calibration {baseline_m:.4f} m: "
        f"depth is wrong by as much; mend CameraInfo or TF, or set {option}"
    )
