"""ROS 2 nodes of scanssc_ros and helpers for their subscribers; the message is in scanssc_ros.msg."""

from pkgutil import extend_path

# In the source tree this folder has no msg/: let the built one be found too.
__path__ = extend_path(__path__, __name__)
