"""The import rules of docs/architecture.md, checked on every file."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "scanssc_core"
FILES = sorted(CORE.rglob("*.py"))

# A room may import itself and the rooms listed; the top-level modules count as rooms.
ALLOWED = {
    "labels": set(),
    "files": set(),
    "geometry": set(),
    "network": {"geometry", "labels"},
    "inference": {"network"},
    "stereo": {"geometry", "inference"},
    "checkpoint": {"geometry", "labels", "files", "network", "stereo"},
    "occupancy": {"geometry", "labels", "network", "inference", "checkpoint"},
    "runtime": {"geometry", "labels", "checkpoint", "stereo", "occupancy"},
    "sources": {"geometry", "labels", "files", "stereo"},
    "datasets": {"geometry", "labels", "files", "network", "stereo", "runtime", "sources"},
    "synthetic": {"geometry", "labels", "files", "sources", "datasets"},
    "losses": {"labels", "network"},
    "evaluation": {"geometry", "labels", "files", "network", "inference", "stereo", "occupancy", "datasets"},
    "render": {"geometry", "labels", "stereo"},
    "train": {"labels", "files", "network", "checkpoint", "datasets", "losses", "evaluation", "render"},
    "cli": {
        "labels",
        "files",
        "network",
        "inference",
        "stereo",
        "checkpoint",
        "runtime",
        "sources",
        "datasets",
        "synthetic",
        "evaluation",
        "render",
        "train",
    },
}


def imported_modules(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            modules.add(node.module)
    return modules


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_core_imports_no_ros(path):
    ros = {"rclpy", "cv_bridge", "message_filters", "tf2_ros", "launch", "launch_ros", "scanssc_ros"}
    packages = {module.partition(".")[0] for module in imported_modules(path)}
    assert not packages & ros
    assert not {package for package in packages if package.endswith("_msgs")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_import_only_the_rooms_below_them(path):
    room = path.relative_to(CORE).parts[0].removesuffix(".py")
    if room == "__init__":
        return
    used = {module.split(".")[1] for module in imported_modules(path) if module.startswith("scanssc_core.")}
    assert used - {room} <= ALLOWED[room]
