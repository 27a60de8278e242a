"""The import rules of docs/architecture.md, checked on every file."""

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "scanssc_core"
FILES = sorted(CORE.rglob("*.py"))
MODULES = [*FILES, *sorted((ROOT / "scanssc_ros").rglob("*.py"))]

# A room may import itself and the rooms listed; the top-level modules count as rooms.
ALLOWED = {
    "labels": set(),
    "files": set(),
    "array_files": set(),
    "geometry": set(),
    "confidence": {"geometry", "labels"},
    "ground": {"geometry"},
    "health": {"geometry", "ground"},
    "network": {"geometry", "labels"},
    "inference": {"network"},
    "stereo": {"geometry", "inference"},
    "checkpoint": {"geometry", "labels", "files", "confidence", "network", "stereo"},
    "engines": {"files", "confidence", "network", "inference", "checkpoint"},
    "occupancy": {"geometry", "labels", "confidence", "network", "inference", "checkpoint", "engines"},
    "planning": {"geometry", "labels"},
    "mapping": {"geometry", "labels", "files", "array_files", "occupancy"},
    "runtime": {"geometry", "labels", "confidence", "checkpoint", "stereo", "engines", "occupancy"},
    "sources": {"geometry", "labels", "files", "stereo"},
    "datasets": {"geometry", "labels", "files", "array_files", "health", "network", "stereo", "runtime", "sources"},
    "synthetic": {"geometry", "labels", "files", "sources", "datasets"},
    "losses": {"geometry", "labels", "network"},
    "evaluation": {
        "geometry",
        "labels",
        "files",
        "confidence",
        "health",
        "network",
        "inference",
        "engines",
        "stereo",
        "occupancy",
        "mapping",
        "runtime",
        "sources",
        "datasets",
    },
    "render": {"geometry", "labels", "stereo", "planning"},
    "train": {"labels", "files", "network", "checkpoint", "datasets", "losses", "evaluation", "render"},
    "cli": {
        "geometry",
        "labels",
        "files",
        "confidence",
        "health",
        "network",
        "inference",
        "stereo",
        "checkpoint",
        "engines",
        "mapping",
        "runtime",
        "sources",
        "datasets",
        "synthetic",
        "evaluation",
        "render",
        "train",
    },
}

# Rooms of the network, from the ground up: one may import those of the floors below its own.
NETWORK_FLOORS = (
    {"layers", "corrections"},
    {"camera_inputs", "image"},
    {"config", "labelling"},
    {"depth", "lift", "scan", "head"},
    {"plane", "scanssc"},
    {"lite"},
    {"kinds"},
)


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


NETWORK = CORE / "network"


@pytest.mark.parametrize("path", sorted(NETWORK.rglob("*.py")), ids=lambda path: str(path.relative_to(NETWORK)))
def test_rooms_of_the_network_import_only_those_of_lower_floors(path):
    room = path.relative_to(NETWORK).parts[0].removesuffix(".py")
    if room == "__init__":
        return
    floor = next(index for index, rooms in enumerate(NETWORK_FLOORS) if room in rooms)
    below = {room}.union(*NETWORK_FLOORS[:floor])
    used = {module.split(".")[2] for module in imported_modules(path) if module.startswith("scanssc_core.network.")}
    assert used <= below


def test_no_room_stands_above_itself():
    graphlib.TopologicalSorter(ALLOWED).prepare()  # raises CycleError, which names the rooms


def test_files_do_not_import_each_other_in_circles():
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in MODULES}
    imports = {name: imported_modules(path) & set(names) - {name} for name, path in names.items()}
    graphlib.TopologicalSorter(imports).prepare()  # raises CycleError, which names the files


def test_rooms_of_the_node_do_not_import_each_other_in_circles():
    node, rooms = ROOT / "scanssc_ros", {}
    for path in sorted(node.rglob("*.py")):
        room = path.relative_to(node).parts[0].removesuffix(".py")
        used = {module.split(".")[1] for module in imported_modules(path) if module.startswith("scanssc_ros.")}
        rooms.setdefault(room, set()).update(used - {room})
    graphlib.TopologicalSorter(rooms).prepare()  # raises CycleError, which names the rooms
