"""The parameters of the input health: a threshold for every question (docs/health.md)."""

from dataclasses import dataclass, fields

from scanssc_core.health.input_health import Thresholds
from scanssc_ros.parameter_table import ParameterTable, parameter

_DEFAULTS = Thresholds()


@dataclass(frozen=True)
class HealthParameters(ParameterTable):
    """What diagnostics warn of, by the name of the field of Thresholds, and whether such pairs are used."""

    min_brightness: float = parameter(
        _DEFAULTS.min_brightness,
        "Warn when the mean grey level of an image is lower; 0 = no check.",
        minimum=0.0,
        maximum=255.0,
        dynamic=True,
    )
    max_overexposed: float = parameter(
        _DEFAULTS.max_overexposed,
        "Warn when a larger share of an image is saturated; 0 = no check.",
        minimum=0.0,
        maximum=1.0,
        dynamic=True,
    )
    min_sharpness: float = parameter(
        _DEFAULTS.min_sharpness,
        "Warn of blur when an image is less sharp, of 0 to 1; 0 = no check.",
        minimum=0.0,
        maximum=1.0,
        dynamic=True,
    )
    max_blocked: float = parameter(
        _DEFAULTS.max_blocked,
        "Warn of dirt when one camera does not see a larger share of what the other one sees; 0 = no check.",
        minimum=0.0,
        maximum=1.0,
        dynamic=True,
    )
    max_frozen_s: float = parameter(
        _DEFAULTS.max_frozen_s,
        "Warn when a side brings the same picture, pixel by pixel, for longer; 0 = no check, as for simulated cameras "
        "without noise that stand still.",
        minimum=0.0,
        maximum=3600.0,
        dynamic=True,
    )
    max_swapped: float = parameter(
        _DEFAULTS.max_swapped,
        "Warn of exchanged sides when a larger share of points lies further right in the right image; 0 = no check.",
        minimum=0.0,
        maximum=1.0,
        dynamic=True,
    )
    max_row_offset_px: float = parameter(
        _DEFAULTS.max_row_offset_px,
        "Warn of a knocked camera when left and right rows disagree by more, anywhere in the image; 0 = no check.",
        minimum=0.0,
        maximum=100.0,
        dynamic=True,
    )
    min_depth_coverage: float = parameter(
        _DEFAULTS.min_depth_coverage,
        "Warn when a smaller share of the pixels has depth; 0 = no check.",
        minimum=0.0,
        maximum=1.0,
        dynamic=True,
    )
    max_ground_offset: float = parameter(
        _DEFAULTS.max_ground_offset,
        "Warn of a wrong pose or baseline when the measured ground lies further from where the pose has it, under the "
        "camera or six of its heights ahead, as a share of its height; 0 = no check.",
        minimum=0.0,
        maximum=10.0,
        dynamic=True,
    )
    max_height_error: float = parameter(
        _DEFAULTS.max_height_error,
        "Warn of a wrong baseline or height when the camera's height over the measured ground differs from that of its "
        "pose by a larger share; 0 = no check.",
        minimum=0.0,
        maximum=10.0,
        dynamic=True,
    )
    max_scale_error: float = parameter(
        _DEFAULTS.max_scale_error,
        "Warn of a wrong baseline or odometry when the camera's motion by stereo differs from that by odometry by a "
        "larger share; 0 = no check.",
        minimum=0.0,
        maximum=10.0,
        dynamic=True,
    )
    odometry_frame: str = parameter(
        "odom", "Frame in which /tf has the moving camera, for max_scale_error; empty = /tf is not listened to."
    )
    drop_faulty: bool = parameter(
        False, "Drop a pair that any of these checks warns of, counted by its cause: no grid comes of it.", dynamic=True
    )

    @property
    def thresholds(self) -> Thresholds:
        """Those that hold now."""
        return Thresholds(**{entry.name: getattr(self, entry.name) for entry in fields(Thresholds)})
