"""One test for each named failure: the right output or a named diagnostic, and the node lives on."""

import re
import time
import zlib
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from system.harness import BASELINE_M, FOCAL_PX, HEIGHT, WIDTH, World, camera_info, make_image, set_stamp

pytestmark = pytest.mark.system


def assert_lives_on(world, node):
    """Good pairs are answered with a grid again: not always the first, which may overtake its calibration."""
    num_grids, next_s = len(world.grids), 0.0

    def is_answered():
        nonlocal next_s
        if time.monotonic() >= next_s:
            world.publish_pair()
            next_s = time.monotonic() + 1.0
        return len(world.grids) > num_grids

    world.spin_until(is_answered)
    assert node.is_alive()


@pytest.mark.parametrize("reliability", [ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE])
def test_publishers_of_either_reliability_are_heard(context, activate, reliability):
    node, world = activate(), World(context, reliability)
    world.wait_for_node(node)
    for _ in range(5):
        world.wait_for_grid(world.publish_pair())
    world.spin_until(lambda: world.value("synchronization", "matched") == "5")
    assert len(world.grids) == 5
    world.destroy_node()


def test_reliable_subscriber_and_best_effort_camera_are_reported_as_a_qos_mismatch(context, activate):
    node = activate(qos_reliability="reliable", input_timeout_s=0.5)
    world = World(context, ReliabilityPolicy.BEST_EFFORT)
    world.spin_until(lambda: "incompatible QoS" in world.message("left image"))
    assert "qos_reliability:=best_effort" in world.message("left image")
    world.spin_until(lambda: "incompatible QoS" in node.log)
    for publisher in world.images:
        world.destroy_publisher(publisher)
    world.spin_until(lambda: "nobody publishes it" in world.message("left image"))
    assert node.is_alive()
    world.destroy_node()


def test_missing_right_image_is_named_with_its_topic(world, activate):
    node = activate(input_timeout_s=1.0)
    world.wait_for_node(node)
    for _ in range(5):
        world.publish_infos()
        image = make_image()
        world.stamp_ns += 10**8
        set_stamp(image, world.stamp_ns)
        world.images[0].publish(image)
        world.spin_for(0.1)
    world.spin_until(lambda: "waiting: nothing on /right/image_rect" in world.message("right image"))
    assert world.statuses["right image"].level == DiagnosticStatus.WARN
    world.spin_until(lambda: "nothing on /right/image_rect" in node.log)
    assert world.grids == []
    assert_lives_on(world, node)


def test_stamps_fifty_milliseconds_apart_are_named_with_the_tolerance(world, activate):
    node = activate()
    world.wait_for_node(node)
    for _ in range(4):
        world.publish_pair(right_offset_ns=50_000_000)
        world.spin_for(0.05)
    world.spin_until(lambda: "no stamps are within 20.0 ms" in world.message("synchronization"))
    assert "50.0 ms apart" in world.message("synchronization")
    assert world.statuses["synchronization"].level == DiagnosticStatus.ERROR
    assert world.grids == []
    assert_lives_on(world, node)


def test_stamps_within_the_tolerance_are_paired(world, activate):
    node = activate(sync_tolerance_s=0.05)
    world.wait_for_node(node)
    world.wait_for_grid(world.publish_pair(right_offset_ns=50_000_000))


def test_image_of_another_size_than_its_camera_info_is_dropped_by_name(world, activate):
    node = activate()
    world.wait_for_node(node)
    world.publish_infos(camera_info("left", 0, width=300), camera_info("right", 0, width=300))
    world.publish_pair(with_infos=False)
    world.spin_until(lambda: world.value("pipeline", "dropped.size_mismatch") == "1")
    assert "320x96" in world.value("pipeline", "reason.size_mismatch")
    assert "300x96" in world.value("pipeline", "reason.size_mismatch")
    assert_lives_on(world, node)


def test_every_encoding_and_padded_rows_give_output(world, activate):
    node = activate()
    world.wait_for_node(node)
    encodings = ["rgb8", "bgr8", "rgba8", "bgra8", "mono8", "mono16"]
    encodings += ["bayer_rggb8", "bayer_bggr8", "bayer_gbrg8", "bayer_grbg8"]
    for encoding in encodings:
        for padding in (0, 12):
            pair = [make_image(shift_px, encoding, padding) for shift_px in (0, 9)]
            world.wait_for_grid(world.publish_pair(*pair))
    world.spin_until(lambda: world.value("pipeline", "processed") == str(2 * len(encodings)))
    assert world.value("pipeline", "dropped.bad_image", "none") == "none"


def test_depth_is_the_same_for_padded_and_plain_rows(world, activate):
    """The wall stands at 10 m whatever the encoding: the pixels are read, not only accepted."""
    node = activate(model="stereo")
    world.wait_for_node(node)
    occupied = set()
    for encoding, padding in (("rgb8", 0), ("bgr8", 7), ("rgba8", 5)):
        pair = [make_image(shift_px, encoding, padding) for shift_px in (0, 9)]
        grid = world.wait_for_grid(world.publish_pair(*pair))
        occupied.add(bytes(grid.data))
    assert len(occupied) == 1


def test_image_that_cannot_be_decoded_is_dropped_by_name(world, activate):
    node = activate()
    world.wait_for_node(node)
    broken = make_image()
    broken.encoding = "32FC2"
    world.publish_pair(left=broken)
    world.spin_until(lambda: world.value("pipeline", "dropped.bad_image") == "1")
    assert "32FC2" in world.value("pipeline", "reason.bad_image")
    short = make_image()
    short.data = short.data[:100]
    world.publish_pair(right=short)
    world.spin_until(lambda: world.value("pipeline", "dropped.bad_image") == "2")
    assert "100 bytes" in world.value("pipeline", "reason.bad_image")
    assert_lives_on(world, node)


@pytest.mark.parametrize(("value", "reason"), [(float("nan"), "NaN"), (0.0, "all zero")], ids=["nan", "zero"])
def test_camera_info_without_calibration_is_rejected_until_a_good_one_comes(world, activate, value, reason):
    node = activate()
    world.wait_for_node(node)
    bad = camera_info("left", 0)
    bad.p = [value] * 12
    world.publish_infos(left=bad)
    world.publish_pair(with_infos=False)
    world.spin_until(lambda: world.value("left camera_info", "state") == "rejected")
    world.spin_until(lambda: re.search(r"\[ERROR\] .*: left camera_info: rejected", node.log))
    assert reason in world.message("left camera_info")
    world.spin_until(lambda: world.value("pipeline", "dropped.bad_calibration") == "1")
    assert world.grids == []
    assert_lives_on(world, node)
    world.spin_until(lambda: world.value("left camera_info", "state") == "active")


def test_swapped_cameras_are_rejected_by_name(world, activate):
    node = activate()
    world.wait_for_node(node)
    world.publish_infos(camera_info("right", 0), camera_info("left", 0))
    world.publish_pair(with_infos=False)
    world.spin_until(lambda: "swapped" in world.message("right camera_info"))
    assert "got -0.5 m" in world.message("right camera_info")
    assert world.grids == []
    assert_lives_on(world, node)


def test_calibrations_that_cannot_be_are_rejected_by_name_of_their_camera(world, activate):
    node = activate()
    world.wait_for_node(node)
    millimetres, huge, nan = camera_info("right", 0), camera_info("left", 0, 30000, 30000), camera_info("left", 0)
    millimetres.p[3] = -FOCAL_PX * BASELINE_M * 1000
    nan.p[0] = float("nan")
    cases = (
        ({"right": millimetres}, ("left", "right"), "expected a baseline of 0.01 to 2 m, got 500 m"),
        ({"left": huge}, ("left",), "50 megapixels in CameraInfo, got 30000x30000"),
        ({"left": nan}, ("left",), "left camera_info: expected a finite projection matrix P"),
    )
    for num_refused, (infos, sides, reason) in enumerate(cases, 1):
        world.publish_infos(**infos)
        world.spin_until(lambda reason=reason: reason in world.message("left camera_info"))
        states = [world.value(f"{side} camera_info", "state") for side in ("left", "right")]
        assert states == ["rejected", "rejected" if "right" in sides else "active"]
        world.publish_pair(with_infos=False)
        world.spin_until(lambda count=num_refused: world.value("pipeline", "dropped.bad_calibration") == str(count))
        assert reason in world.value("pipeline", "reason.bad_calibration")
        world.publish_infos()
    assert_lives_on(world, node)


def test_camera_info_of_another_frame_than_its_images_is_named_until_it_is_theirs(world, activate):
    world.wait_for_node(activate())
    told = "its frame is 'camera_color_optical', that of the left images 'camera_color_left'"

    def shows(level, frame_id):
        info = camera_info("left", world.stamp_ns + 10**8)
        info.header.frame_id = frame_id
        world.publish_infos(left=info)
        world.publish_pair(with_infos=False)
        world.spin_for(0.2)
        status = world.statuses["left camera_info"]
        return status.level == level and (told in status.message) == (level == DiagnosticStatus.WARN)

    world.spin_until(lambda: shows(DiagnosticStatus.WARN, "camera_color_optical"))
    world.spin_until(lambda: shows(DiagnosticStatus.OK, "/camera_color_left"))


def test_binning_is_applied_to_the_calibration_of_the_full_sensor(world, activate):
    node = activate(model="stereo")
    world.wait_for_node(node)
    grids = []
    for binning in (1, 2):
        infos = [camera_info(side, 0, WIDTH * binning, HEIGHT * binning) for side in ("left", "right")]
        for info in infos:
            info.p = [value * binning if index < 8 else value for index, value in enumerate(info.p)]
            info.binning_x = info.binning_y = binning
        world.publish_infos(*infos)
        world.spin_until(lambda text=f"{WIDTH * binning}x{HEIGHT * binning}": f"calibration: {text}" in node.log)
        grids.append(bytes(world.wait_for_grid(world.publish_pair(with_infos=False)).data))
    assert grids[0] == grids[1]
    assert "binning 2x2" in node.log
    infos[0].binning_x = 0  # images come as they did, and are twice as wide now as this says
    world.publish_infos(*infos)
    world.spin_until(lambda: world.value("left camera_info", "state") == "rejected")
    assert "left 640x96" in world.message("left camera_info") and "right 320x96" in world.message("left camera_info")


def test_pair_with_hardly_any_depth_is_warned_of_until_depth_is_back(world, activate):
    node = activate()
    world.wait_for_node(node)
    world.wait_for_grid(world.publish_pair(left=make_image(shift_px=9), right=make_image(shift_px=0)))  # exchanged
    world.spin_until(lambda: "are left and right swapped" in world.message("depth coverage"))
    assert world.statuses["depth coverage"].level == DiagnosticStatus.WARN
    assert float(world.value("depth coverage", "coverage")) < 0.1
    world.wait_for_grid(world.publish_pair())
    world.spin_until(lambda: world.statuses["depth coverage"].level == DiagnosticStatus.OK)


def test_two_publishers_on_one_topic_are_reported_and_the_node_goes_on(world, activate):
    node = activate()
    world.wait_for_node(node)
    intruder = world.create_publisher(Image, "left/image_rect", 10)
    stamp_ns = world.publish_pair()
    repeated = make_image()
    world.wait_for_grid(stamp_ns)
    world.spin_until(lambda: world.value("left image", "publishers") == "2" and intruder.get_subscription_count() == 1)
    for _ in range(2):
        set_stamp(repeated, stamp_ns + 10**8)
        intruder.publish(repeated)
    world.spin_until(lambda: world.value("synchronization", "dropped.left.duplicate_stamp") == "1")
    world.spin_until(lambda: "2 publishers share the topic" in world.message("left image"))
    world.stamp_ns += 10**8
    assert_lives_on(world, node)


def test_broken_compressed_images_are_dropped_by_name_and_take_no_memory(world, activate):
    node = activate(image_transport="compressed", input_timeout_s=30.0)
    topics = [f"{side}/image_rect/compressed" for side in ("left", "right")]
    publishers = [world.create_publisher(CompressedImage, topic, 10) for topic in topics]
    world.wait_for_node(node, [*publishers, *world.infos])
    size = (30_000).to_bytes(4, "big")
    parts = (b"IHDR" + size + size + bytes([8, 2, 0, 0, 0]), b"IDAT" + zlib.compress(bytes(1 << 22)), b"IEND")
    gigabytes = b"".join(
        (len(part) - 4).to_bytes(4, "big") + part + zlib.crc32(part).to_bytes(4, "big") for part in parts
    )
    cases = [(b"not a picture", "not a whole image"), (b"\x89PNG\r\n\x1a\n" + gigabytes, "more pixels than a picture")]
    for count, (data, reason) in enumerate(cases, 1):
        before_kib = peak_kib(node)
        world.stamp_ns += 10**8
        world.publish_infos()
        for publisher in publishers:
            message = CompressedImage(format="png", data=data)
            set_stamp(message, world.stamp_ns)
            publisher.publish(message)
        world.spin_until(lambda count=count: world.value("pipeline", "dropped.bad_image") == str(count))
        assert re.search(reason, world.value("pipeline", "reason.bad_image"))
        assert peak_kib(node) - before_kib < 64 << 10
    assert node.is_alive()


def peak_kib(node):
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+)", status)[1])


def test_results_older_than_max_age_are_never_published(world, activate):
    node = activate(dummy_latency_s=1.0, max_age_s=0.5)
    world.wait_for_node(node)
    world.publish_pair()
    world.spin_until(lambda: world.value("pipeline", "dropped.too_old") == "1")
    assert "exceeds max_age_s = 0.50" in world.value("pipeline", "reason.too_old")
    assert world.grids == []
    assert node.is_alive()


def test_live_stamp_that_is_old_already_is_not_processed(world, activate):
    node = activate(max_age_s=5.0)
    world.wait_for_node(node)
    world.stamp_ns = world.get_clock().now().nanoseconds - 60 * 10**9
    world.publish_pair()
    world.spin_until(lambda: world.value("pipeline", "dropped.too_old") == "1")
    world.stamp_ns = world.get_clock().now().nanoseconds
    assert_lives_on(world, node)
