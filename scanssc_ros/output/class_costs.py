"""The file that says what each class costs a planner."""

from collections.abc import Sequence
from pathlib import Path

from ament_index_python.packages import get_package_share_directory

from scanssc_core.planning import PlanningClasses, check_costs
from scanssc_ros.yaml_files import read_yaml


def read_costs(path: str, class_names: Sequence[str] = ()) -> dict[str, int]:
    """What each class costs a planner, by a file of `class: cost` (config/class_costs.yaml).

    Args:
        path: empty = the package's own file.
        class_names: classes that must have a cost, after FREE's name.
    Raises:
        ValueError: if it cannot be read, or names what is no class, or lacks one; says which file and which.
    """
    file = Path(path) if path else Path(get_package_share_directory("scanssc_ros")) / "config" / "class_costs.yaml"
    try:
        costs = read_yaml(file)
    except ValueError as error:
        raise ValueError(f"class_costs: {error}") from error
    if not isinstance(costs, dict):
        raise ValueError(f"class_costs: expected lines of `class: cost` in {file}, got {type(costs).__name__}")
    try:
        check_costs(costs)
        PlanningClasses.of(class_names, costs)
    except ValueError as error:
        raise ValueError(f"class_costs: {file}: {error}") from error
    return costs
