"""CameraInfo messages to what the pipeline needs: intrinsics, stereo rig and, if asked for, rectification."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import CameraInfo

from scanssc_core.geometry import PinholeCamera, StereoRig
from scanssc_core.stereo.rectification import Rectifier, UnrectifiedCamera


@dataclass(frozen=True)
class Calibration:
    """What the CameraInfo of the cameras in use say.

    Attributes:
        left: intrinsics of the rectified left image.
        rig: the rectified pair; None with depth from a topic.
        rectifiers: one for each camera, if images are to be rectified here; else empty.
    """

    left: PinholeCamera
    rig: StereoRig | None
    rectifiers: tuple[Rectifier, ...]


def make_calibration(infos: Sequence[CameraInfo], is_to_rectify: bool) -> Calibration:
    """Build it of the left CameraInfo alone, or of left and right.

    Raises:
        ValueError: if a camera is not calibrated, the two are not a rectified pair, or images cannot be rectified.
    """
    left, *others = infos
    for right in others:
        if (left.width, left.height) != (right.width, right.height):
            raise ValueError(
                f"left is {left.width}x{left.height}, right is {right.width}x{right.height}: "
                "expected images of one size"
            )
    camera = PinholeCamera.from_projection_matrix(left.p, left.width, left.height)
    rig = StereoRig.from_projection_matrices(left.p, others[0].p, left.width, left.height) if others else None
    return Calibration(camera, rig, tuple(map(make_rectifier, infos)) if is_to_rectify else ())


def make_rectifier(info: CameraInfo) -> Rectifier:
    """Rectifier of the camera of this CameraInfo.

    Raises:
        ValueError: naming the camera's frame and the field that cannot be used.
    """
    try:
        return Rectifier(
            UnrectifiedCamera.from_lists(info.k, info.d, info.r, info.p, info.distortion_model, info.width, info.height)
        )
    except ValueError as error:
        raise ValueError(f"camera {info.header.frame_id!r}: {error}") from error


def has_distortion(info: CameraInfo) -> bool:
    """Whether D is not all zero."""
    return bool(np.any(info.d))


def is_same_calibration(first: CameraInfo, second: CameraInfo) -> bool:
    """Whether two messages of one camera say the same, the stamp aside."""
    return (first.width, first.height, first.distortion_model) == (
        second.width,
        second.height,
        second.distortion_model,
    ) and all(
        np.array_equal(getattr(first, field), getattr(second, field), equal_nan=True) for field in ("p", "k", "d", "r")
    )
