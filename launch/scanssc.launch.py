"""Start the scanssc node, with RViz if asked for.

ros2 launch scanssc_ros scanssc.launch.py topics:=kitti2bag image_transport:=compressed rviz:=true
"""

import os
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription

# Names in the node, before remapping.
NODE_TOPICS = {
    "left_image": "/kitti/camera_color_left/image_raw",
    "right_image": "/kitti/camera_color_right/image_raw",
    "left_camera_info": "/kitti/camera_color_left/camera_info",
    "right_camera_info": "/kitti/camera_color_right/camera_info",
}
# Of stereo_backend:=topic; no converter makes them.
DEPTH_TOPICS = {
    "disparity": "/kitti/camera_color_left/disparity",
    "depth": "/kitti/camera_color_left/depth",
}
# Names that the converters of KITTI to bags give: image topics and camera_info topics, with {side} for left and right.
CONVERTERS = {
    "kitti2bag": ("/kitti/camera_color_{side}/image_raw", "/kitti/camera_color_{side}/camera_info"),
    "kitti2bag_odometry": ("/kitti/camera_color_{side}/image_rect", "/kitti/camera_color_{side}/camera_info"),
    "kitti_to_ros2bag": ("/kitti/camera/color/{side}/image_raw", "/kitti/camera/color/{side}/camera_info"),
}
# Up to Jazzy, Fast DDS reads its profile from a variable of the older name; Kilted warns when it sees that one.
FASTRTPS_DISTRIBUTIONS = ("humble", "iron", "jazzy")


def _start(context: LaunchContext) -> list:
    """The node, and RViz, with all arguments known."""

    def argument(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    image, camera_info = CONVERTERS[argument("topics")]
    is_compressed = argument("image_transport") == "compressed"
    remappings = []
    for name, node_topic in NODE_TOPICS.items():
        side = name.partition("_")[0]
        preset = (camera_info if name.endswith("camera_info") else image).format(side=side)
        suffix = "/compressed" if is_compressed and name.endswith("image") else ""
        remappings.append((node_topic + suffix, (argument(name) or preset) + suffix))

    remappings += [(topic, argument(name) or topic) for name, topic in DEPTH_TOPICS.items()]

    overrides = {"use_sim_time": argument("use_sim_time") == "true", "image_transport": argument("image_transport")}
    texts = ("model", "checkpoint", "stereo_backend", "stereo_checkpoint", "depth_input", "device")
    overrides |= {name: argument(name) for name in texts if argument(name)}
    overrides |= {"rectify": argument("rectify") == "true"} if argument("rectify") else {}
    rviz_file = Path(get_package_share_directory("scanssc_ros")) / "config" / "scanssc.rviz"
    nodes = [
        Node(
            package="scanssc_ros",
            executable="scanssc_node",
            name="scanssc",
            output="screen",
            parameters=[argument("params_file"), overrides],
            remappings=remappings,
            arguments=["--ros-args", "--log-level", argument("log_level")],
        )
    ]
    if argument("rviz") == "true":
        nodes.append(
            Node(
                package="rviz2",
                executable="rviz2",
                arguments=["-d", str(rviz_file)],
                parameters=[{"use_sim_time": overrides["use_sim_time"]}],
            )
        )
    return nodes


def generate_launch_description() -> LaunchDescription:
    """Arguments, environment, node."""
    config = Path(get_package_share_directory("scanssc_ros")) / "config"
    is_older = os.environ.get("ROS_DISTRO") in FASTRTPS_DISTRIBUTIONS
    profile_variable = "FASTRTPS_DEFAULT_PROFILES_FILE" if is_older else "FASTDDS_DEFAULT_PROFILES_FILE"
    profile = EnvironmentVariable(profile_variable, default_value=str(config / "fastdds.xml"))

    def declare(name: str, default: str, description: str, choices: list[str] | None = None) -> DeclareLaunchArgument:
        return DeclareLaunchArgument(name, default_value=default, description=description, choices=choices)

    return LaunchDescription(
        [
            declare("params_file", str(config / "scanssc.yaml"), "Parameters of the node."),
            declare("topics", "kitti2bag", "Topic names of this converter.", list(CONVERTERS)),
            *(
                declare(name, "", f"Topic of the {name.replace('_', ' ')}; empty = the converter's.")
                for name in NODE_TOPICS
            ),
            *(
                declare(name, "", f"Topic of the {name} of the left camera, for stereo_backend:=topic.")
                for name in DEPTH_TOPICS
            ),
            declare("image_transport", "raw", "Type of the image topics.", ["raw", "compressed"]),
            declare("model", "", "Source of occupancy; empty = as in params_file."),
            declare("checkpoint", "", "Weights of a ScanSSC model; empty = as in params_file."),
            declare("stereo_backend", "", "Source of depth; empty = as in params_file."),
            declare("stereo_checkpoint", "", "Weights of MobileStereoNet; empty = as in params_file."),
            declare(
                "depth_input",
                "",
                "What stereo_backend:=topic takes; empty = as in params_file.",
                ["", "disparity", "depth"],
            ),
            declare("rectify", "", "Rectify images in the node; empty = as in params_file.", ["", "true", "false"]),
            declare("device", "", "auto, cpu or cuda; empty = as in params_file."),
            declare("use_sim_time", "false", "Take the time from /clock.", ["true", "false"]),
            declare("rviz", "false", "Start RViz with config/scanssc.rviz.", ["true", "false"]),
            declare("log_level", "info", "Log level of the node."),
            SetEnvironmentVariable(profile_variable, profile),
            OpaqueFunction(function=_start),
        ]
    )
