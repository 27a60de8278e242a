"""Command lines of programs that take nothing but ROS arguments."""

import argparse
import sys

from rclpy.utilities import remove_ros_args


def refuse_arguments(program: str, description: str) -> None:
    """Answer --help, and refuse whatever is left beside the ROS arguments: ROS itself would ignore it.

    Raises:
        SystemExit: with status 0 after --help, 2 after a refusal.
    """
    parser = argparse.ArgumentParser(
        prog=program,
        description=description,
        usage="%(prog)s [-h] [--ros-args -p PARAMETER:=VALUE ... -r NAME:=OTHER ... --params-file FILE]",
    )
    try:
        _, *left = remove_ros_args(sys.argv)
    except RuntimeError:  # a slip in the ROS arguments: rclpy.init says which
        return
    _, left = parser.parse_known_args(left)
    if left:
        parser.error(f"not understood: {' '.join(left)}; parameters go after --ros-args: --ros-args -p model:=stereo")
