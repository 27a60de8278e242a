"""Every source of depth in the real node, and what the node says of inputs that no depth can come of."""

import array

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import Image
from stereo_msgs.msg import DisparityImage

from core.checkpoint.test_stereo_checkpoint import write_published
from system.harness import (
    BASELINE_M,
    FOCAL_PX,
    HEIGHT,
    SECOND_NS,
    WIDTH,
    World,
    camera_info,
    make_image,
    scene,
    set_stamp,
)

pytestmark = pytest.mark.system

# A slope, with a hole and a far corner: other than any constant, it shows rows and columns that change places.
DEPTH_M = (4.0 + np.arange(HEIGHT)[:, None] / 16 + np.arange(WIDTH)[None, :] / 32).astype(np.float32)
DEPTH_M[10:20, 30:60] = 0.0


class DepthWorld(World):
    """A world whose second camera is another node that publishes depth; keeps the depth images that come back."""

    def __init__(self, context, message_type, name, **options):
        super().__init__(context, **options)
        self.partner = self.create_publisher(message_type, name, 10)
        self.depths = {}
        self.create_subscription(Image, "/scanssc/depth", self.keep_depth, 10)

    def keep_depth(self, message):
        stamp_ns = message.header.stamp.sec * SECOND_NS + message.header.stamp.nanosec
        self.depths[stamp_ns] = np.frombuffer(message.data, "<f4").reshape(message.height, message.width)

    def wait_for_depth_node(self, node):
        self.wait_for_node(node, [self.images[0], self.infos[0], self.partner])
        assert self.images[1].get_subscription_count() == 0, "nothing is wanted of the right camera"

    def publish_with(self, partner):
        """Publish a left image with its depth; returns the stamp."""
        self.stamp_ns += SECOND_NS // 10
        left = make_image()
        set_stamp(left, self.stamp_ns)
        set_stamp(partner, self.stamp_ns)
        self.infos[0].publish(camera_info("left", self.stamp_ns))
        self.images[0].publish(left)
        self.partner.publish(partner)
        return self.stamp_ns

    def wait_for_depth(self, stamp_ns):
        self.wait_for_grid(stamp_ns)
        self.spin_until(lambda: stamp_ns in self.depths)
        return np.nan_to_num(self.depths[stamp_ns])


def image_of(values, encoding, padding=0):
    rows = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)
    rows = np.hstack([rows, np.full((len(values), padding), 77, np.uint8)])
    message = Image(height=values.shape[0], width=values.shape[1], encoding=encoding, step=rows.shape[1])
    message.data = array.array("B", rows.tobytes())
    return message


@pytest.mark.parametrize("dims", [2, 3])
def test_mobilestereonet_runs_in_the_node(world, activate, tmp_path, dims):
    checkpoint = write_published(tmp_path / "published.ckpt", dims)
    node = activate(stereo_backend=f"msnet{dims}d", stereo_checkpoint=str(checkpoint), max_age_s=60.0)
    world.wait_for_node(node)
    world.wait_for_grid(world.publish_pair())
    world.spin_until(lambda: world.value("pipeline", "stereo_backend") == f"msnet{dims}d")
    world.spin_until(lambda: float(world.value("pipeline", "latency.depth.p50_ms")) > 0)


def test_disparity_of_another_node_becomes_depth(context, activate):
    node = activate(stereo_backend="topic", depth_max_rate_hz=0.0)
    world = DepthWorld(context, DisparityImage, "disparity")
    world.wait_for_depth_node(node)
    focal_times_baseline = FOCAL_PX * BASELINE_M
    disparity_px = np.divide(
        focal_times_baseline, DEPTH_M, out=np.full(DEPTH_M.shape, -1, np.float32), where=DEPTH_M > 0
    )
    message = DisparityImage(f=FOCAL_PX, t=BASELINE_M, min_disparity=0.0, max_disparity=64.0)
    message.image = image_of(disparity_px.astype("<f4"), "32FC1", padding=8)
    np.testing.assert_allclose(world.wait_for_depth(world.publish_with(message)), DEPTH_M, rtol=1e-5)

    message.t = 0.0
    world.publish_with(message)
    world.spin_until(lambda: world.value("pipeline", "dropped.bad_depth") == "1")
    assert "f and t of the disparity image above zero" in world.value("pipeline", "reason.bad_depth")
    message.t = BASELINE_M
    world.wait_for_depth(world.publish_with(message))
    world.destroy_node()


def test_depth_of_another_node_is_taken_in_both_encodings_and_bad_depth_is_dropped_by_name(context, activate):
    node = activate(stereo_backend="topic", depth_input="depth", depth_max_rate_hz=0.0)
    world = DepthWorld(context, Image, "depth")
    world.wait_for_depth_node(node)
    metres = image_of(np.where(DEPTH_M > 0, DEPTH_M, np.nan).astype("<f4"), "32FC1")
    np.testing.assert_array_equal(world.wait_for_depth(world.publish_with(metres)), DEPTH_M)
    millimetres = image_of(np.rint(DEPTH_M * 1000).astype("<u2"), "16UC1", padding=6)
    np.testing.assert_allclose(world.wait_for_depth(world.publish_with(millimetres)), DEPTH_M, atol=6e-4)

    world.publish_with(image_of(DEPTH_M[:, ::2].astype("<f4"), "32FC1"))
    world.spin_until(lambda: world.value("pipeline", "dropped.size_mismatch") == "1")
    assert "the depth is 160x96, its CameraInfo says 320x96" in world.value("pipeline", "reason.size_mismatch")
    world.publish_with(make_image())
    world.spin_until(lambda: world.value("pipeline", "dropped.bad_depth") == "1")
    assert "16UC1 (millimetres) or 32FC1 (metres), got 'rgb8'" in world.value("pipeline", "reason.bad_depth")
    world.wait_for_depth(world.publish_with(metres))

    for frame_id, level in (("camera_depth", DiagnosticStatus.WARN), ("/camera_color_left", DiagnosticStatus.OK)):
        metres.header.frame_id = frame_id
        world.wait_for_depth(world.publish_with(metres))
        world.spin_until(lambda level=level: world.statuses["depth"].level == level)
        is_told = "its frame is 'camera_depth', that of the left images 'camera_color_left'" in world.message("depth")
        assert is_told == (level == DiagnosticStatus.WARN)
    world.destroy_node()


def test_silent_depth_topic_is_named(context, activate):
    node = activate(stereo_backend="topic", depth_input="depth", input_timeout_s=0.5)
    world = World(context)
    world.spin_until(lambda: "nothing on /depth" in world.message("depth"))
    assert node.is_alive()
    world.destroy_node()


def unrectified_info(side, **fields):
    """CameraInfo whose image is to be moved 20 px to the left by rectification."""
    message = camera_info(side, 0)
    message.k = [FOCAL_PX, 0.0, 179.5, 0.0, FOCAL_PX, 40.0, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.distortion_model = "plumb_bob"
    message.d = [0.0] * 5
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def test_unrectified_images_are_rectified_on_request_or_refused_with_the_reason(context, activate):
    node = activate(rectify=True, depth_max_rate_hz=0.0)
    world = DepthWorld(context, Image, "unused", image_name="image_raw")
    world.wait_for_node(node)
    world.publish_infos(unrectified_info("left", k=[0.0] * 9), unrectified_info("right"))
    world.spin_until(lambda: "cannot rectify" in world.message("left camera_info"))
    assert "focal lengths above zero in K" in world.message("left camera_info")
    for fields, reason in (
        ({"r": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0]}, "R is not a rotation"),
        ({"d": [1e308, 0.0, 0.0, 0.0, 0.0]}, "K, D, R and P do not belong together: 0%"),
        ({"width": 30000, "height": 30000}, "50 megapixels"),
    ):
        world.publish_infos(unrectified_info("left", **fields), unrectified_info("right"))
        world.spin_until(lambda reason=reason: reason in world.message("left camera_info"))
        assert world.value("right camera_info", "state") == "active"
        assert node.is_alive()

    world.publish_infos(unrectified_info("left"), unrectified_info("right"))
    world.spin_until(lambda: world.value("left camera_info", "state") == "active")
    depth_m = world.wait_for_depth(world.publish_pair(with_infos=False))
    interior = depth_m[20:-20, 40 : WIDTH - 40]
    assert np.median(interior[interior > 0]) == pytest.approx(10.0, rel=0.02)
    assert (interior > 0).mean() > 0.8
    assert (depth_m[20:-20, WIDTH - 15 :] > 0).mean() < 0.1, "rectification left these columns black"
    world.destroy_node()


def test_distortion_that_is_not_applied_is_noted(world, activate):
    node = activate()
    world.wait_for_node(node)
    distorted = [unrectified_info(side, d=[-0.3, 0.1, 0.0, 0.0, 0.0]) for side in ("left", "right")]
    world.publish_infos(*distorted)
    world.wait_for_grid(world.publish_pair(with_infos=False))
    world.spin_until(lambda: "rectify is false" in world.message("left camera_info"))
    assert world.statuses["left camera_info"].level == DiagnosticStatus.OK
    world.publish_infos(*distorted)
    world.spin_for(0.2)
    assert node.log.count("D is not zero") == 2  # once for each camera


def test_pairs_that_no_depth_can_come_of_are_refused_by_name(world, activate):
    node = activate()
    world.wait_for_node(node)
    left, unrectified = camera_info("left", 0), camera_info("right", 0)
    unrectified.p[6] += 3.0
    unequal = camera_info("right", 0, width=WIDTH - 8)
    no_baseline = camera_info("right", 0)
    no_baseline.p[3] = 0.0
    for right, reason in (
        (unrectified, "expected a rectified pair (same fx, fy, cy in both P)"),
        (unequal, "expected images of one size"),
        (no_baseline, "expected a baseline of 0.01 to 2 m, got 0 m"),
    ):
        world.publish_infos(left, right)
        world.spin_until(lambda reason=reason: reason in world.message("right camera_info"))
        assert world.statuses["right camera_info"].level == DiagnosticStatus.ERROR
        assert "/right/camera_info" in node.log and reason in node.log
    world.publish_infos()
    world.spin_until(lambda: world.value("right camera_info", "state") == "active")
    world.wait_for_grid(world.publish_pair())


def test_a_knocked_camera_is_reported_with_the_measured_offset(world, activate):
    node = activate(max_age_s=60.0)
    world.wait_for_node(node)

    def publish(shift_px, pairs):
        for _ in range(pairs):
            messages = []
            for disparity_px, rows in ((0, 0), (9, shift_px)):
                rgb = np.roll(cv2.GaussianBlur(scene(disparity_px), (0, 0), 2), rows, axis=0)
                rgb = cv2.normalize(rgb, None, 0, 255, cv2.NORM_MINMAX)
                messages.append(image_of(rgb.reshape(HEIGHT, -1), "rgb8"))
                messages[-1].width = WIDTH
                messages[-1].header.frame_id = "camera_color_left"
            world.wait_for_grid(world.publish_pair(*messages))

    publish(shift_px=0, pairs=11)
    world.spin_until(lambda: "rows agree" in world.message("row alignment"))
    assert world.statuses["row alignment"].level == DiagnosticStatus.OK
    publish(shift_px=4, pairs=50)
    # The median of the window: 4 px once most of its measurements are of the knocked camera.
    world.spin_until(lambda: abs(float(world.value("row alignment", "vertical_offset_px")) - 4.0) < 0.3)
    assert "rows disagree" in world.message("row alignment")
    assert world.statuses["row alignment"].level == DiagnosticStatus.WARN
    assert "max_row_offset_px = 1.50" in world.message("row alignment")
