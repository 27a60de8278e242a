"""A labelled voxel grid as planners on the ground take it: a cost per column, points to mark and points to clear by.

All functions take any grid whose z axis points up; heights count from the ground that each column holds.
"""

from scanssc_core.planning.classes import PlanningClasses, check_costs
from scanssc_core.planning.columns import Columns, RobotBody, find_columns
from scanssc_core.planning.costmap import NO_INFORMATION, cost_of_columns, snapped_origin, starts_free
from scanssc_core.planning.rays import clearing_ends, seen_from

__all__ = [
    "NO_INFORMATION",
    "Columns",
    "PlanningClasses",
    "RobotBody",
    "check_costs",
    "clearing_ends",
    "cost_of_columns",
    "find_columns",
    "seen_from",
    "snapped_origin",
    "starts_free",
]
