"""Entry for tools that still ask for a setup.py: everything is declared in pyproject.toml.

`pip install .` installs scanssc_core and the `scanssc` command without any ROS; colcon builds CMakeLists.txt instead.
"""

from setuptools import setup

setup()
