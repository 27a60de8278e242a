"""All parameters of the node `semantic_map` in one table (parameter_table.py)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from scanssc_core.geometry.frame_graph import bare_frame
from scanssc_core.mapping.forgetting import HalfLives
from scanssc_core.mapping.semantic_map import MapConfig
from scanssc_ros.parameter_table import parameter
from scanssc_ros.planning_parameters import PlanningParameters

TF, ODOMETRY = "tf", "odometry"
_DEFAULTS, _HALF_LIVES = MapConfig(), HalfLives()
_MAX_WINDOW_M = 1000.0


def _half_life(default: float, of_what: str) -> Any:
    return parameter(
        default,
        f"Time in which half of the evidence is forgotten for {of_what}.",
        minimum=0.01,
        maximum=1e6,
    )


@dataclass(frozen=True)
class MapParameters(PlanningParameters):
    """The parameters of the node `semantic_map`."""

    odometry_frame: str = parameter("odom", "Frame of the map: the vehicle moves in it without jumps.")
    pose_source: str = parameter(
        TF,
        "Pose of the grid's frame: tf = /tf, /tf_static; odometry = nav_msgs/Odometry on `odometry`, and TF below its "
        "child frame.",
        choices=(TF, ODOMETRY),
    )
    pose_timeout_s: float = parameter(
        0.5, "How long a grid waits for its pose, and for its depth image.", minimum=0.0, maximum=60.0
    )
    use_depth: bool = parameter(
        False, "Free voxels by rays of the depth image of the grid's own stamp (`depth`, `depth/camera_info`)."
    )
    qos_reliability: str = parameter(
        "reliable",
        "Reliability of the input subscriptions; best_effort hears every publisher, but may lose grids.",
        choices=("best_effort", "reliable"),
    )
    qos_depth: int = parameter(5, "Queue depth of the input subscriptions.", minimum=1, maximum=100)
    window_m: list[float] = parameter(  # noqa: RUF009 (a field with a default factory)
        list(_DEFAULTS.window_m), "Size of the map along x, y, z; it moves with the vehicle."
    )
    half_life_human_s: float = _half_life(_HALF_LIVES.human_s, "persons and riders")
    half_life_vehicle_s: float = _half_life(_HALF_LIVES.vehicle_s, "vehicles and cycles")
    half_life_ground_s: float = _half_life(_HALF_LIVES.ground_s, "road, parking, sidewalk, other ground")
    half_life_structure_s: float = _half_life(_HALF_LIVES.structure_s, "buildings")
    half_life_nature_s: float = _half_life(_HALF_LIVES.nature_s, "vegetation, trunks, terrain")
    half_life_object_s: float = _half_life(_HALF_LIVES.object_s, "fences, poles, traffic signs")
    half_life_other_s: float = _half_life(_HALF_LIVES.other_s, "all other classes")
    half_life_free_s: float = _half_life(_HALF_LIVES.free_s, "free space")
    max_speed_m_s: float = parameter(
        _DEFAULTS.max_speed_m_s,
        "The map begins anew when the pose moves by more than this times the time, and jump_margin_m.",
        minimum=0.0,
        maximum=1000.0,
    )
    jump_margin_m: float = parameter(_DEFAULTS.jump_margin_m, "See max_speed_m_s.", minimum=0.0, maximum=1000.0)
    max_gap_s: float = parameter(
        _DEFAULTS.max_gap_s, "The map begins anew when no grid has a stamp for longer.", minimum=0.1, maximum=86400.0
    )
    map_max_rate_hz: float = parameter(
        1.0, "Most map messages per second; 0 = one for each grid.", minimum=0.0, maximum=1000.0, dynamic=True
    )
    publish_confidence: bool = parameter(True, "Fill the confidence field.", dynamic=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "odometry_frame", bare_frame(self.odometry_frame))

    def problem_of_value(self, name: str) -> str:
        """See ParameterTable."""
        if problem := super().problem_of_value(name):
            return problem
        if name == "odometry_frame" and not self.odometry_frame:
            return "odometry_frame: expected a frame name, got an empty one"
        if name == "window_m":
            size_m = np.array(self.window_m)
            if size_m.shape != (3,) or not ((size_m > 0) & (size_m <= _MAX_WINDOW_M)).all():
                return f"window_m: expected three sizes up to {_MAX_WINDOW_M:.0f} m, got {self.window_m}"
        return ""

    @property
    def map_config(self) -> MapConfig:
        """Size and rules of the map."""
        half_lives = {name: getattr(self, f"half_life_{name}") for name in HalfLives.__dataclass_fields__}
        x_m, y_m, z_m = self.window_m
        return MapConfig(
            window_m=(x_m, y_m, z_m),
            half_lives=HalfLives(**half_lives),
            max_speed_m_s=self.max_speed_m_s,
            jump_margin_m=self.jump_margin_m,
            max_gap_s=self.max_gap_s,
        )
