"""The node behind the drivers of other cameras: each preset of the launch file, and a driver with its oddities.

By the pair, and by each topic of depth that the preset knows.
"""

import array
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import pytest
import rclpy
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from ros.test_launch import CAMERAS, ROOT, launch_file, started  # noqa: F401 (a fixture)
from sensor_msgs.msg import CameraInfo, Image
from stereo_msgs.msg import DisparityImage
from tf2_msgs.msg import TFMessage

from scanssc_core.labels import FREE, UNKNOWN
from scanssc_ros.conversions import pose_to_matrix
from scanssc_ros.msg import VoxelGrid
from scanssc_ros.node import ScanSSCNode
from scanssc_ros.spinning import spin
from system.transforms import transform

DEADLINE_S = 20.0
SIDES = ("left", "right")
CHANNELS = {"mono8": 1, "rgb8": 3, "bgr8": 3, "bgra8": 4}
RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
CAMERA_X_M = 0.3
DEPTHS = {"disparity": DisparityImage, "depth": Image}
SOURCES = [
    (camera, source)
    for camera in CAMERAS
    for topics in [yaml.safe_load((ROOT / "config" / "cameras" / f"{camera}.yaml").read_text())["topics"]]
    for source in ("pair", *DEPTHS)
    if source == "pair" or source in topics
]


@dataclass(frozen=True)
class Driver:
    """What a driver publishes, with its oddities, in images a third as wide or so.

    Attributes:
        fx: of width pixels.
        baseline_m: true distance of the cameras.
        frame: of the left image.
        depth: encoding of the depth image; none is 0 in millimetres, NaN and infinity in metres.
        tf_frame: of the left camera in TF, where it is not that of its image.
        depth_frame: of the depth image, where it is not that of the left image.
        z_down_frame: of the vehicle, x forward, y right, z down; the user's static transform joins the grid's to it.
        Tx: P[0, 3] of left and right camera; None: 0 and -fx * baseline.
        right_info_frame: frame_id of the right CameraInfo, where it is not that of the right image.
        D: distortion coefficients in the CameraInfo of images that are rectified, of the model that has as many.
        R: of CameraInfo.
        height_m: of the camera over the ground.
        stamp_offset_s: of the driver's clock.
        right_delay_s: of the stamps of the right camera.
    """

    fx: float
    baseline_m: float
    encoding: str
    frame: str
    width: int = 424
    height: int = 240
    depth: str = ""
    Tx: tuple[float, float] | None = None
    tf_frame: str = ""
    depth_frame: str = ""
    z_down_frame: str = ""
    right_info_frame: str = ""
    D: tuple[float, ...] = (0.0,) * 5
    R: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    height_m: float = 0.5
    reliability: ReliabilityPolicy = RELIABLE
    stamp_offset_s: float = 0.0
    right_delay_s: float = 0.0

    @property
    def disparity_px(self):
        """Whole pixels, of a wall some five metres ahead."""
        return round(self.fx * self.baseline_m / 5.0)

    @property
    def wall_m(self):
        return self.fx * self.baseline_m / self.disparity_px


KITTI = Driver(
    360.0,
    0.5327,
    "bgr8",
    "camera_color_left",
    620,
    188,
    Tx=(22.4, -169.372),
    D=(-0.3, 0.2, 0.0, 0.0, 0.0),
    height_m=1.65,
)
LENS = (-1.2, 3.4, 0.0, 0.0, 0.1, -1.1, 3.2, 0.2)
TURNED = (0.9998, 0.0, 0.02, 0.0, 1.0, 0.0, -0.02, 0.0, 0.9998)
DRIVERS = {
    "kitti": KITTI,
    "kitti_odometry": KITTI,
    "kitti_to_ros2bag": KITTI,
    "generic": Driver(300.0, 0.2, "bgr8", "left_optical"),
    "zed": Driver(173.0, 0.12, "bgra8", "zed_left_camera_frame_optical", depth="32FC1", D=(0.0,) * 8),
    "realsense": Driver(
        213.6,
        0.05,
        "mono8",
        "camera_infra1_optical_frame",
        depth="16UC1",
        depth_frame="camera_depth_optical_frame",
        right_info_frame="camera_infra1_optical_frame",
    ),
    "oak": Driver(
        292.0,
        0.075,
        "mono8",
        "oak_left_camera_optical_frame",
        depth="16UC1",
        Tx=(0.0, 21.9),
        D=LENS,
        R=TURNED,
        height_m=0.2,
    ),
    "bumblebee": Driver(330.0, 0.24, "rgb8", "camera_left_optical_frame", depth="32FC1", Tx=(0.0, 0.0), height_m=1.5),
    "multisense": Driver(
        265.0, 0.21, "mono8", "multisense/left_camera_optical_frame", depth="32FC1", D=LENS, stamp_offset_s=37.0
    ),
    "isaac": Driver(212.0, 0.15, "rgb8", "front_stereo_camera_left_optical", depth="32FC1", reliability=BEST_EFFORT),
    "airsim": Driver(
        212.0,
        0.25,
        "bgr8",
        "front_left_optical",
        depth="32FC1",
        Tx=(0.0, 0.0),
        tf_frame="front_left_optical/static",
        z_down_frame="PhysXCar/odom_local_ned",
        D=(),
        R=(0.0,) * 9,
        height_m=1.0,
        right_delay_s=0.015,
    ),
}
DISTORTION_MODELS = {0: "", 5: "plumb_bob", 8: "rational_polynomial"}


class DriverNode(Node):
    """Publishes pairs, and depth where the preset knows it, as a driver does; keeps the grids that come back and what
    diagnostics warn of.

    Args:
        topics: by the node's own names.
        grid_frame: of the grid.
        ground_z_m: height of the ground in grid_frame.
    """

    def __init__(self, context, driver, topics, grid_frame, ground_z_m):
        super().__init__("driver", context=context)
        self.driver = driver
        qos = QoSProfile(depth=10, reliability=driver.reliability)
        self.images = [self.create_publisher(Image, topics[f"{side}/image_rect"], qos) for side in SIDES]
        self.infos = [self.create_publisher(CameraInfo, topics[f"{side}/camera_info"], qos) for side in SIDES]
        self.depths = [self.create_publisher(DEPTHS[name], topics[name], qos) for name in DEPTHS if name in topics]
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.tf = self.create_publisher(TFMessage, "/tf_static", latched)
        self.camera_z_m = ground_z_m + driver.height_m
        T_grid_cam = np.array([[0, 0, 1, CAMERA_X_M], [-1, 0, 0, 0], [0, -1, 0, self.camera_z_m], [0, 0, 0, 1]])
        T_cam_grid, camera_frame = np.linalg.inv(T_grid_cam), driver.tf_frame or driver.frame
        transforms = [transform(T_cam_grid, grid_frame, camera_frame)]
        if driver.z_down_frame:
            T_grid_vehicle = np.diag([1.0, -1.0, -1.0, 1.0])
            transforms = [
                transform(T_grid_vehicle, driver.z_down_frame, grid_frame),
                transform(T_cam_grid @ T_grid_vehicle, driver.z_down_frame, camera_frame),
            ]
        self.tf.publish(TFMessage(transforms=transforms))
        self.grids, self.warnings = [], set()
        self.create_subscription(VoxelGrid, "/scanssc/occupancy", self.grids.append, 10)
        self.create_subscription(DiagnosticArray, "/diagnostics", self.keep, 10)
        noise = np.random.default_rng(5).integers(0, 256, (driver.height, driver.width, 3), np.uint8)
        if driver.encoding == "mono8":
            noise = np.repeat(noise[..., :1], 3, axis=2)
        self.pair = [noise, np.roll(noise, -driver.disparity_px, axis=1)]

    def keep(self, message):
        self.warnings |= {status.message for status in message.status}

    def publish(self):
        driver = self.driver
        now_ns = self.get_clock().now().nanoseconds + int(driver.stamp_offset_s * 1e9)
        right_frame = driver.frame.replace("left", "right").replace("infra1", "infra2")
        shifts = driver.Tx or (0.0, -driver.fx * driver.baseline_m)
        for publisher in self.depths:
            depth = self.depth() if publisher.msg_type is Image else self.disparity()
            depth.header.stamp = Time(nanoseconds=now_ns).to_msg()
            depth.header.frame_id = driver.depth_frame or driver.frame
            publisher.publish(depth)
        info_frames = (driver.frame, driver.right_info_frame or right_frame)
        for index, frame in enumerate((driver.frame, right_frame)):
            info = self.camera_info(shifts[index])
            image = self.image(self.pair[index])
            stamp_ns = now_ns + index * int(driver.right_delay_s * 1e9)
            info.header.stamp = image.header.stamp = Time(nanoseconds=stamp_ns).to_msg()
            info.header.frame_id, image.header.frame_id = info_frames[index], frame
            self.infos[index].publish(info)
            self.images[index].publish(image)

    def camera_info(self, shift):
        driver = self.driver
        fx, cx, cy = driver.fx, (driver.width - 1) / 2, (driver.height - 1) / 2
        model = DISTORTION_MODELS[len(driver.D)]
        info = CameraInfo(width=driver.width, height=driver.height, distortion_model=model, d=driver.D, r=driver.R)
        info.k = [1.1 * fx, 0.0, cx + 9, 0.0, 1.1 * fx, cy - 7, 0.0, 0.0, 1.0]  # of the image before it was rectified
        info.p = [fx, 0.0, cx, shift, 0.0, fx, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
        return info

    def image(self, rgb):
        channels = CHANNELS[self.driver.encoding]
        values = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])[..., :channels]
        return image_of(values, self.driver.encoding)

    def with_holes(self, value, *none):
        """(H, W) the same value everywhere, but for stripes of what stands for none."""
        values = np.full((self.driver.height, self.driver.width), value, np.float32)
        for index, missing in enumerate(none):
            values[:, 100 + 40 * index : 120 + 40 * index] = missing
        return values

    def depth(self):
        if self.driver.depth == "16UC1":
            return image_of((1000 * self.with_holes(self.driver.wall_m, 0.0)).round().astype("<u2"), "16UC1")
        return image_of(self.with_holes(self.driver.wall_m, np.nan, np.inf, -np.inf).astype("<f4"), "32FC1")

    def disparity(self):
        driver = self.driver
        message = DisparityImage(f=driver.fx, t=driver.baseline_m, min_disparity=0.0, max_disparity=256.0)
        message.image = image_of(self.with_holes(driver.disparity_px, 0.0, -1.0).astype("<f4"), "32FC1")
        return message


def image_of(values, encoding):
    """Image message of an (H, W) or (H, W, C) array."""
    height, width = values.shape[:2]
    image = Image(height=height, width=width, encoding=encoding, step=values[0].nbytes)
    image.data = array.array("B", values.tobytes())
    return image


def occupied_points(grid):
    """(N, 3) centres of occupied voxels in header.frame_id."""
    labels = np.frombuffer(grid.data, np.uint8).reshape(grid.size_x, grid.size_y, grid.size_z)
    points = (np.argwhere((labels != FREE) & (labels != UNKNOWN)) + 0.5) * grid.resolution_m
    T_frame_grid = pose_to_matrix(grid.origin)
    return points @ T_frame_grid[:3, :3].T + T_frame_grid[:3, 3]


@pytest.fixture
def make_context():
    made = []

    def make(*arguments):
        made.append(rclpy.Context())
        rclpy.init(args=["--ros-args", *arguments], context=made[-1])
        return made[-1]

    yield make
    for context in made:
        rclpy.try_shutdown(context=context)


def grid_of(node, source):
    """The first grid that the node makes of the driver's pairs, and until the driver's clock was told of."""
    requested, errors = Future(), []
    thread = threading.Thread(target=spin, args=(node, requested, errors.append))
    thread.start()
    try:
        executor = SingleThreadedExecutor(context=source.context)
        executor.add_node(source)
        deadline_s = time.monotonic() + DEADLINE_S
        is_told = not source.driver.stamp_offset_s
        while not (source.grids and is_told):
            assert time.monotonic() < deadline_s, source.warnings
            source.publish()
            executor.spin_once(timeout_sec=0.2)
            is_told = is_told or any("ahead of the node's clock" in warning for warning in source.warnings)
    finally:
        requested.set_result(None)
        thread.join()
        node.destroy_node()
        source.destroy_node()
    assert not errors
    return source.grids[0]


def test_every_preset_is_tried():
    assert sorted(DRIVERS) == CAMERAS


@pytest.mark.parametrize(("camera", "source"), SOURCES)
def test_wall_before_a_camera_is_where_it_stands(launch_file, make_context, camera, source):  # noqa: F811
    driver = DRIVERS[camera]
    given = {"camera_name": "Bumblebee_X/serial_17"} if camera == "bumblebee" else {}
    if source != "pair":
        given |= {"stereo_backend": "topic", "depth_input": source}
    (launched,) = started(launch_file, camera=camera, model="stereo", **given)
    remappings = dict(launched.kwargs["remappings"])
    defaults = yaml.safe_load((ROOT / "config" / "scanssc.yaml").read_text())
    parameters = defaults["/**/scanssc"]["ros__parameters"]
    for values in launched.kwargs["parameters"][1:]:
        parameters |= values
    arguments = [argument for pair in remappings.items() for argument in ("-r", "{}:={}".format(*pair))]
    overrides = [Parameter(key, value=value) for key, value in parameters.items()]
    node = ScanSSCNode(context=make_context(*arguments), parameter_overrides=overrides)
    topics = remappings | {
        name: remappings.get(name, f"/{name}")
        for side in SIDES
        for name in (f"{side}/image_rect", f"{side}/camera_info")
    }
    assert node.trigger_configure() == node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    ground_z_m = parameters["ground_z_m"]
    driver_node = DriverNode(make_context(), driver, topics, parameters["grid_frame"], ground_z_m)
    grid = grid_of(node, driver_node)
    assert grid.header.frame_id == parameters["grid_frame"]
    points = occupied_points(grid)
    error_m = np.abs(points[:, 0] - (CAMERA_X_M + driver.wall_m))
    quarter_px_m = driver.wall_m**2 * 0.25 / (driver.fx * driver.baseline_m)  # what matching may be off
    is_wall = error_m < 0.2 + (quarter_px_m if source == "pair" else 0.0)
    assert is_wall.mean() > 0.95 if source == "pair" else is_wall.all()
    points = points[is_wall]
    half_m = driver.wall_m * (driver.height - 1) / 2 / driver.fx
    lowest_m = ground_z_m - 0.27  # of the grid, wherever the camera is
    assert abs(points[:, 2].min() - max(driver_node.camera_z_m - half_m, lowest_m)) < 0.3
    assert abs(points[:, 2].max() - min(driver_node.camera_z_m + half_m, lowest_m + 6.4)) < 0.3
