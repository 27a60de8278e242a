"""Calibration and pose of the cameras of a bag: CameraInfo and /tf_static, or what the user says of the pose."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rosbags.highlevel import AnyReader

from scanssc_core.geometry import LIDAR_HEIGHT_M, StereoRig, T_frame_grid, check_camera_pose, make_transform
from scanssc_core.geometry.frame_graph import FrameGraph, bare_frame
from scanssc_core.sources.bag import deserialize, read_messages
from scanssc_core.sources.baselines import compare_with_tf, replaced_baseline
from scanssc_core.sources.camera_info import CameraCalibration, make_rig
from scanssc_core.sources.pairing import DEFAULT_TOLERANCE_S, LEFT, RIGHT, TIME_JUMP_NS
from scanssc_core.sources.stereo_topics import NamedTopics, StereoTopics
from scanssc_core.stereo.rectification import Rectifier, UnrectifiedCamera

_logger = logging.getLogger(__name__)

#: How long a pair waits for the CameraInfo of its images, in time of recording, before it is taken that there is none.
_WAIT_NS = 500_000_000

#: The upper 3x4 of the matrix of a rigid transform, row by row.
Pose: TypeAlias = tuple[float, float, float, float, float, float, float, float, float, float, float, float]


@dataclass(frozen=True)
class BagOptions(NamedTopics):
    """What a bag does not say by itself.

    Attributes:
        left_topic, right_topic: Image topic of this side; both or none. Default: found by their names.
        left_info, right_info: CameraInfo topic of this side. Default: beside its image or in a namespace above.
        tolerance: Largest difference of the stamps of a pair in seconds, inclusive. Default: that of the node, 0.02.
        rectify: The images are as the cameras took them: rectify them by CameraInfo.
        baseline: Distance of the cameras in metres, taken instead of that of CameraInfo, where drivers leave it out or
            give it another sign or unit.
        grid_frame: Frame of the grid in /tf_static: x forward, y left, z up. Default: velodyne, KITTI's LiDAR.
        ground_z: Height of the ground in that frame, metres: 0 for a base on the ground. Default: -1.73, KITTI's.
        camera_frame: Optical frame of the left camera in /tf_static. Default: that of its images.
        t_camera_grid: Pose instead of /tf_static: grid frame -> left camera's optical frame, twelve numbers: the upper
            3x4 of the matrix, row by row, metres.
    """

    tolerance: float = DEFAULT_TOLERANCE_S
    rectify: bool = False
    baseline: float | None = None
    grid_frame: str = "velodyne"
    ground_z: float = -LIDAR_HEIGHT_M
    camera_frame: str = ""
    t_camera_grid: Pose | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < float("inf"):
            raise ValueError(f"tolerance: expected seconds, 0 or more, got {self.tolerance}")
        if not abs(self.ground_z) < float("inf"):
            raise ValueError(f"ground_z: expected metres, got {self.ground_z}")


@dataclass(frozen=True)
class _Told:
    """What a CameraInfo says, and the stamp from which on it holds."""

    from_ns: int
    camera: CameraCalibration
    rectifier: Rectifier | None


class BagCalibration:
    """Starts with the first CameraInfo of either camera, wherever in the bag it is; `update` takes the later ones.

    A calibration holds from the stamp of its CameraInfo on, which may be recorded before or after the image of that
    stamp. All of /tf_static holds for all of the bag, also what is told late in it.

    Args:
        path: of the bag, for errors.
        reader: the opened bag.
        topics: of the pair.
        options: what the bag does not say by itself.
    Raises:
        ValueError: naming bag and topic, if a CameraInfo cannot be used.
    """

    def __init__(self, path: Path, reader: AnyReader, topics: StereoTopics, options: BagOptions) -> None:
        self._path = path
        self._options = options
        self._topics = (topics.left_info, topics.right_info)
        self._told: dict[str, list[_Told]] = {topic: [] for topic in self._topics}  # where it changed
        self._newest_ns: dict[str, int] = dict.fromkeys(self._topics, 0)
        for topic, image_topic in zip(self._topics, (topics.left_image, topics.right_image), strict=True):
            for connection, _, raw in read_messages(reader, reader.topics[topic].connections):
                self.update(topic, deserialize(reader, connection, raw))
                break
            if not self._told[topic]:
                raise ValueError(f"{path}: no message of {topic} can be read, which its index has")
            if not options.rectify and self._told[topic][0].camera.D.any() and "rect" not in image_topic:
                _logger.warning(
                    "%s: D of %s is not zero: %s is taken to be rectified already; --rectify does it",
                    path,
                    topic,
                    image_topic,
                )
        self._doubts: set[str] = set()
        self._frames = FrameGraph()
        self._frame_names: set[str] = set()
        self._read_transforms(reader)

    def update(self, info_topic: str, info: Any) -> None:
        """Take a CameraInfo of the left or right camera."""
        # ROS 1 spells the matrices in capitals.
        fields: Any = SimpleNamespace(**{name.lower(): value for name, value in vars(info).items()})
        stamp_ns = info.header.stamp.sec * 1_000_000_000 + info.header.stamp.nanosec
        if stamp_ns < self._newest_ns[info_topic] - TIME_JUMP_NS:
            self._told[info_topic].clear()
        self._newest_ns[info_topic] = stamp_ns
        told = self._told[info_topic]
        try:
            camera = CameraCalibration.from_camera_info(fields)
            if not told or not told[-1].camera.is_same(camera):
                told.append(_Told(stamp_ns, camera, self._make_rectifier(camera)))
        except ValueError as error:
            raise ValueError(f"{self._path}: {info_topic}: {error}") from error

    def is_known(self, stamps_ns: Sequence[int], waited_ns: int) -> bool:
        """Whether nothing that is yet to come in the bag says how images of LEFT and RIGHT were calibrated.

        Args:
            stamps_ns: of the two images.
            waited_ns: time of recording since the later one of them.
        """
        newest_ns = (self._newest_ns[topic] for topic in self._topics)
        return waited_ns > _WAIT_NS or all(newest >= stamp for newest, stamp in zip(newest_ns, stamps_ns, strict=True))

    def rig(self, stamps_ns: Sequence[int]) -> StereoRig:
        """The rectified pair at the stamps of its LEFT and RIGHT image.

        Raises:
            ValueError: naming bag and topics, if the two are none.
        """
        try:
            left, right = (self._at(side, stamp_ns).camera for side, stamp_ns in enumerate(stamps_ns))
            return make_rig(left, right, self._options.baseline)
        except ValueError as error:
            raise ValueError(f"{self._path}: {' and '.join(self._topics)}: {error}") from error

    def check_baseline(self, image_frames: Sequence[str], stamps_ns: Sequence[int]) -> None:
        """Warn of a baseline that contradicts /tf_static, or is taken instead of one of CameraInfo; each once.

        Args:
            image_frames: frame_id of the LEFT and the RIGHT image.
            stamps_ns: of the two, whose rig can be made.
        """
        cameras = [self._at(side, stamp_ns).camera for side, stamp_ns in enumerate(stamps_ns)]
        doubts, given_m = [], self._options.baseline
        if given_m is not None:
            doubts.append(replaced_baseline(cameras[LEFT], cameras[RIGHT], given_m, "--baseline", "leave it out"))
        left_frame, right_frame = map(bare_frame, image_frames)
        T_left_right = self._frames.lookup(left_frame, right_frame)
        if right_frame and left_frame != right_frame and T_left_right is not None:
            baseline_m = self.rig(stamps_ns).baseline_m
            doubts.append(compare_with_tf(left_frame, right_frame, T_left_right, baseline_m, "--baseline")[1])
        for doubt in filter(None, doubts):
            if doubt not in self._doubts:
                self._doubts.add(doubt)
                _logger.warning("%s: %s", self._path, doubt)

    def rectified(self, side: int, stamp_ns: int, image: NDArray) -> NDArray:
        """The image of LEFT or RIGHT as `rig` has it: rectified here if that was asked for.

        Raises:
            ValueError: if it is of another size than its CameraInfo.
        """
        told = self._at(side, stamp_ns)
        told.camera.check_size(image.shape[1], image.shape[0])
        return image if told.rectifier is None else told.rectifier(image)

    def _at(self, side: int, stamp_ns: int) -> _Told:
        """What holds for an image: the newest that was told up to its stamp, or the first of all."""
        told = self._told[self._topics[side]]
        return next((entry for entry in reversed(told) if entry.from_ns <= stamp_ns), told[0])

    def _make_rectifier(self, camera: CameraCalibration) -> Rectifier | None:
        if not self._options.rectify:
            return None
        numbers = (camera.K, camera.D, camera.R, camera.P, camera.distortion_model, camera.width, camera.height)
        return Rectifier(UnrectifiedCamera.from_lists(*numbers))

    def T_cam_grid(self, image_frame: str) -> NDArray:
        """(4, 4) grid -> left camera, the grid standing over the ground as KITTI's LiDAR does.

        Args:
            image_frame: frame_id of the left image.
        Raises:
            ValueError: naming the frames, if /tf_static does not join them, or the pose is none that a camera has.
        """
        if self._options.t_camera_grid is not None:
            given = np.vstack([np.reshape(self._options.t_camera_grid, (3, 4)), [0.0, 0.0, 0.0, 1.0]])
            return self._checked(given, "--t-camera-grid")
        camera_frame = self._options.camera_frame or image_frame
        T_cam_grid = self._frames.lookup(camera_frame, self._options.grid_frame)
        if T_cam_grid is None:
            names = ", ".join(sorted(self._frame_names))
            there = f"its frames are {names}" if names else "it is empty (/tf is not read)"
            raise ValueError(
                f"{self._path}: /tf_static does not join the grid's frame {self._options.grid_frame!r} and the left "
                f"camera's {camera_frame!r}; {there}; name them by --grid-frame and --camera-frame, or give the pose "
                "by --t-camera-grid"
            )
        source = f"{camera_frame!r} (--camera-frame) in {self._options.grid_frame!r} (--grid-frame)"
        return self._checked(T_cam_grid, source)

    def _checked(self, T_cam_grid: NDArray, source: str) -> NDArray:
        try:
            check_camera_pose(T_cam_grid)
        except ValueError as error:
            raise ValueError(f"{self._path}: {source}: {error}") from error
        return T_cam_grid @ T_frame_grid(self._options.ground_z)

    def _read_transforms(self, reader: AnyReader) -> None:
        connections = [c for c in reader.connections if c.topic.lstrip("/") == "tf_static"]
        for connection, _, raw in read_messages(reader, connections):
            for stamped in deserialize(reader, connection, raw).transforms:
                rotation, translation = stamped.transform.rotation, stamped.transform.translation
                parent, child = stamped.header.frame_id, stamped.child_frame_id
                try:
                    T_parent_child = make_transform(
                        (rotation.x, rotation.y, rotation.z, rotation.w), (translation.x, translation.y, translation.z)
                    )
                except ValueError as error:
                    _logger.warning("%s: /tf_static: %s -> %s is not used: %s", self._path, parent, child, error)
                    continue
                self._frames.add(parent, child, T_parent_child)
                self._frame_names |= {parent, child}
