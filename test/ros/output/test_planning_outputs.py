"""What PlanningOutputs makes for whom, with stand-ins for publishers (and for vision_msgs, which the wheels lack)."""

import sys
from dataclasses import dataclass, field
from types import ModuleType

import numpy as np
import pytest
from rclpy.logging import get_logger
from std_msgs.msg import Header

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import SEMANTIC_KITTI
from scanssc_core.occupancy.interface import Occupancy
from scanssc_core.planning import RobotBody
from scanssc_ros.output import planning
from scanssc_ros.output.class_costs import read_costs
from scanssc_ros.output.planning import LABELS, LATCHED, PlanningOutputs

GRID = VoxelGridSpec(shape=(7, 4, 5), voxel_size_m=0.5, origin_m=(0.0, -1.0, -0.5))
LABELS_OF_GRID = np.random.default_rng(0).choice([0, 1, 9, 255], size=GRID.shape).astype(np.uint8)


class Publishers:
    """Stands in for LazyPublishers: `wanted` are the outputs that someone subscribes to."""

    def __init__(self, node, outputs):
        self.outputs, self.wanted, self.published = outputs, set(), []

    def is_due(self, name, max_rate_hz):
        return name in self.wanted

    def publish(self, name, message):
        self.published.append((name, message))
        return name


class Node:
    def get_logger(self):
        return get_logger("test")


@dataclass
class VisionClass:
    class_id: int
    class_name: str


@dataclass
class LabelInfo:
    header: Header
    class_map: list = field(default_factory=list)


@pytest.fixture
def make_outputs(monkeypatch):
    monkeypatch.setattr(planning, "LazyPublishers", Publishers)

    def make(*wanted):
        outputs = PlanningOutputs(Node(), read_costs(""), RobotBody(0.1, 2.0), 0.0)
        outputs._publishers.wanted = set(wanted)
        return outputs

    return make


def publish(outputs, confidence=None):
    occupancy = Occupancy(LABELS_OF_GRID, confidence)
    return outputs.publish(occupancy, SEMANTIC_KITTI.names, GRID, Header(frame_id="odom"), np.zeros(3), -0.5, 0.0)


def test_nothing_is_computed_for_nobody(make_outputs, monkeypatch):
    def fail(*arguments):
        raise AssertionError("computed")

    monkeypatch.setattr(planning, "find_columns", fail)
    assert publish(make_outputs()) == []


def test_a_costmap_alone_needs_no_rays_and_a_cloud_no_costs(make_outputs, monkeypatch):
    def fail(*arguments):
        raise AssertionError("computed")

    with monkeypatch.context() as patched:
        patched.setattr(planning, "clearing_ends", fail)
        assert publish(make_outputs("costmap", "obstacles")) == ["costmap", "obstacles"]
    monkeypatch.setattr(planning, "cost_of_columns", fail)
    assert publish(make_outputs("ground")) == ["ground"]


def test_the_topics_of_the_segmentation_layer_come_together(make_outputs):
    confidence = np.arange(LABELS_OF_GRID.size, dtype=np.uint8).reshape(GRID.shape)
    outputs = make_outputs("segmentation/mask")
    assert publish(outputs, confidence) == [
        "segmentation/points",
        "segmentation/mask",
        "segmentation/confidence",
    ]
    points, mask, confidences = (message for _, message in outputs._publishers.published)
    assert points.width == mask.width == confidences.width > 0
    assert points.header == mask.header == confidences.header


def test_a_model_without_confidence_has_none_to_publish(make_outputs):
    assert publish(make_outputs("segmentation/mask")) == ["segmentation/points", "segmentation/mask"]


def test_label_info_is_published_once_and_kept_for_late_layers_where_vision_msgs_is_installed(
    make_outputs, monkeypatch
):
    module = ModuleType("vision_msgs.msg")
    module.VisionClass, module.LabelInfo = VisionClass, LabelInfo
    monkeypatch.setitem(sys.modules, "vision_msgs", ModuleType("vision_msgs"))
    monkeypatch.setitem(sys.modules, "vision_msgs.msg", module)
    monkeypatch.setattr(planning, "find_spec", lambda name: name)
    outputs = make_outputs()
    assert outputs._publishers.outputs[LABELS] == (LabelInfo, LATCHED)
    publish(outputs)
    publish(outputs)
    ((name, info),) = outputs._publishers.published
    assert name == LABELS
    assert {entry.class_id: entry.class_name for entry in info.class_map} == dict(enumerate(SEMANTIC_KITTI.names))


def test_without_vision_msgs_the_other_outputs_are_there(make_outputs):
    assert LABELS not in make_outputs()._publishers.outputs
