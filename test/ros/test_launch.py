"""What the launch file declares and starts, with stand-ins where launch and launch_ros are not installed.

The wheels lack both. The same file was run for real on their sources; see docs/architecture.md.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


class StandIn:
    """Takes any arguments and keeps them."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs


class LaunchConfiguration(StandIn):
    def perform(self, context):
        return context[self.args[0]]


@pytest.fixture
def launch_file(monkeypatch):
    names = {
        "launch": ["LaunchDescription", "LaunchContext"],
        "launch.actions": ["DeclareLaunchArgument", "OpaqueFunction", "SetEnvironmentVariable"],
        "launch.substitutions": ["EnvironmentVariable", "LaunchConfiguration"],
        "launch_ros": [],
        "launch_ros.actions": ["Node"],
    }
    for name, classes in names.items():
        module = ModuleType(name)
        for class_name in classes:
            is_configuration = class_name == "LaunchConfiguration"
            made = LaunchConfiguration if is_configuration else type(class_name, (StandIn,), {})
            setattr(module, class_name, made)
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("scanssc_launch", ROOT / "launch" / "scanssc.launch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def actions_of(launch_file, kind):
    description = launch_file.generate_launch_description()
    return [action for action in description.args[0] if type(action).__name__ == kind]


def started(launch_file, **given):
    """The nodes started with these launch arguments, the others at their defaults."""
    declared = {action.args[0]: action.kwargs for action in actions_of(launch_file, "DeclareLaunchArgument")}
    assert set(given) <= set(declared)
    context = {name: options["default_value"] for name, options in declared.items()} | given
    (opaque,) = actions_of(launch_file, "OpaqueFunction")
    return opaque.kwargs["function"](context)


def test_every_argument_has_a_description_and_the_parameter_file_exists(launch_file):
    declared = {action.args[0]: action.kwargs for action in actions_of(launch_file, "DeclareLaunchArgument")}
    assert {"params_file", "topics", "image_transport", "model", "device", "use_sim_time", "rviz"} <= set(declared)
    assert all(options["description"] for options in declared.values())
    assert Path(declared["params_file"]["default_value"]).exists()


def test_defaults_start_the_installed_executable_with_kitti_topics(launch_file):
    (node,) = started(launch_file)
    assert (node.kwargs["package"], node.kwargs["executable"], node.kwargs["name"]) == (
        "scanssc_ros",
        "scanssc_node",
        "scanssc",
    )
    assert all(source == target for source, target in node.kwargs["remappings"])
    parameter_file, overrides = node.kwargs["parameters"]
    assert Path(parameter_file).name == "scanssc.yaml"
    assert overrides == {"use_sim_time": False, "image_transport": "raw"}


def test_topics_of_other_converters_and_single_topics_are_remapped(launch_file):
    (node,) = started(launch_file, topics="kitti_to_ros2bag", right_image="/my/right", image_transport="compressed")
    remappings = dict(node.kwargs["remappings"])
    left, right = (f"/kitti/camera_color_{side}/image_raw/compressed" for side in ("left", "right"))
    assert remappings[left] == "/kitti/camera/color/left/image_raw/compressed"
    assert remappings[right] == "/my/right/compressed"
    assert remappings["/kitti/camera_color_left/camera_info"] == "/kitti/camera/color/left/camera_info"


def test_what_people_change_overrides_the_parameter_file(launch_file):
    (node,) = started(launch_file, model="dummy", device="cpu", use_sim_time="true")
    overrides = node.kwargs["parameters"][1]
    assert overrides == {"use_sim_time": True, "image_transport": "raw", "model": "dummy", "device": "cpu"}


def test_depth_topics_and_rectification_can_be_given(launch_file):
    (node,) = started(launch_file, stereo_backend="topic", depth_input="depth", depth="/zed/depth", rectify="true")
    remappings = dict(node.kwargs["remappings"])
    assert remappings["/kitti/camera_color_left/depth"] == "/zed/depth"
    assert remappings["/kitti/camera_color_left/disparity"] == "/kitti/camera_color_left/disparity"
    overrides = node.kwargs["parameters"][1]
    assert (overrides["stereo_backend"], overrides["depth_input"], overrides["rectify"]) == ("topic", "depth", True)


def test_rviz_is_started_with_our_configuration_only_when_asked_for(launch_file):
    nodes = started(launch_file, rviz="true")
    assert [node.kwargs["package"] for node in nodes] == ["scanssc_ros", "rviz2"]
    assert Path(nodes[1].kwargs["arguments"][1]).name == "scanssc.rviz"
    assert Path(nodes[1].kwargs["arguments"][1]).exists()


@pytest.mark.parametrize(
    ("distribution", "variable"),
    [("humble", "FASTRTPS_DEFAULT_PROFILES_FILE"), ("kilted", "FASTDDS_DEFAULT_PROFILES_FILE")],
)
def test_shared_memory_profile_is_set_under_the_name_the_distribution_reads(
    launch_file, monkeypatch, distribution, variable
):
    monkeypatch.setenv("ROS_DISTRO", distribution)
    (action,) = actions_of(launch_file, "SetEnvironmentVariable")
    assert action.args[0] == variable
    default = action.args[1].kwargs["default_value"]
    assert Path(default).exists()
