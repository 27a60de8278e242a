"""What the launch file declares and starts, with stand-ins where launch and launch_ros are not installed.

The wheels lack both. The same file was run for real on their sources; see docs/architecture.md.
"""

import dataclasses
import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from scanssc_ros.parameters import NodeParameters

ROOT = Path(__file__).resolve().parents[2]


class StandIn:
    """Takes any arguments and keeps them."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs


class LaunchConfiguration(StandIn):
    def perform(self, context):
        return context.get(self.args[0], self.kwargs.get("default"))


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
    assert set(given) <= {*declared, "ros_namespace", "topics"}
    context = {name: options["default_value"] for name, options in declared.items()} | given
    (opaque,) = actions_of(launch_file, "OpaqueFunction")
    return opaque.kwargs["function"](context)


def parameters_of(node):
    """Names of the parameter files, and the values given by arguments."""
    files = [Path(entry).name for entry in node.kwargs["parameters"] if isinstance(entry, str)]
    given = [entry for entry in node.kwargs["parameters"] if isinstance(entry, dict)]
    return files, given


def test_every_argument_has_a_description(launch_file):
    declared = {action.args[0]: action.kwargs for action in actions_of(launch_file, "DeclareLaunchArgument")}
    assert {"params_file", "namespace", "camera", "image_transport", "model", "use_sim_time", "rviz"} <= set(declared)
    assert all(options["description"] for options in declared.values())


def test_defaults_start_the_installed_executable_with_kitti_topics(launch_file):
    (node,) = started(launch_file)
    assert (node.kwargs["package"], node.kwargs["executable"], node.kwargs["name"], node.kwargs["namespace"]) == (
        "scanssc_ros",
        "scanssc_node",
        "scanssc",
        "",
    )
    remappings = dict(node.kwargs["remappings"])
    for side in ("left", "right"):
        for suffix in ("", "/compressed"):
            assert remappings[f"{side}/image_rect{suffix}"] == f"/kitti/camera_color_{side}/image_raw{suffix}"
            assert remappings[f"{side}/image_raw{suffix}"] == f"/kitti/camera_color_{side}/image_raw{suffix}"
        assert remappings[f"{side}/camera_info"] == f"/kitti/camera_color_{side}/camera_info"
    assert parameters_of(node) == (["scanssc.yaml"], [{"extrinsics_source": "auto"}])


def test_what_the_launch_file_chooses_comes_before_the_users_file_and_what_the_user_gives_after_it(
    launch_file, tmp_path
):
    mine = tmp_path / "mine.yaml"
    mine.touch()
    (node,) = started(launch_file, params_file=str(mine), image_transport="raw", use_sim_time="false", device="cpu")
    first, of_camera, of_user, given = node.kwargs["parameters"]
    assert (Path(first).name, of_camera, of_user) == ("scanssc.yaml", {"extrinsics_source": "auto"}, str(mine))
    assert given == {"image_transport": "raw", "use_sim_time": False, "device": "cpu"}


def test_parameter_file_that_does_not_exist_is_refused_by_name(launch_file, tmp_path):
    with pytest.raises(ValueError, match="params_file: no file at .*nothing.yaml"):
        started(launch_file, params_file=str(tmp_path / "nothing.yaml"))


def test_every_argument_of_a_parameter_is_unset_by_default(launch_file):
    declared = {action.args[0]: action.kwargs for action in actions_of(launch_file, "DeclareLaunchArgument")}
    names = {entry.name for entry in dataclasses.fields(NodeParameters)} | {"use_sim_time"}
    assert [name for name in names & set(declared) if declared[name]["default_value"]] == []
    assert names & set(declared) == {*launch_file.TEXT_PARAMETERS, *launch_file.SWITCHES}


@pytest.mark.parametrize("given", [{"namespace": "front"}, {"left_image": "/cam/left"}, {"ros_namespace": "robot"}])
def test_a_rig_of_ones_own_gets_neither_names_nor_pose_of_kitti(launch_file, given):
    (node,) = started(launch_file, **given)
    assert node.kwargs["namespace"] == given.get("namespace", "")
    assert not any("kitti" in target for _, target in node.kwargs["remappings"])
    assert parameters_of(node) == (["scanssc.yaml"], [{"grid_frame": "base_link", "ground_z_m": 0.0}])
    assert dict(node.kwargs["remappings"]).get("left/image_rect") == given.get("left_image")


def test_topics_of_a_camera_and_single_topics_are_remapped(launch_file):
    (node,) = started(launch_file, camera="kitti_to_ros2bag", right_image="/my/right")
    remappings = dict(node.kwargs["remappings"])
    assert remappings["left/image_rect/compressed"] == "/kitti/camera/color/left/image_raw/compressed"
    assert remappings["right/image_rect/compressed"] == "/my/right/compressed"
    assert remappings["left/camera_info"] == "/kitti/camera/color/left/camera_info"


def test_depth_topics_and_rectification_can_be_given(launch_file):
    (node,) = started(launch_file, stereo_backend="topic", depth_input="depth", depth="/zed/depth", rectify="true")
    remappings = dict(node.kwargs["remappings"])
    assert remappings["depth"] == "/zed/depth"
    assert "disparity" not in remappings
    assert parameters_of(node)[1][-1] == {"stereo_backend": "topic", "depth_input": "depth", "rectify": True}


CAMERAS = sorted(file.stem for file in (ROOT / "config" / "cameras").glob("*.yaml"))


@pytest.mark.parametrize("camera", CAMERAS)
def test_camera_brings_topics_and_parameters_that_the_node_takes(launch_file, camera):
    name = {"camera_name": "Bumblebee_X/serial_1"} if camera == "bumblebee" else {}
    (node,) = started(launch_file, camera=camera, **name)
    parameters = node.kwargs["parameters"][1]
    assert NodeParameters(**parameters).problems() == []
    texts = [target for _, target in node.kwargs["remappings"]] + [v for v in parameters.values() if isinstance(v, str)]
    assert not any("{" in text for text in texts)
    has_topics = {"left/image_rect", "right/image_rect", "left/camera_info", "right/camera_info"} <= {
        source for source, _ in node.kwargs["remappings"]
    }
    assert has_topics == (camera != "generic")


def test_name_of_a_camera_goes_into_its_topics(launch_file):
    (node,) = started(launch_file, camera="zed", camera_name="front")
    assert dict(node.kwargs["remappings"])["left/image_rect"] == "/front/zed_node/left/color/rect/image"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"camera": "bumblebee"}, "camera_name: expected the name of the bumblebee"),
        ({"camera": "kitti", "camera_name": "front"}, "the topics of camera:=kitti have no such name"),
        ({"topics": "kitti2bag"}, "topics: this argument is now camera"),
    ],
)
def test_names_that_a_camera_lacks_or_does_not_have_are_refused(launch_file, given, reason):
    with pytest.raises(ValueError, match=reason):
        started(launch_file, **given)


def test_rviz_shows_the_topics_of_the_node_in_its_namespace(launch_file):
    node, rviz = started(launch_file, rviz="true", namespace="front", use_sim_time="true")
    assert rviz.kwargs["namespace"] == node.kwargs["namespace"] == "front"
    shown = re.findall(r"Value: (/\S+)", Path(rviz.kwargs["arguments"][1]).read_text())
    remappings = dict(rviz.kwargs["remappings"])
    assert shown and {remappings[topic] for topic in shown} == {
        *(f"scanssc/{name}" for name in ("markers", "points", "depth", "costmap", "obstacles", "ground")),
        "left/image_rect",
    }
    assert rviz.kwargs["parameters"] == [{"use_sim_time": True}]
    _, rviz = started(launch_file, rviz="true", camera="kitti")
    assert dict(rviz.kwargs["remappings"])["/left/image_rect"] == "/kitti/camera_color_left/image_raw"


def test_the_layout_for_foxglove_shows_the_topics_of_the_node(launch_file):
    layout = json.loads((ROOT / "config" / "foxglove.json").read_text())
    panels = layout["configById"]

    def names(part):
        return {part} if isinstance(part, str) else names(part["first"]) | names(part["second"])

    assert names(layout["layout"]) == set(panels)
    shown = {panel["imageMode"]["imageTopic"] for panel in panels.values() if "imageMode" in panel}
    shown |= set(panels["3D!grid"]["topics"])
    assert shown == {"/left/image_rect", *(f"/scanssc/{name}" for name in launch_file.OUTPUTS if name != "occupancy")}


def test_rviz_is_started_with_our_configuration_only_when_asked_for(launch_file):
    nodes = started(launch_file, rviz="true")
    assert [node.kwargs["package"] for node in nodes] == ["scanssc_ros", "rviz2"]
    assert Path(nodes[1].kwargs["arguments"][1]).name == "scanssc.rviz"
    assert Path(nodes[1].kwargs["arguments"][1]).exists()


@pytest.mark.parametrize(
    ("distribution", "variable"),
    [
        ("humble", "FASTRTPS_DEFAULT_PROFILES_FILE"),
        ("jazzy", "FASTRTPS_DEFAULT_PROFILES_FILE"),
        ("kilted", "FASTDDS_DEFAULT_PROFILES_FILE"),
    ],
)
def test_shared_memory_profile_is_set_under_the_name_the_distribution_reads(
    launch_file, monkeypatch, distribution, variable
):
    monkeypatch.setenv("ROS_DISTRO", distribution)
    (action,) = actions_of(launch_file, "SetEnvironmentVariable")
    assert action.args[0] == variable
    default = action.args[1].kwargs["default_value"]
    assert Path(default).exists()


def test_map_node_is_started_beside_when_asked_for_and_hears_the_node(launch_file, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.touch()
    node, semantic_map = started(launch_file, map="true", namespace="front", params_file=str(mine), use_sim_time="true")
    assert (semantic_map.kwargs["executable"], semantic_map.kwargs["name"]) == ("semantic_map", "semantic_map")
    assert semantic_map.kwargs["namespace"] == node.kwargs["namespace"] == "front"
    assert dict(semantic_map.kwargs["remappings"]) == {
        "grid": "scanssc/occupancy",
        "depth": "scanssc/depth",
        "depth/camera_info": "left/camera_info",
    }
    assert any(isinstance(given, dict) and given.get("publish_confidence") for given in node.kwargs["parameters"])
    files, given = parameters_of(semantic_map)
    assert files == ["semantic_map.yaml", "mine.yaml"]
    assert given == [{"ground_z_m": 0.0}, {"use_sim_time": True}]  # of camera:=generic
