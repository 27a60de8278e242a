"""CameraInfo messages to what the pipeline needs: intrinsics, stereo rig and, if asked for, rectification."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import CameraInfo

from scanssc_core.geometry import PinholeCamera, StereoRig
from scanssc_core.sources.baselines import replaced_baseline
from scanssc_core.sources.camera_info import CameraCalibration, make_rig
from scanssc_core.stereo.rectification import Rectifier, UnrectifiedCamera


@dataclass(frozen=True)
class Calibration:
    """What the CameraInfo of the cameras in use say.

    Attributes:
        left: intrinsics of the rectified left image.
        rig: the rectified pair; None with depth from a topic.
        rectifiers: one for each camera, if images are to be rectified here; else empty.
        description: the calibrated size, with binning and region of interest, in words.
        doubt: what of the messages is not taken although it is plausible; empty: all is.
    """

    left: PinholeCamera
    rig: StereoRig | None
    rectifiers: tuple[Rectifier, ...]
    description: str
    doubt: str = ""

    def __str__(self) -> str:
        baseline = "" if self.rig is None else f", baseline {self.rig.baseline_m:.4f} m"
        return f"{self.description}, fx {self.left.fx:.1f} px{baseline}"


class CalibrationError(ValueError):
    """CameraInfo that cannot be used.

    Attributes:
        sides: whose.
    """

    def __init__(self, sides: Iterable[str], reason: object) -> None:
        self.sides = tuple(sides)
        super().__init__(f"{' and '.join(self.sides)} camera_info: {reason}")


def make_calibration(
    infos: Mapping[str, CameraInfo], is_to_rectify: bool, baseline_m: float | None = None
) -> Calibration:
    """Build it of the CameraInfo of the left camera alone, or of left and right, by side.

    Args:
        infos: by side.
        is_to_rectify: build rectifiers too.
        baseline_m: of the pair, whatever CameraInfo says.
    Raises:
        CalibrationError: if a camera is not calibrated, the two are not a rectified pair, or images cannot be
            rectified.
    """
    cameras, intrinsics, rectifiers = {}, {}, []
    for side, info in infos.items():
        try:
            cameras[side] = CameraCalibration.from_camera_info(info)
            intrinsics[side] = cameras[side].camera
            if is_to_rectify:
                rectifiers.append(_make_rectifier(cameras[side]))
        except ValueError as error:
            raise CalibrationError((side,), error) from error
    try:
        rig = make_rig(cameras["left"], cameras["right"], baseline_m) if "right" in cameras else None
    except ValueError as error:
        raise CalibrationError(infos, error) from error
    doubt = ""
    if rig is not None and baseline_m is not None:
        doubt = replaced_baseline(
            cameras["left"], cameras["right"], baseline_m, "the parameter baseline_m", "set it to 0.0"
        )
    return Calibration(intrinsics["left"], rig, tuple(rectifiers), cameras["left"].description, doubt)


def _make_rectifier(camera: CameraCalibration) -> Rectifier:
    return Rectifier(
        UnrectifiedCamera.from_lists(
            camera.K, camera.D, camera.R, camera.P, camera.distortion_model, camera.width, camera.height
        )
    )


def has_distortion(info: CameraInfo) -> bool:
    """Whether D is not all zero."""
    return bool(np.any(info.d))


def is_same_calibration(first: CameraInfo, second: CameraInfo) -> bool:
    """Whether two messages of one camera say the same, the stamp aside."""
    fields = ("width", "height", "distortion_model", "binning_x", "binning_y", "roi")
    return all(getattr(first, field) == getattr(second, field) for field in fields) and all(
        np.array_equal(getattr(first, field), getattr(second, field), equal_nan=True) for field in ("p", "k", "d", "r")
    )
