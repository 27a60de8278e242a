"""Stereo pair in, labelled voxels out: depth stage, occupancy stage, and what each took.

What is missing is never taken for free (scanssc_core/labels.py): depth that is no measurement becomes 0, a voxel out of
view becomes UNKNOWN with confidence 0.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import LIDAR_HEIGHT_M, PinholeCamera, StereoRig, level_ground_depth, only_measured
from scanssc_core.occupancy.interface import Occupancy, OccupancyBackend
from scanssc_core.occupancy.visibility import visible_voxels
from scanssc_core.runtime.cores import CoreSharing
from scanssc_core.stereo.interface import StereoBackend

_WARM_UP_CAMERA = PinholeCamera(707.0, 707.0, 602.0, 183.0, width=1226, height=370)


@dataclass(frozen=True)
class PipelineResult:
    """Depth and labelled grid of one stereo pair.

    Attributes:
        depth_m: (H, W) float32, 0 = no measurement.
        occupancy: the labelled grid.
        stage_s: seconds spent, by stage.
    """

    depth_m: NDArray
    occupancy: Occupancy
    stage_s: dict[str, float]


class OccupancyPipeline:
    """Depth stage and occupancy stage in a row.

    Args:
        stereo: source of depth; None if every frame comes with its depth.
        occupancy: source of labels.
        keep_unseen: keep what the occupancy stage says of voxels outside the left camera's view; else they become
            UNKNOWN.
        shares_cores: let torch use as many threads as there are cores that nobody else uses.

    Attributes:
        stage: what is being computed now, `depth` or `occupancy`; empty in between.
        cores: how they are shared with other programs; None unless shares_cores.

    Example:
        A wall of noise that both cameras see 16 pixels apart, 12.15 m ahead:

        >>> from scanssc_core.runtime.backends import make_occupancy_backend, make_stereo_backend
        >>> pipeline = OccupancyPipeline(make_stereo_backend("sgm"), make_occupancy_backend("stereo"))
        >>> camera = PinholeCamera(fx=360.0, fy=360.0, cx=310.0, cy=94.0, width=620, height=188)
        >>> rig = StereoRig(camera, baseline_m=0.54, right_cx=310.0)
        >>> T_cam_grid = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])  # at the LiDAR, ahead
        >>> left_rgb = np.random.default_rng(0).integers(0, 256, (188, 620, 3), dtype=np.uint8)
        >>> right_rgb = np.roll(left_rgb, -16, axis=1)
        >>> result = pipeline.run(left_rgb, right_rgb, rig, T_cam_grid)
        >>> f"{np.median(result.depth_m):.2f} m"
        '12.15 m'
        >>> ahead = result.occupancy.labels[:, 128, 10]  # voxels of 0.2 m along x, at the height of the cameras
        >>> [pipeline.occupancy.label_set.names[label] for label in ahead[[30, 60]]], int(ahead[90])
        (['empty', 'obstacle'], 255)
    """

    def __init__(
        self,
        stereo: StereoBackend | None,
        occupancy: OccupancyBackend,
        keep_unseen: bool = False,
        shares_cores: bool = True,
    ) -> None:
        self.stereo = stereo
        self.occupancy = occupancy
        self.keep_unseen = keep_unseen
        self.stage = ""
        self.cores = CoreSharing() if shares_cores else None

    def warm_up(self) -> None:
        """Label one grey image of level ground, of KITTI's size: a network's first frame takes twice the time of the
        others."""
        image = np.full((_WARM_UP_CAMERA.height, _WARM_UP_CAMERA.width, 3), 128, np.uint8)
        depth_m = level_ground_depth(_WARM_UP_CAMERA, LIDAR_HEIGHT_M)
        T_cam_grid = np.eye(4)
        T_cam_grid[:3, :3] = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
        self.label(image, depth_m, _WARM_UP_CAMERA, T_cam_grid)

    def run(
        self,
        left_rgb: NDArray,
        right_rgb: NDArray,
        rig: StereoRig,
        T_cam_grid: NDArray,
        depth_m: NDArray | None = None,
        with_confidence: bool = True,
    ) -> PipelineResult:
        """Label the grid for one rectified pair.

        Args:
            left_rgb, right_rgb: (H, W, 3) uint8.
            rig: calibration of images of this size.
            T_cam_grid: (4, 4) grid frame -> left camera's optical frame.
            depth_m: (H, W) known depth of the left image, instead of the depth stage; see label.
            with_confidence: also give the confidence, if the occupancy stage has one.
        Raises:
            ValueError: if image, depth and calibration are not of one size.
        """
        stage_s = {"depth": 0.0}
        if depth_m is None:
            depth_m, stage_s = self.measure(left_rgb, right_rgb, rig)
        result = self.label(left_rgb, depth_m, rig.left, T_cam_grid, with_confidence)
        return PipelineResult(result.depth_m, result.occupancy, {**stage_s, **result.stage_s})

    def measure(self, left_rgb: NDArray, right_rgb: NDArray, rig: StereoRig) -> tuple[NDArray, dict[str, float]]:
        """The depth stage alone: the (H, W) depth of the left image in metres, and the seconds spent."""
        if self.stereo is None:
            raise ValueError("a pair without depth came, but the pipeline has no depth stage")
        stage_s: dict[str, float] = {}
        with self._timed("depth", stage_s):
            depth_m = self.stereo.compute_depth(left_rgb, right_rgb, rig)
        return depth_m, stage_s

    def label(
        self,
        left_rgb: NDArray,
        depth_m: NDArray,
        camera: PinholeCamera,
        T_cam_grid: NDArray,
        with_confidence: bool = True,
    ) -> PipelineResult:
        """Label the grid for one image whose depth is known.

        Args:
            left_rgb: (H, W, 3) uint8.
            depth_m: (H, W) metres; what is not above zero, NaN or infinite is no measurement.
            camera: intrinsics of images of this size.
            T_cam_grid: (4, 4) grid frame -> this camera's optical frame.
            with_confidence: see run.
        Raises:
            ValueError: if image, depth and camera are not of one size.
        """
        for what, image in (("image", left_rgb), ("depth", depth_m)):
            if image.shape[:2] != (camera.height, camera.width):
                raise ValueError(
                    f"expected the {what} to be {camera.width}x{camera.height} like its calibration, "
                    f"got {image.shape[1]}x{image.shape[0]}"
                )
        depth_m = only_measured(depth_m)
        stage_s: dict[str, float] = {}
        with self._timed("occupancy", stage_s):
            visible = None if self.keep_unseen else visible_voxels(self.occupancy.grid, camera, T_cam_grid)
            wanted = None if visible is None else visible.mask
            occupancy = self.occupancy.predict(left_rgb, depth_m, camera, T_cam_grid, with_confidence, wanted)
            if visible is not None:
                occupancy = _only_seen(occupancy, visible.hidden)
        return PipelineResult(depth_m, occupancy, stage_s)

    @contextmanager
    def _timed(self, stage: str, stage_s: dict[str, float]) -> Iterator[None]:
        if self.cores is not None:
            self.cores.adapt()
        self.stage, start = stage, time.perf_counter()
        try:
            yield
        finally:
            self.stage = ""
            stage_s[stage] = time.perf_counter() - start


def _only_seen(occupancy: Occupancy, hidden: NDArray) -> Occupancy:
    """Voxels that are not seen become UNKNOWN with confidence 0; hidden: see VisibleVoxels."""
    confidence = None if occupancy.confidence is None else occupancy.confidence & ~hidden
    return Occupancy(occupancy.labels | hidden, confidence)
