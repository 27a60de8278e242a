"""A drive through a scene, as stereo frames in memory or as a sequence folder in the layout of KITTI odometry."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from scanssc_core.data.semantic_kitti import write_voxel_labels
from scanssc_core.data.sequence import StereoFrame
from scanssc_core.data.synthetic.renderer import render
from scanssc_core.data.synthetic.scene import Scene
from scanssc_core.data.synthetic.voxels import voxelize
from scanssc_core.files import write_file
from scanssc_core.geometry import PinholeCamera, StereoRig, VoxelGridSpec, invert_transform

#: KITTI's rig of the sequences 04 to 12.
KITTI_RIG = StereoRig(PinholeCamera(707.0912, 707.0912, 601.8873, 183.1104, 1226, 370), 0.5372, 601.8873)
#: LiDAR frame -> left camera: level, the camera 0.27 m ahead of the LiDAR and 0.08 m below it.
T_CAM_VELO = np.array([[0.0, -1, 0, 0], [0, 0, -1, -0.08], [1, 0, 0, -0.27], [0, 0, 0, 1]])
LIDAR_HEIGHT_M = 1.73


@dataclass(frozen=True)
class SyntheticSequence:
    """A drive along x, straight ahead, at constant speed. A StereoSequence, with exact depth and voxels besides.

    Attributes:
        scene: the street.
        num_frames: how many.
        start_x_m: where the LiDAR is at the first frame.
        speed_m_s: metres per second; negative drives backwards.
        rate_hz: frames per second.
        rig: the cameras.
    """

    scene: Scene
    num_frames: int
    start_x_m: float = 0.0
    speed_m_s: float = 8.0
    rate_hz: float = 10.0
    rig: StereoRig = KITTI_RIG

    def __len__(self) -> int:
        return self.num_frames

    def __iter__(self) -> Iterator[StereoFrame]:
        return (self.frame(index)[0] for index in range(self.num_frames))

    def position(self, index: int) -> NDArray:
        """(3,) the LiDAR in the world, metres."""
        return np.array([self.start_x_m + index * self.speed_m_s / self.rate_hz, 0.0, LIDAR_HEIGHT_M])

    def frame(self, index: int) -> tuple[StereoFrame, NDArray]:
        """The pair, and the exact (H, W) float32 depth of its left image in metres, 0 = sky."""
        T_world_velo = np.eye(4)
        T_world_velo[:3, 3] = self.position(index)
        T_world_left = T_world_velo @ invert_transform(T_CAM_VELO)
        T_left_right = np.eye(4)
        T_left_right[0, 3] = self.rig.baseline_m
        left_rgb, depth_m = render(self.scene, self.rig.left, T_world_left)
        right_rgb, _ = render(self.scene, self.rig.left, T_world_left @ T_left_right)
        stamp_ns = round(index / self.rate_hz * 1e9)
        return StereoFrame(left_rgb, right_rgb, self.rig, T_CAM_VELO, stamp_ns), depth_m

    def voxels(self, index: int, grid: VoxelGridSpec) -> NDArray:
        """(X, Y, Z) uint8 true class ids of the grid around the LiDAR at this frame."""
        return voxelize(self.scene, grid, self.position(index))

    def write(
        self, directory: Path, with_voxels: bool = False, on_frame: Callable[[], None] = lambda: None, workers: int = 2
    ) -> None:
        """Write a folder in the layout of KITTI odometry: image_2, image_3, calib.txt, times.txt, poses.txt.

        Args:
            with_voxels: write the true voxels too (voxels/*.label).
            on_frame: called after every frame, for a progress bar.
            workers: processes that render.
        """
        write_file(directory / "calib.txt", self._calib_text().encode())
        stamps = "".join(f"{index / self.rate_hz:.6e}\n" for index in range(self.num_frames))
        write_file(directory / "times.txt", stamps.encode())
        write_file(directory / "poses.txt", self._poses_text().encode())
        with ProcessPoolExecutor(workers) as pool:
            jobs = [pool.submit(self._write_frame, directory, index, with_voxels) for index in range(self.num_frames)]
            for job in jobs:
                job.result()
                on_frame()

    def _write_frame(self, directory: Path, index: int, with_voxels: bool) -> None:
        frame, _ = self.frame(index)
        for folder, image in (("image_2", frame.left_rgb), ("image_3", frame.right_rgb)):
            png = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
            write_file(directory / folder / f"{index:06d}.png", png.tobytes())
        if with_voxels:
            labels = self.voxels(index, VoxelGridSpec.semantic_kitti())
            write_voxel_labels(directory / "voxels" / f"{index:06d}.label", labels)

    def _calib_text(self) -> str:
        """P0 = P2 and P1 = P3: the left camera is the reference."""
        camera = self.rig.left
        lines = []
        for name, offset in (("P0", 0.0), ("P1", self.rig.baseline_m), ("P2", 0.0), ("P3", self.rig.baseline_m)):
            P = np.hstack([camera.matrix, [[-camera.fx * offset], [0.0], [0.0]]])
            lines.append(_row(name, P))
        lines.append(_row("Tr", T_CAM_VELO[:3]))
        return "\n".join(lines) + "\n"

    def _poses_text(self) -> str:
        """Camera poses relative to the first one, as KITTI gives them."""
        rows = []
        for index in range(self.num_frames):
            pose = np.eye(4)[:3]
            pose[2, 3] = self.position(index)[0] - self.position(0)[0]
            rows.append(" ".join(f"{value:.6e}" for value in pose.reshape(-1)))
        return "\n".join(rows) + "\n"


def _row(name: str, matrix: NDArray) -> str:
    return f"{name}: " + " ".join(f"{value:.12e}" for value in matrix.reshape(-1))
