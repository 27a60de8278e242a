"""Start the scanssc node, with the map node and RViz if asked for.

ros2 launch scanssc_ros scanssc.launch.py                                           bags of kitti2bag
ros2 launch scanssc_ros scanssc.launch.py camera:=zed                               a ZED and its driver
ros2 launch scanssc_ros scanssc.launch.py map:=true                                 /semantic_map/map beside it
ros2 launch scanssc_ros scanssc.launch.py namespace:=front params_file:=front.yaml  /front/left/image_rect ...

Parameters come from config/scanssc.yaml, from the camera's file in config/cameras, from params_file, and from the
arguments that are given: the later goes before the earlier.
"""

from pathlib import Path

import yaml
from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from scanssc_ros.distribution import profile_variable

SIDES = ("left", "right")
# The node takes image_raw with rectify:=true; both names and both transports are remapped, whatever the parameters say.
IMAGE_NAMES = ("image_rect", "image_raw")
# Of stereo_backend:=topic.
DEPTH_TOPICS = ("disparity", "depth")
TOPICS = (*(f"{side}_{kind}" for side in SIDES for kind in ("image", "camera_info")), *DEPTH_TOPICS)
OUTPUTS = ("occupancy", "markers", "points", "depth", "costmap", "obstacles", "ground")
# Arguments that set the parameter of their name.
TEXT_PARAMETERS = (
    "image_transport",
    "model",
    "checkpoint",
    "stereo_backend",
    "stereo_checkpoint",
    "depth_input",
    "device",
    "grid_pose",
)
SWITCHES = ("rectify", "use_sim_time")


def _cameras() -> Path:
    return Path(get_package_share_directory("scanssc_ros")) / "config" / "cameras"


def _preset(camera: str, camera_name: str) -> dict:
    """Topics and parameters of a camera, for one of this name."""
    preset = yaml.safe_load((_cameras() / f"{camera}.yaml").read_text())
    name = camera_name or preset.get("camera_name")
    if name == "":
        raise ValueError(f"camera_name: expected the name of the {camera}, which its topics begin with")
    if camera_name and "camera_name" not in preset:
        raise ValueError(f"camera_name: {camera_name} was given, but the topics of camera:={camera} have no such name")

    def named(value: object) -> object:
        return value.format(camera_name=name) if isinstance(value, str) else value

    return {part: {key: named(value) for key, value in preset[part].items()} for part in ("topics", "parameters")}


def _start(context: LaunchContext) -> list:
    """The node, and RViz, with all arguments known."""

    def argument(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    given_topics = {name: argument(name) for name in TOPICS if argument(name)}
    if LaunchConfiguration("topics", default="").perform(context):
        raise ValueError("topics: this argument is now camera, and kitti2bag is now kitti")
    pushed_namespace = LaunchConfiguration("ros_namespace", default="").perform(context)  # of PushRosNamespace
    is_own_rig = any((argument("namespace"), pushed_namespace, given_topics))
    preset = _preset(argument("camera") or ("generic" if is_own_rig else "kitti"), argument("camera_name"))
    topics = preset["topics"] | given_topics

    remappings = [(name, topics[name]) for name in DEPTH_TOPICS if name in topics]
    for side in SIDES:
        if f"{side}_image" in topics:
            remappings += [
                (f"{side}/{name}{suffix}", topics[f"{side}_image"] + suffix)
                for name in IMAGE_NAMES
                for suffix in ("", "/compressed")
            ]
        if f"{side}_camera_info" in topics:
            remappings.append((f"{side}/camera_info", topics[f"{side}_camera_info"]))

    config = Path(get_package_share_directory("scanssc_ros")) / "config"
    # The map weighs what it is told by its confidence.
    for_map = {"publish_confidence": True} if argument("map") == "true" else {}
    parameters: list = [str(config / "scanssc.yaml"), preset["parameters"] | for_map]
    if argument("params_file"):
        if not Path(argument("params_file")).is_file():
            raise ValueError(f"params_file: no file at {argument('params_file')}")
        parameters.append(argument("params_file"))
    given = {name: argument(name) for name in TEXT_PARAMETERS if argument(name)}
    switched = {name: argument(name) == "true" for name in SWITCHES if argument(name)}
    if given or switched:
        parameters.append(given | switched)
    nodes = [
        Node(
            package="scanssc_ros",
            executable="scanssc_node",
            name="scanssc",
            namespace=argument("namespace"),
            output="screen",
            parameters=parameters,
            remappings=remappings,
            arguments=["--ros-args", "--log-level", argument("log_level")],
        )
    ]
    if argument("map") == "true":
        ground = {name: value for name, value in preset["parameters"].items() if name == "ground_z_m"}
        if given.get("grid_pose") == "ground":
            ground = {"ground_z_m": 0.0}  # of the frame that stands on it
        values: list = [str(config / "semantic_map.yaml"), ground]
        values += [argument("params_file")] if argument("params_file") else []
        sim_time = [{"use_sim_time": switched["use_sim_time"]}] if "use_sim_time" in switched else []
        nodes.append(
            Node(
                package="scanssc_ros",
                executable="semantic_map",
                name="semantic_map",
                namespace=argument("namespace"),
                output="screen",
                parameters=[*values, *sim_time],
                remappings=[
                    ("grid", "scanssc/occupancy"),
                    ("depth", "scanssc/depth"),
                    ("depth/camera_info", topics.get("left_camera_info", "left/camera_info")),
                ],
                arguments=["--ros-args", "--log-level", argument("log_level")],
            )
        )
    if argument("rviz") == "true":
        nodes.append(
            Node(
                package="rviz2",
                executable="rviz2",
                namespace=argument("namespace"),
                arguments=["-d", str(config / "scanssc.rviz")],
                parameters=[{"use_sim_time": switched.get("use_sim_time", False)}],
                # The file has the names of a node without a namespace; these lie in that of RViz.
                remappings=[
                    *((f"/scanssc/{name}", f"scanssc/{name}") for name in OUTPUTS),
                    ("/left/image_rect", topics.get("left_image", "left/image_rect")),
                ],
            )
        )
    return nodes


def generate_launch_description() -> LaunchDescription:
    """Arguments, environment, node."""
    config = Path(get_package_share_directory("scanssc_ros")) / "config"
    profile = EnvironmentVariable(profile_variable(), default_value=str(config / "fastdds.xml"))

    def declare(name: str, description: str, choices: list[str] | None = None, default: str = "") -> object:
        return DeclareLaunchArgument(name, default_value=default, description=description, choices=choices)

    def declare_parameter(name: str, description: str, choices: list[str] | None = None) -> object:
        return declare(name, f"{description}; empty = as in params_file.", ["", *choices] if choices else None)

    return LaunchDescription(
        [
            declare("params_file", "Parameters of the node that are to differ from config/scanssc.yaml."),
            declare("namespace", "Namespace of the node, its inputs and its outputs."),
            declare(
                "camera",
                "Topics and parameters of this camera and its driver (docs/cameras.md); empty = kitti, but generic "
                "where a namespace or a topic is given.",
                ["", *sorted(file.stem for file in _cameras().glob("*.yaml"))],
            ),
            declare("camera_name", "Name of the camera, which its driver puts before its topics; empty = its default."),
            *(
                declare(
                    f"{side}_{kind}",
                    f"Topic of the {side} {kind}; empty = that of `camera`.",
                )
                for side in SIDES
                for kind, name in (("image", "image_rect"), ("camera_info", "camera_info"))
            ),
            *(
                declare(
                    name,
                    f"Topic of the {name} of the left camera, for stereo_backend:=topic; empty = that of `camera`.",
                )
                for name in DEPTH_TOPICS
            ),
            declare_parameter("image_transport", "Type of the image topics", ["raw", "compressed"]),
            declare_parameter("model", "Source of occupancy"),
            declare_parameter("checkpoint", "Weights for model semantic_kitti or kitti360"),
            declare_parameter("stereo_backend", "Source of depth"),
            declare_parameter("stereo_checkpoint", "Weights of MobileStereoNet"),
            declare_parameter("depth_input", "What stereo_backend:=topic takes", ["disparity", "depth"]),
            declare_parameter("rectify", "Rectify images in the node, which then takes image_raw", ["true", "false"]),
            declare_parameter("device", "auto, cpu or cuda"),
            declare_parameter("grid_pose", "Where the grid stands (docs/cameras.md)", ["fixed", "ground"]),
            declare_parameter("use_sim_time", "Take the time from /clock", ["true", "false"]),
            declare("map", "Start the map node too (docs/mapping.md).", ["true", "false"], "false"),
            declare("rviz", "Start RViz with config/scanssc.rviz.", ["true", "false"], "false"),
            declare("log_level", "Log level of the node.", default="info"),
            SetEnvironmentVariable(profile_variable(), profile),
            OpaqueFunction(function=_start),
        ]
    )
