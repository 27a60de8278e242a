"""The file that says what each class costs a planner."""

from pathlib import Path

import yaml
from ament_index_python.packages import get_package_share_directory

from scanssc_core.labels import LabelSet
from scanssc_core.planning import PlanningClasses


def read_classes(path: str, label_set: LabelSet) -> PlanningClasses:
    """What the classes of a label set mean to a planner, by a file of `class: cost` (config/class_costs.yaml).

    Args:
        path: empty = the package's own file.
    Raises:
        ValueError: if it cannot be read, or names what is no class, or lacks one; says which file and which.
    """
    file = Path(path) if path else Path(get_package_share_directory("scanssc_ros")) / "config" / "class_costs.yaml"
    try:
        costs = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"class_costs: {file} cannot be read: {error}") from error
    if not isinstance(costs, dict):
        raise ValueError(f"class_costs: expected lines of `class: cost` in {file}, got {type(costs).__name__}")
    try:
        return PlanningClasses.of(label_set, costs)
    except ValueError as error:
        raise ValueError(f"class_costs: {file}: {error}") from error
