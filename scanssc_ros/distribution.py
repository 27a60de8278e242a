"""What differs between the distributions of ROS 2: the only place that asks which one this is.

All that rclpy differs in, from Humble on, is spelled so that each of them takes it (docs/distributions.md); what cannot
be, is here. ROS_DISTRO is set by every set-up file, and by the environment of the Makefile.
"""

import os

# Kilted brought Fast DDS 3, which reads its profile from a variable of a new name, and warns of the older one.
_WITH_FAST_DDS_2 = ("humble", "iron", "jazzy")


def profile_variable() -> str:
    """Name of the environment variable that Fast DDS reads the file of its profile from."""
    return f"{'FASTRTPS' if os.environ.get('ROS_DISTRO') in _WITH_FAST_DDS_2 else 'FASTDDS'}_DEFAULT_PROFILES_FILE"
