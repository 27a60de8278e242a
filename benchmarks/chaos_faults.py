"""The faults of benchmarks/chaos.py: each is done to a running node, and says how long the node took to recover."""

import time
from array import array
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from chaos_world import DISPARITY_PX, PATIENCE_S, TELLING_S, WALL_M, Chaos
from lifecycle_msgs.msg import State, Transition
from rclpy.serialization import serialize_message
from rig import OUTPUTS, SIDES, CameraSettings, ListenerSettings, Process
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest

from system.harness import (
    BASELINE_M,
    HEIGHT,
    SECOND_NS,
    WIDTH,
    camera_info,
    change_state,
    make_image,
    set_stamp,
    state,
)

_STRANGERS_WALL_M = 0.58 * WIDTH * BASELINE_M / DISPARITY_PX  # of rig.Camera


def _cut(image: Image, width: int, height: int) -> Image:
    """The upper left part of an image."""
    rows = np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3)[:height, :width]
    return Image(
        header=image.header,
        width=width,
        height=height,
        step=3 * width,
        encoding=image.encoding,
        data=array("B", rows.tobytes()),
    )


# Processes that die


def kill_camera(chaos: Chaos) -> float:
    """A camera in a process of its own is killed, and another one starts: from its first pair to the first grid."""
    world = chaos.world
    world.stranger_m = _STRANGERS_WALL_M
    recovery_s = 0.0
    for _ in range(2):
        camera = Process(CameraSettings(reliability="best_effort"))
        num_right = len(world.right)

        def is_heard(num_right: int = num_right) -> bool:
            world.judge()
            return len(world.right) > num_right + 3

        world.spin_until(is_heard, PATIENCE_S)
        first_ns, at_s = world.right[num_right]
        now_ns = world.get_clock().now().nanoseconds
        recovery_s = max(recovery_s, (now_ns - first_ns) / 1e9 - (time.monotonic() - at_s))
        camera.kill()
        world.spin_for(float(chaos.rng.uniform(0.0, 1.0)))
    world.spin_until(lambda: world.has_told("stale: nothing on /left/image_rect"), TELLING_S)
    chaos.settle()
    return recovery_s


def kill_listener(chaos: Chaos) -> None:
    """A subscriber to all outputs is killed while it receives."""
    listener = Process(ListenerSettings(list(OUTPUTS)))
    chaos.world.spin_until(lambda: chaos.world.count_subscribers("scanssc/markers") > 0, PATIENCE_S)
    chaos.flow(float(chaos.rng.uniform(0.5, 1.5)))
    listener.kill()


def kill_node(chaos: Chaos) -> None:
    """The node is killed while it computes, and started again: from when it is active."""
    chaos.flow(float(chaos.rng.uniform(0.2, 1.0)))
    chaos.node.process.kill()
    chaos.node.process.wait()
    chaos.restart()


def one_camera_dead(chaos: Chaos) -> None:
    """One side falls silent."""
    side = chaos.side()
    topic = f"/{SIDES[side]}/image_rect"
    chaos.until_told(f"nothing on {topic}", lambda: {"sides": (side == 1, side == 0), "wall_m": None})


# Time


def stamps_jump(chaos: Chaos) -> None:
    """Stamps of both cameras jump back, forth, and stand still."""
    world = chaos.world
    behind_ns, ahead_ns = (int(chaos.rng.uniform(5, 3000) * SECOND_NS) for _ in range(2))
    world.offset_ns = -behind_ns
    chaos.until_told("too_old")
    world.offset_ns = ahead_ns
    chaos.until_told("ahead of the node's clock")
    world.told.clear()
    frozen_ns = world.get_clock().now().nanoseconds
    chaos.until_told("too_old|no pair has come", lambda: {"stamp_ns": frozen_ns, "wall_m": float("nan")})
    world.offset_ns = 0


def cameras_out_of_step(chaos: Chaos) -> None:
    """The right camera's clock runs apart: by tenths of a second, or by minutes."""
    apart_ns = int(chaos.rng.choice([-60.0, -0.05, 0.05, 60.0]) * SECOND_NS)
    chaos.until_told("no stamps are within", lambda: {"right_offset_ns": apart_ns, "wall_m": float("nan")})


def clock_jumps(chaos: Chaos) -> float:
    """Simulated time jumps back and forth, and the stamps with it; the node takes it from /clock."""
    world = chaos.world
    assert chaos.node.stop() == 0
    world.clock = world.create_publisher(Clock, "/clock", 10)
    chaos.restart(use_sim_time=True)
    recoveries_s = [chaos.recovery_s()]
    for _ in range(4):
        world.offset_ns = int(chaos.rng.uniform(-10_000, 10_000) * SECOND_NS)
        recoveries_s.append(chaos.recovery_s())
        chaos.flow(0.5)
    world.destroy_publisher(world.clock)
    world.clock, world.offset_ns = None, 0
    assert chaos.node.stop() == 0
    chaos.restart()
    return max(recoveries_s)


# Cameras that change


def resolution_changes(chaos: Chaos) -> float:
    """Images and CameraInfo of another size; before, of half a second, images alone."""
    width, height = 32 * int(chaos.rng.integers(7, 10)), 16 * int(chaos.rng.integers(4, 6))
    smaller = {"left": _cut(make_image(0), width, height), "right": _cut(make_image(DISPARITY_PX), width, height)}
    chaos.until_told("size_mismatch", lambda: {**smaller, "wall_m": None})
    return chaos.recovery_s(**smaller, infos=tuple(camera_info(side, 0, width, height) for side in SIDES))


def baseline_changes(chaos: Chaos) -> float:
    """CameraInfo says another baseline with every half a second: no depth may be of the one before."""
    recovery_s = 0.0
    for _ in range(6):
        factor = float(chaos.rng.uniform(0.5, 1.5))
        infos = tuple(camera_info(side, 0) for side in SIDES)
        infos[1].p[3] *= factor
        pair = {"infos": infos, "wall_m": factor * WALL_M}
        recovery_s = max(recovery_s, chaos.recovery_s(**pair))
        chaos.flow(0.5, **pair)
    return recovery_s


def encoding_changes(chaos: Chaos) -> float:
    """Another encoding and other padding every few pairs; the sides may differ."""
    recovery_s = 0.0
    for encoding in chaos.some(["rgb8", "bgr8", "rgba8", "bgra8", "mono8", "mono16"]):
        padding = int(chaos.rng.integers(0, 64))
        pair = {"left": make_image(0, encoding, padding), "right": make_image(DISPARITY_PX, encoding)}
        recovery_s = max(recovery_s, chaos.recovery_s(**pair))
    return recovery_s


def two_publishers(chaos: Chaos) -> None:
    """Another camera sends other images on the left topic."""
    world = chaos.world
    intruder = world.create_publisher(Image, "left/image_rect", 10)

    def intrude() -> dict[str, Any]:
        image = make_image(int(chaos.rng.integers(-20, 20)))
        set_stamp(image, world.get_clock().now().nanoseconds)
        intruder.publish(image)
        return {"wall_m": float("nan")}

    world.stranger_m = float("nan")
    chaos.until_told("2 publishers share the topic", intrude)
    world.destroy_publisher(intruder)
    world.spin_until(lambda: world.count_publishers("left/image_rect") == 1)
    chaos.settle()


# Messages that are broken
_BROKEN_IMAGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("bad_image", {"step": 1}),
    ("bad_image", {"step": 0}),
    ("bad_image", {"step": 2**32 - 1}),
    ("bad_image", {"data": array("B")}),
    ("bad_image", {"data": array("B", bytes(1000))}),
    ("bad_image", {"width": 0}),
    ("bad_image", {"height": 0}),
    ("bad_image", {"width": 2**32 - 1, "height": 2**32 - 1}),
    ("bad_image", {"width": 2**32 - 1, "height": 2**32 - 1, "step": 2**32 - 1}),
    ("bad_image", {"height": HEIGHT * 1000}),
    ("size_mismatch", {"height": HEIGHT // 2}),
    ("size_mismatch", {"width": WIDTH // 2}),
    ("bad_image", {"encoding": ""}),
    ("bad_image", {"encoding": "rgb8 "}),
    ("bad_image", {"encoding": "x" * 10_000}),
    ("bad_image", {"encoding": "32FC1"}),
    ("bad_image", {"encoding": "16UC1"}),
    ("bad_image", {"encoding": "rgb16"}),
)


def broken_images(chaos: Chaos) -> None:
    """Step, size and encoding that cannot be."""
    for cause, fields in chaos.some(_BROKEN_IMAGES):
        images = [make_image(0), make_image(DISPARITY_PX)]
        for name, value in fields.items():
            setattr(images[chaos.side()], name, value)
        chaos.world.told.clear()
        chaos.until_told(cause, partial(dict, left=images[0], right=images[1], wall_m=None))


def _set_p(index: int, value: float) -> Callable[[CameraInfo], None]:
    def change(info: CameraInfo) -> None:
        info.p[index] = value

    return change


def _set(**fields: Any) -> Callable[[CameraInfo], None]:
    def change(info: CameraInfo) -> None:
        for name, value in fields.items():
            setattr(info, name, value)

    return change


_BROKEN_INFOS: tuple[Callable[[CameraInfo], None], ...] = (
    *(_set_p(index, value) for index in (0, 2, 3, 5, 6) for value in (float("nan"), float("inf"), -1e300)),
    _set_p(0, 0.0),
    _set(p=[0.0] * 12),
    _set(p=[float("nan")] * 12),
    _set(width=0),
    _set(height=0),
    _set(width=2**32 - 1, height=2**32 - 1),
    _set(binning_x=2**32 - 1),
    _set(roi=RegionOfInterest(x_offset=2**32 - 1, width=10, height=10)),
    _set(roi=RegionOfInterest(width=2**32 - 1, height=2**32 - 1)),
)
#: What has no part in rectified images: the right output goes on.
_HARMLESS_INFOS: tuple[Callable[[CameraInfo], None], ...] = (
    _set(k=[float("nan")] * 9),
    _set(r=[float("inf")] * 9),
    _set(d=[float("nan")] * 5),
    _set(d=[0.1] * 1000),
    _set(distortion_model="x" * 10_000),
)


def broken_infos(chaos: Chaos) -> None:
    """NaN and numbers that no camera has, in CameraInfo."""
    for change in chaos.some(_BROKEN_INFOS):
        infos = tuple(camera_info(side, 0) for side in SIDES)
        change(infos[chaos.side()])
        chaos.world.told.clear()
        chaos.until_told("bad_calibration", partial(dict, infos=infos, wall_m=None))


def odd_infos(chaos: Chaos) -> float:
    """NaN in CameraInfo where it has no part in rectified images."""
    recovery_s = 0.0
    for change in chaos.some(_HARMLESS_INFOS):
        infos = tuple(camera_info(side, 0) for side in SIDES)
        change(infos[chaos.side()])
        recovery_s = max(recovery_s, chaos.recovery_s(infos=infos))
    return recovery_s


def broken_bytes(chaos: Chaos) -> None:
    """Serialised messages cut off, with bits turned over, and with lengths of gigabytes."""
    world = chaos.world
    world.stranger_m = float("nan")
    for _ in range(10 * chaos.num_cases):
        index = int(chaos.rng.integers(4))
        publisher = [*world.images, *world.infos][index]
        message = [make_image(0), make_image(DISPARITY_PX), camera_info("left", 0), camera_info("right", 0)][index]
        set_stamp(message, world.get_clock().now().nanoseconds)
        publisher.publish(broken(serialize_message(message), chaos.rng))
        world.spin_for(0.02)
    chaos.settle()


def broken(serialised: bytes, rng: np.random.Generator) -> bytes:
    """A message cut off, with bits turned over, or with a length of gigabytes in it."""
    content = bytearray(serialised)
    kind = rng.integers(3)
    if kind == 0:
        return bytes(content[: rng.integers(4, len(content))])
    if kind == 1:
        for position in rng.integers(4, min(len(content), 100), 5):
            content[position] ^= 1 << rng.integers(8)
        return bytes(content)
    position = 4 * int(rng.integers(1, min(len(content), 100) // 4))
    content[position : position + 4] = int(rng.choice([2**31, 2**32 - 1, 2**30, 10**9])).to_bytes(4, "little")
    return bytes(content)


# Life cycle


def transitions(chaos: Chaos) -> None:
    """Ten transitions by chance, also ones that are not allowed, while images flow; then it is led to active."""
    kinds = [
        Transition.TRANSITION_CONFIGURE,
        Transition.TRANSITION_ACTIVATE,
        Transition.TRANSITION_DEACTIVATE,
        Transition.TRANSITION_CLEANUP,
    ]
    for kind in chaos.rng.choice(kinds, 10):
        change_state(chaos.world, int(kind))
        chaos.flow(float(chaos.rng.uniform(0.0, 0.4)))
    if state(chaos.world) == State.PRIMARY_STATE_UNCONFIGURED:
        assert change_state(chaos.world, Transition.TRANSITION_CONFIGURE)
    if state(chaos.world) == State.PRIMARY_STATE_INACTIVE:
        assert change_state(chaos.world, Transition.TRANSITION_ACTIVATE)


FAULTS: tuple[Callable[[Chaos], float | None], ...] = (
    kill_camera,
    kill_listener,
    kill_node,
    one_camera_dead,
    stamps_jump,
    cameras_out_of_step,
    clock_jumps,
    resolution_changes,
    baseline_changes,
    encoding_changes,
    two_publishers,
    broken_images,
    broken_infos,
    odd_infos,
    broken_bytes,
    transitions,
)
