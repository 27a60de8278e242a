"""Motion by stereo against odometry, on a synthetic drive whose poses are exact."""

import numpy as np
import pytest

from scanssc_core.geometry import PinholeCamera, StereoRig, invert_transform
from scanssc_core.health.input_health import InputHealth, Thresholds
from scanssc_core.health.odometry_scale import MIN_MOVED_M, OdometryScale, Reference, compare, moved_m
from scanssc_core.health.pictures import reduce_picture
from scanssc_core.synthetic.rigs import LEVEL_MOUNT
from scanssc_core.synthetic.scene import Scene
from scanssc_core.synthetic.sequence import SyntheticSequence

CAMERA = PinholeCamera(180.0, 180.0, 155.5, 59.5, width=312, height=120)


def test_placeholder():
    pass
