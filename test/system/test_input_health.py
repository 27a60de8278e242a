"""Faults of the pictures and the installed node: a warning by its name, a drop by its cause, an end with the fault."""

import array
import itertools

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import Image

from system.harness import HEIGHT, WIDTH, World, set_parameter

_DISPARITY_PX = 9


def street(index: int) -> tuple[np.ndarray, np.ndarray]:
    """Left and right (H, W, 3) image of a wall with texture of many sizes, another one for every index."""
    rng = np.random.default_rng(index)
    texture = np.zeros((HEIGHT, WIDTH + _DISPARITY_PX), np.float32)
    for size in (1, 2, 4, 8, 16):
        noise = rng.normal(0, 2 * size, (HEIGHT // size + 2, texture.shape[1] // size + 2)).astype(np.float32)
        whole = cv2.resize(noise, None, fx=size, fy=size, interpolation=cv2.INTER_CUBIC)
        texture += whole[:HEIGHT, : texture.shape[1]]
    rgb = np.repeat(np.clip(110 + texture, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    return rgb[:, :WIDTH], rgb[:, _DISPARITY_PX:]


def half_covered(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    left = left.copy()
    left[:, : WIDTH // 2] = 10
    return left, right


def frozen(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return left, street(0)[1]


FAULTS = {
    "dark": lambda left, right: (left // 50, right),
    "overexposed": lambda left, right: (left, np.full_like(right, 255)),
    "blurred": lambda left, right: (cv2.GaussianBlur(left, (0, 0), 3), right),
    "blocked": half_covered,
    "frozen": frozen,
    "swapped": lambda left, right: (right, left),
}


def publish(world: World, index: int, fault=None) -> int:
    pair = street(index) if fault is None else fault(*street(index))
    messages = []
    for rgb in pair:
        message = Image(height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH)
        message.header.frame_id = "camera_color_left"
        message.data = array.array("B", np.ascontiguousarray(rgb).tobytes())
        messages.append(message)
    return world.publish_pair(*messages)


def level(world: World, name: str) -> bytes:
    return world.statuses[name].level if name in world.statuses else DiagnosticStatus.STALE


@pytest.fixture
def node(world, activate):
    # One odd pair counts: what a median hides is for the unit tests. The ground of a wall is none.
    node = activate(max_age_s=60.0, max_frozen_s=0.35, max_ground_offset=0.0)
    world.wait_for_node(node)
    return node


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_warned_of_by_name_dropped_by_cause_when_asked_and_over_with_its_end(world, node, name):
    indices = itertools.count()
    num_pairs = 35 if name == "swapped" else 6  # sides: median of 15 measurements, the first three and every 5th pair
    for _ in range(11):
        world.wait_for_grid(publish(world, next(indices)))
    world.spin_until(lambda: level(world, name) == DiagnosticStatus.OK)

    for _ in range(num_pairs):
        world.wait_for_grid(publish(world, next(indices), FAULTS[name]))  # a warning costs no grid
    world.spin_until(lambda: level(world, name) == DiagnosticStatus.WARN)
    assert "_" in world.message(name)  # the parameter that decides

    assert set_parameter(world, "drop_faulty", True).successful
    num_grids = len(world.grids)
    publish(world, next(indices), FAULTS[name])
    world.spin_until(lambda: world.value("pipeline", f"dropped.{name}") == "1")
    assert world.value("pipeline", f"reason.{name}") == world.message(name)
    assert level(world, "pipeline") == DiagnosticStatus.WARN and len(world.grids) == num_grids

    assert set_parameter(world, "drop_faulty", False).successful
    for _ in range(num_pairs):
        world.wait_for_grid(publish(world, next(indices)))
    world.spin_until(lambda: level(world, name) == DiagnosticStatus.OK)


def test_a_check_that_is_off_has_no_diagnostic_and_drops_nothing(world, node):
    for name, value in (
        ("min_brightness", 0.0),
        ("min_sharpness", 0.0),
        ("min_depth_coverage", 0.0),
        ("drop_faulty", True),
    ):
        assert set_parameter(world, name, value).successful
    for name in ("max_blocked", "max_frozen_s", "max_overexposed"):
        assert set_parameter(world, name, 0.0).successful
    world.wait_for_grid(publish(world, 0, lambda left, right: (left * 0, right * 0)))
    world.statuses.clear()
    world.spin_until(lambda: "pipeline" in world.statuses)
    assert not {"dark", "blurred", "blocked", "frozen", "overexposed", "depth coverage"} & set(world.statuses)
