"""All parameters of the node `scanssc` in one table (parameter_table.py)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import check_camera_pose
from scanssc_core.geometry.camera import BASELINE_RANGE_M
from scanssc_core.geometry.frame_graph import bare_frame
from scanssc_core.runtime.backends import (
    GEOMETRIC_BACKENDS,
    LITE,
    OCCUPANCY_BACKENDS,
    STEREO_BACKENDS,
    STEREO_NETWORKS,
)
from scanssc_core.runtime.device import PRECISIONS
from scanssc_core.sources.pairing import DEFAULT_DEPTH, DEFAULT_TOLERANCE_S
from scanssc_ros.health_parameters import HealthParameters
from scanssc_ros.parameter_table import parameter
from scanssc_ros.planning_parameters import PlanningParameters

# KITTI odometry sequences 04-12, Tr and P2 of calib.txt: LiDAR frame -> left colour camera, row by row.
_KITTI_T_CAMERA_GRID = (
    [-0.001857739385, -0.999965951351, -0.008039975205, 0.056246554]
    + [-0.006481465826, 0.008051860151, -0.999946608177, -0.074814016]
    + [0.999977309829, -0.001805528628, -0.006496203536, -0.327793583]
)


#: The stereo_backend that computes nothing: depth or disparity comes from a topic.
TOPIC = "topic"
#: Values of grid_pose.
FIXED, GROUND = "fixed", "ground"


@dataclass(frozen=True)
class NodeParameters(HealthParameters, PlanningParameters):
    """The parameters of the node `scanssc`."""

    image_transport: str = parameter(
        "raw", "Type of the image topics: sensor_msgs/Image or CompressedImage.", choices=("raw", "compressed")
    )
    qos_reliability: str = parameter(
        "best_effort",
        "Reliability of the input subscriptions; best_effort takes from reliable publishers too.",
        choices=("best_effort", "reliable"),
    )
    qos_depth: int = parameter(10, "Queue depth of the input subscriptions.", minimum=1, maximum=100)
    sync_backend: str = parameter(
        "auto",
        "Pairing: message_filters, our own (builtin), or auto = message_filters where it is installed.",
        choices=("auto", "builtin", "message_filters"),
    )
    sync_tolerance_s: float = parameter(
        DEFAULT_TOLERANCE_S, "Largest difference of the stamps of a pair, inclusive.", minimum=0.0, maximum=1.0
    )
    sync_queue_size: int = parameter(
        DEFAULT_DEPTH, "Images of one side that wait for a partner.", minimum=1, maximum=100
    )
    stereo_backend: str = parameter(
        "sgm",
        "Source of depth: sgm; msnet2d, msnet3d = MobileStereoNet; topic = another node's, without a right image.",
        choices=(*STEREO_BACKENDS, TOPIC),
    )
    stereo_checkpoint: str = parameter("", "Weights of MobileStereoNet: a published checkpoint, or a converted one.")
    depth_input: str = parameter(
        "disparity",
        "For stereo_backend:=topic: stereo_msgs/DisparityImage, or a depth sensor_msgs/Image of the left camera.",
        choices=("disparity", "depth"),
    )
    rectify: bool = parameter(
        False, "Rectify images by K, D, R and P; leave false if they come rectified, whatever CameraInfo has in D."
    )
    model: str = parameter(
        LITE,
        "Source of occupancy: lite = small network, weights in the package; stereo = depth put into the grid; "
        "semantic_kitti, kitti360 = network of a checkpoint, by its data set; dummy = for tests.",
        choices=OCCUPANCY_BACKENDS,
    )
    checkpoint: str = parameter(
        "", "Weights for model semantic_kitti or kitti360: a published checkpoint, or a file of scanssc."
    )
    device: str = parameter(
        "auto", "Where the model runs; auto = CUDA if there is one.", choices=("auto", "cpu", "cuda")
    )
    precision: str = parameter(
        "auto",
        "Number format; auto: bfloat16 where the device has it and, on a CPU, is faster in a trial, else float32.",
        choices=PRECISIONS,
    )
    num_threads: int = parameter(
        0, "CPU threads of torch and OpenCV; 0 = as many as cores that no other program uses.", minimum=0, maximum=256
    )
    keep_unseen: bool = parameter(
        False, "Keep what the model completed outside the left camera's view; else those voxels are UNKNOWN."
    )
    dummy_latency_s: float = parameter(0.0, "Time the dummy model takes.", minimum=0.0, maximum=60.0)
    baseline_m: float = parameter(
        0.0,
        "Distance of the cameras, whatever CameraInfo says of it; 0 = as CameraInfo says (-P[0, 3] / fx of the right).",
        minimum=0.0,
        maximum=BASELINE_RANGE_M[1],
    )
    grid_frame: str = parameter("velodyne", "Frame of the grid: x forward, y left, z up.")
    grid_pose: str = parameter(
        FIXED,
        "Height, roll and pitch of the grid: fixed = by grid_frame and ground_z_m; ground = by the measured ground, in "
        "the frame scanssc_ground, which /tf joins to grid_frame.",
        choices=(FIXED, GROUND),
    )
    grid_extent: list[float] = parameter(  # noqa: RUF009 (a field with a default factory)
        [0.0, 0.0],
        "How far ahead, and how far to each side, the grid that is published reaches, metres; 0 = all of it, 51.2 and "
        "25.6.",
    )
    camera_frame: str = parameter("", "Optical frame of the left camera; empty = frame_id of its images.")
    extrinsics_source: str = parameter(
        "tf",
        "Pose of the camera: tf, waited for; parameter = t_camera_grid; auto = t_camera_grid until tf comes, with a "
        "warning.",
        choices=("tf", "parameter", "auto"),
    )
    tf_timeout_s: float = parameter(
        1.0,
        "How long auto waits for tf, from the first pair, before it takes the parameter.",
        minimum=0.0,
        maximum=60.0,
    )
    t_camera_grid: list[float] = parameter(  # noqa: RUF009 (a field with a default factory)
        _KITTI_T_CAMERA_GRID,
        "Grid frame -> left camera's optical frame: the upper 3x4 of the matrix, row by row, metres. Default: KITTI's.",
        shown="KITTI's",
    )
    publish_confidence: bool = parameter(False, "Fill the confidence field, where the model has one.", dynamic=True)
    occupancy_max_rate_hz: float = parameter(
        0.0,
        "Most VoxelGrid messages per second; 0 = one for each processed pair.",
        minimum=0.0,
        maximum=1000.0,
        dynamic=True,
    )
    markers_max_rate_hz: float = parameter(
        5.0, "Most marker messages per second; 0 = no limit.", minimum=0.0, maximum=1000.0, dynamic=True
    )
    cloud_max_rate_hz: float = parameter(
        5.0, "Most point clouds per second; 0 = no limit.", minimum=0.0, maximum=1000.0, dynamic=True
    )
    depth_max_rate_hz: float = parameter(
        5.0, "Most depth images per second; 0 = no limit.", minimum=0.0, maximum=1000.0, dynamic=True
    )
    max_age_s: float = parameter(
        2.0,
        "Results older than this, counted from the image, are not published.",
        minimum=0.01,
        maximum=3600.0,
        dynamic=True,
    )

    def __post_init__(self) -> None:
        for name in ("grid_frame", "camera_frame", "odometry_frame"):
            object.__setattr__(self, name, bare_frame(getattr(self, name)))

    @property
    def T_cam_grid(self) -> NDArray:
        """(4, 4) grid frame -> left camera, from the parameter t_camera_grid."""
        return np.vstack([np.reshape(self.t_camera_grid, (3, 4)), [0.0, 0.0, 0.0, 1.0]])

    def problems(self) -> list[str]:
        """Everything wrong with these values, each line naming its parameter; empty when all is well."""
        found = super().problems()
        has_network = self.model not in GEOMETRIC_BACKENDS or self.stereo_backend in STEREO_NETWORKS
        if self.precision not in ("auto", "float32") and not has_network:
            found.append(
                f"precision: {self.precision} was asked for, but model {self.model} with depth by "
                f"{self.stereo_backend} computes in float32 only"
            )
        if self.stereo_backend == TOPIC and self.stereo_checkpoint:
            found.append(
                f"stereo_checkpoint: {self.stereo_checkpoint} was given, but stereo_backend is {TOPIC}, which computes "
                "nothing"
            )
        return found

    def problem_of_value(self, name: str) -> str:
        """See ParameterTable."""
        if problem := super().problem_of_value(name):
            return problem
        if name == "baseline_m" and 0 < self.baseline_m < BASELINE_RANGE_M[0]:
            least_m = BASELINE_RANGE_M[0]
            return f"baseline_m: expected 0 (as CameraInfo says) or {least_m} m at least, got {self.baseline_m}"
        if name == "grid_frame" and not self.grid_frame:
            return "grid_frame: expected a frame name, got an empty one"
        if name == "grid_extent" and (
            len(self.grid_extent) != 2 or not all(length_m >= 0 for length_m in self.grid_extent)
        ):
            return f"grid_extent: expected two lengths, ahead and aside, 0 or above, got {self.grid_extent}"
        return self._problem_of_extrinsics() if name == "t_camera_grid" else ""

    def _problem_of_extrinsics(self) -> str:
        if len(self.t_camera_grid) != 12:
            return f"t_camera_grid: expected 12 numbers (3x4, row by row), got {len(self.t_camera_grid)}"
        try:
            check_camera_pose(self.T_cam_grid)
        except ValueError as error:
            return f"t_camera_grid: {error}"
        return ""
