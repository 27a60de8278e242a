"""The node behind the drivers of other cameras: each preset of the launch file, and a driver with its oddities."""

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


@dataclass(frozen=True)
class Driver:
    """What a driver publishes, with its oddities, in images a third as wide or so.

    Attributes:
        fx: of width pixels.
        baseline_m: true distance of the cameras.
        frame: of the left image and in TF.
        Tx: P[0, 3] of left and right camera; None: 0 and -fx * baseline.
        right_info_frame: frame_id of the right CameraInfo, where it is not that of the right image.
        D: distortion coefficients in the CameraInfo of images that are rectified.
        height_m: of the camera over the ground.
        stamp_offset_s: of the driver's clock.
    """

    fx: float
    baseline_m: float
    encoding: str
    frame: str
    width: int = 424
    height: int = 240
    Tx: tuple[float, float] | None = None
    right_info_frame: str = ""
    D: tuple[float, ...] = ()
    height_m: float = 0.5
    reliability: ReliabilityPolicy = RELIABLE
    stamp_offset_s: float = 0.0

    @property
    def disparity_px(self):
        """Whole pixels, of a wall some five metres ahead."""
        return round(self.fx * self.baseline_m / 5.0)

    @property
    def wall_m(self):
        return self.fx * self.baseline_m / self.disparity_px


KITTI = Driver(
    360.0, 0.5327, "bgr8", "camera_color_left", 620, 188, (22.4, -169.372), D=(-0.3, 0.2, 0.0, 0.0, 0.0), height_m=1.65
)
LENS = (-1.2, 3.4, 0.0, 0.0, 0.1, -1.1, 3.2, 0.2)
DRIVERS = {
    "kitti": KITTI,
    "kitti_odometry": KITTI,
    "kitti_to_ros2bag": KITTI,
    "generic": Driver(300.0, 0.2, "bgr8", "left_optical"),
    "zed": Driver(173.0, 0.12, "bgra8", "zed_left_camera_frame_optical", D=(0.0,) * 8),
    "realsense": Driver(
        213.6, 0.05, "mono8", "camera_infra1_optical_frame", right_info_frame="camera_infra1_optical_frame"
    ),
    "oak": Driver(292.0, 0.075, "mono8", "oak_left_camera_optical_frame", Tx=(0.0, 21.9), D=LENS, height_m=0.2),
    "bumblebee": Driver(330.0, 0.24, "rgb8", "camera_left_optical_frame", Tx=(0.0, 0.0), height_m=1.5),
    "multisense": Driver(265.0, 0.21, "mono8", "multisense/left_camera_optical_frame", D=LENS, stamp_offset_s=37.0),
    "isaac": Driver(212.0, 0.15, "rgb8", "front_stereo_camera_left_optical", reliability=BEST_EFFORT),
    "airsim": Driver(212.0, 0.25, "bgr8", "front_left_optical", Tx=(0.0, 0.0), height_m=1.0),
}


class DriverNode(Node):
    """Publishes pairs as a driver does; keeps the grids that come back and what diagnostics warn of.

    Args:
        topics: by the node's own names.
        grid_frame, child_frame: of the transform to the left camera.
        ground_z_m: height of the ground in grid_frame.
    """

    def __init__(self, context, driver, topics, grid_frame, child_frame, ground_z_m):
        super().__init__("driver", context=context)
        self.driver = driver
        qos = QoSProfile(depth=10, reliability=driver.reliability)
        self.images = [self.create_publisher(Image, topics[f"{side}/image_rect"], qos) for side in SIDES]
        self.infos = [self.create_publisher(CameraInfo, topics[f"{side}/camera_info"], qos) for side in SIDES]
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.tf = self.create_publisher(TFMessage, "/tf_static", latched)
        self.camera_z_m = ground_z_m + driver.height_m
        T_grid_cam = np.array([[0, 0, 1, CAMERA_X_M], [-1, 0, 0, 0], [0, -1, 0, self.camera_z_m], [0, 0, 0, 1]])
        self.tf.publish(TFMessage(transforms=[transform(np.linalg.inv(T_grid_cam), grid_frame, child_frame)]))
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
        info_frames = (driver.frame, driver.right_info_frame or right_frame)
        for index, frame in enumerate((driver.frame, right_frame)):
            info = self.camera_info(shifts[index])
            image = self.image(self.pair[index])
            info.header.stamp = image.header.stamp = Time(nanoseconds=now_ns).to_msg()
            info.header.frame_id, image.header.frame_id = info_frames[index], frame
            self.infos[index].publish(info)
            self.images[index].publish(image)

    def camera_info(self, shift):
        driver = self.driver
        fx, cx, cy = driver.fx, (driver.width - 1) / 2, (driver.height - 1) / 2
        info = CameraInfo(width=driver.width, height=driver.height, distortion_model="plumb_bob", d=list(driver.D))
        info.k = [1.1 * fx, 0.0, cx + 9, 0.0, 1.1 * fx, cy - 7, 0.0, 0.0, 1.0]  # of the image before it was rectified
        info.r = np.eye(3).ravel().tolist()
        info.p = [fx, 0.0, cx, shift, 0.0, fx, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
        return info

    def image(self, rgb):
        height, width, _ = rgb.shape
        channels = CHANNELS[self.driver.encoding]
        values = np.dstack([rgb, np.full((height, width), 255, np.uint8)])[..., :channels]
        image = Image(height=height, width=width, encoding=self.driver.encoding, step=width * channels)
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


@pytest.mark.parametrize("camera", CAMERAS)
def test_wall_before_a_camera_is_where_it_stands(launch_file, make_context, camera):  # noqa: F811
    driver = DRIVERS[camera]
    name = {"camera_name": "Bumblebee_X/serial_17"} if camera == "bumblebee" else {}
    (launched,) = started(launch_file, camera=camera, **name)
    remappings = dict(launched.kwargs["remappings"])
    defaults = yaml.safe_load((ROOT / "config" / "scanssc.yaml").read_text())
    parameters = defaults["/**/scanssc"]["ros__parameters"] | launched.kwargs["parameters"][1] | {"model": "stereo"}
    arguments = [argument for pair in remappings.items() for argument in ("-r", "{}:={}".format(*pair))]
    overrides = [Parameter(key, value=value) for key, value in parameters.items()]
    node = ScanSSCNode(context=make_context(*arguments), parameter_overrides=overrides)
    topics = {
        name: remappings.get(name, f"/{name}")
        for side in SIDES
        for name in (f"{side}/image_rect", f"{side}/camera_info")
    }
    assert node.trigger_configure() == node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    child_frame = parameters["camera_frame"] or driver.frame
    ground_z_m = parameters["ground_z_m"]
    source = DriverNode(make_context(), driver, topics, parameters["grid_frame"], child_frame, ground_z_m)
    grid = grid_of(node, source)
    assert grid.header.frame_id == parameters["grid_frame"]
    points = occupied_points(grid)
    error_m = np.abs(points[:, 0] - (CAMERA_X_M + driver.wall_m))
    quarter_px_m = driver.wall_m**2 * 0.25 / (driver.fx * driver.baseline_m)  # what matching may be off
    assert (error_m < 0.2 + quarter_px_m).mean() > 0.95
    points = points[error_m < 0.2 + quarter_px_m]
    half_m = driver.wall_m * (driver.height - 1) / 2 / driver.fx
    lowest_m = ground_z_m - 0.27  # of the grid, wherever the camera is
    assert abs(points[:, 2].min() - max(source.camera_z_m - half_m, lowest_m)) < 0.3
    assert abs(points[:, 2].max() - min(source.camera_z_m + half_m, lowest_m + 6.4)) < 0.3
