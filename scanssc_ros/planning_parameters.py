"""The parameters of every node that has outputs for planners."""

from dataclasses import dataclass

from scanssc_core.geometry import LIDAR_HEIGHT_M
from scanssc_core.planning import RobotBody
from scanssc_ros.parameter_table import ParameterTable, parameter


@dataclass(frozen=True)
class PlanningParameters(ParameterTable):
    """Where the ground is, and what planners are told (output/planning.py)."""

    ground_z_m: float = parameter(
        -LIDAR_HEIGHT_M,
        "Height of the ground in grid_frame, where the model expects it: 0 for a base_link on the ground, -1.73 for "
        "KITTI's LiDAR.",
        minimum=-5.0,
        maximum=5.0,
    )
    class_costs: str = parameter(
        "", "File with the cost of each class in the costmap; empty = config/class_costs.yaml of the package."
    )
    step_height_m: float = parameter(
        0.15, "For planners: what ends lower over the ground is no obstacle.", minimum=0.0, maximum=2.0
    )
    robot_height_m: float = parameter(
        2.0, "For planners: height of the robot over the ground.", minimum=0.05, maximum=6.0
    )
    height_margin_m: float = parameter(
        0.2, "For planners: room that the robot needs over it.", minimum=0.0, maximum=2.0
    )
    person_margin_m: float = parameter(
        0.0, "Distance from persons that costs as much as they do in the costmap.", minimum=0.0, maximum=5.0
    )
    planning_max_rate_hz: float = parameter(
        0.0,
        "Most messages per second of each output for planners; 0 = one for each grid.",
        minimum=0.0,
        maximum=1000.0,
        dynamic=True,
    )

    @property
    def robot_body(self) -> RobotBody:
        """What of a column the robot would touch."""
        return RobotBody(self.step_height_m, self.robot_height_m + self.height_margin_m)

    def problems(self) -> list[str]:
        """See ParameterTable."""
        found = super().problems()
        if self.robot_height_m + self.height_margin_m <= self.step_height_m:
            found.append(
                f"robot_height_m: {self.robot_height_m} m and height_margin_m leave no height over "
                f"step_height_m = {self.step_height_m} m for an obstacle"
            )
        return found
