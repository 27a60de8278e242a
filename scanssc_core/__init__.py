"""Semantic scene completion from a stereo pair, without ROS (see docs/architecture.md for the map)."""

__version__ = "0.2.0"
