"""A drive through a scene: stereo frames, exact depth, sweeps and voxel labels. A StereoSequence."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from scanssc_core.files import write_file
from scanssc_core.geometry import LIDAR_HEIGHT_M, StereoRig, VoxelGridSpec, invert_transform
from scanssc_core.labels import FREE
from scanssc_core.sources.sequence import StereoFrame
from scanssc_core.synthetic.lidar import Sweep, near_sweep, survey_sweep, visible, vote, with_movers
from scanssc_core.synthetic.movers import Mover
from scanssc_core.synthetic.path import STRAIGHT_ROAD, RoadPath
from scanssc_core.synthetic.renderer import Renderer, View
from scanssc_core.synthetic.rigs import (
    KITTI_RIG,
    KITTI_RIGS,
    LEVEL_MOUNT,
    ROBOT_HEIGHTS_M,
    Mount,
    calibration_text,
    draw_robot_rig,
)
from scanssc_core.synthetic.scene import Scene
from scanssc_core.synthetic.street import Drive, make_robot_street, make_street

#: How far ahead of a frame the poses lie whose sweeps count for its labels: to the far end of the grid.
LABEL_AHEAD_M = 51.0
#: Frames of one process: they share the street's shadows.
_FRAMES_PER_JOB = 5
_SURVEY_SPACING_M = 3.0
_CAR_M_S, _ROBOT_M_S = 8.0, 1.5
#: KITTI's scanner looks a little downwards.
_NOSE_DOWN_RAD = 0.009


@dataclass(frozen=True, eq=False)
class FrameTruth:
    """Voxel labels of one frame.

    Attributes:
        labels: (X, Y, Z) uint8 class ids.
        is_invalid: (X, Y, Z) bool, reached by no ray of the drive.
        is_occluded: (X, Y, Z) bool, not seen from the frame's own pose.
        is_moving: (X, Y, Z) bool, of what moves, where it is at that frame.
    """

    labels: NDArray
    is_invalid: NDArray
    is_occluded: NDArray
    is_moving: NDArray


@dataclass(frozen=True, eq=False)
class SyntheticSequence:
    """A drive along a road at constant speed.

    Attributes:
        scene: the street, with what stands on it.
        num_frames: how many.
        path: the middle of the road; straight along x when not given.
        lane_m: how far left of it the car drives.
        start_x_m: where along the road the LiDAR is at the first frame.
        speed_m_s: metres per second; negative drives backwards.
        rate_hz: frames per second.
        rig: the cameras.
        mount: how they sit beside the LiDAR.
        noise: standard deviation of the cameras' noise in mid grey, 0..255.
        turn_rad: how far to the left of the road's direction the car looks.
        sway_rad: how much the car nods, rolls and turns about that.
        nod_rad, nod_s: how much it nods beside that, and in how many seconds; it rolls half as much.
        nose_down_rad: how far the grid's frame is pitched down.
        sees_near: whether the labels hold what the scanner on a car's roof cannot see about the car.
        seed: of noise and sway.
        movers: what moves on the street.
    """

    scene: Scene
    num_frames: int
    path: RoadPath = STRAIGHT_ROAD
    lane_m: float = 0.0
    start_x_m: float = 0.0
    speed_m_s: float = 8.0
    rate_hz: float = 10.0
    rig: StereoRig = KITTI_RIG
    mount: Mount = LEVEL_MOUNT
    noise: float = 0.0
    turn_rad: float = 0.0
    sway_rad: float = 0.0
    nod_rad: float = 0.0
    nod_s: float = 1.6
    nose_down_rad: float = 0.0
    sees_near: bool = False
    seed: int = 0
    movers: tuple[Mover, ...] = ()
    _surveys: dict[int, Sweep] = field(default_factory=dict, repr=False)

    @classmethod
    def on_street(
        cls, seed: int, num_frames: int, spacing_m: float = 4.0, kind: str | None = None, has_movers: bool = False
    ) -> "SyntheticSequence":
        """A drive through the street of this seed, with one of KITTI's rigs, noise and sway."""
        way_m = num_frames * spacing_m
        street = make_street(seed, way_m + LABEL_AHEAD_M, kind, Drive(way_m, _CAR_M_S) if has_movers else None)
        rng = np.random.default_rng((seed, 2))
        rig, mount = KITTI_RIGS[rng.choice(len(KITTI_RIGS), p=[0.4, 0.1, 0.5])]
        return cls(
            street.scene,
            num_frames,
            street.path,
            street.lane_m,
            speed_m_s=_CAR_M_S,
            rate_hz=_CAR_M_S / spacing_m,
            rig=rig,
            mount=mount,
            noise=float(rng.uniform(1.0, 3.5)),
            sway_rad=0.008,
            nose_down_rad=_NOSE_DOWN_RAD,
            seed=seed,
            movers=street.movers,
        )

    @classmethod
    def of_robot(
        cls,
        seed: int,
        num_frames: int,
        spacing_m: float = 4.0,
        kind: str | None = None,
        has_movers: bool = False,
        heights_m: tuple[float, float] = ROBOT_HEIGHTS_M,
    ) -> "SyntheticSequence":
        """A robot's drive through the place of this seed, with a rig, noise and sway of its own."""
        stops_m = [index * spacing_m for index in range(num_frames)]
        way_m = num_frames * spacing_m
        drive = Drive(way_m, _ROBOT_M_S) if has_movers else None
        street = make_robot_street(seed, way_m + LABEL_AHEAD_M, stops_m, kind, drive)
        rig, mount = cls.robot_rig(seed, heights_m)
        rng = np.random.default_rng((seed, 2))
        return cls(
            street.scene,
            num_frames,
            street.path,
            street.lane_m,
            speed_m_s=_ROBOT_M_S,
            rate_hz=_ROBOT_M_S / spacing_m,
            rig=rig,
            mount=mount,
            noise=float(rng.uniform(1.0, 4.0) / np.sqrt(street.scene.light.ambient)),
            turn_rad=street.turn_rad,
            sway_rad=float(rng.uniform(0.004, 0.012)),
            sees_near=True,
            seed=seed,
            movers=street.movers,
        )

    @staticmethod
    def robot_rig(seed: int, heights_m: tuple[float, float] = ROBOT_HEIGHTS_M) -> tuple[StereoRig, Mount]:
        """The rig of a robot's drive, without its street; heights_m: least and greatest of its camera."""
        return draw_robot_rig(np.random.default_rng((seed, 6)), heights_m)

    def __len__(self) -> int:
        return self.num_frames

    def __iter__(self) -> Iterator[StereoFrame]:
        return (self.frame(index)[0] for index in range(self.num_frames))

    def length_at(self, index: int) -> float:
        """Where along the road the LiDAR is at a frame, metres."""
        return self.start_x_m + index * self.speed_m_s / self.rate_hz

    def pose(self, index: int) -> NDArray:
        """(4, 4) T_world_velo at a frame."""
        return self.pose_at(self.length_at(index))

    def pose_at(self, s_m: float) -> NDArray:
        """(4, 4) T_world_velo at a length along the road: over the lane, along the ground, swaying a little."""
        x, y = self.path.place(s_m, self.lane_m)
        heading = self.path.heading_at(s_m) + self.turn_rad
        forward, left = np.array([np.cos(heading), np.sin(heading)]), np.array([-np.sin(heading), np.cos(heading)])
        wheels = np.array(
            [(x, y), *(np.array([x, y]) + o for o in (1.4 * forward, -1.4 * forward, 0.8 * left, -0.8 * left))]
        )
        z = self.scene.ground.height_at(wheels[None, :, 0], wheels[None, :, 1])[0].astype(np.float64)
        phase = np.random.default_rng((self.seed, 3)).uniform(0, 2 * np.pi, 3)
        pitch, roll, yaw = self.sway_rad * np.sin(s_m / np.array([5.3, 9.1, 14.7]) + phase) * (0.5, 0.6, 2.0)
        turns = (s_m - self.start_x_m) / self.speed_m_s / self.nod_s
        pitch += self.nose_down_rad + self.nod_rad * np.sin(2 * np.pi * turns)
        roll += self.nod_rad / 2 * np.sin(2 * np.pi * 1.5 * turns)
        pitch -= np.arctan2(z[1] - z[2], 2.8)
        roll += np.arctan2(z[3] - z[4], 1.6)
        T_world_velo = np.eye(4)
        T_world_velo[:3, :3] = _turn(heading + yaw, 2) @ _turn(pitch, 1) @ _turn(roll, 0)
        T_world_velo[:3, 3] = np.array([x, y, z[0]]) + LIDAR_HEIGHT_M * T_world_velo[:3, 2]
        return T_world_velo

    def movers_at(self, index: int) -> Scene:
        """What moves, where it is at a frame."""
        time_s = index / self.rate_hz
        places = (mover.solids_at(time_s, self.path, self.scene.ground) for mover in self.movers)
        return replace(self.scene, solids=tuple(solid for solids in places for solid in solids))

    def scene_at(self, index: int) -> Scene:
        """All that is there at a frame."""
        return replace(self.scene, solids=self.scene.solids + self.movers_at(index).solids)

    @cached_property
    def _standing_renderer(self) -> Renderer:
        return Renderer(self.scene)

    def views(self, index: int) -> tuple[View, View]:
        """What the left and the right camera see at a frame."""
        renderer = Renderer(self.scene_at(index)) if self.movers else self._standing_renderer
        T_world_left = self.pose(index) @ invert_transform(self.mount.T_left_velo)
        T_left_right = np.eye(4)
        T_left_right[0, 3] = self.rig.baseline_m
        left = renderer.render(self.rig.left, T_world_left)
        right = renderer.render(self.rig.left, T_world_left @ T_left_right)
        if not self.noise:
            return left, right
        rng = np.random.default_rng((self.seed, 4, index))
        left, right = (replace(view, rgb=_add_noise(view.rgb, self.noise, rng)) for view in (left, right))
        return left, right

    def frame(self, index: int) -> tuple[StereoFrame, NDArray]:
        """The pair, and the exact (H, W) float32 depth of its left image in metres, 0 = sky."""
        left, right = self.views(index)
        stamp_ns = round(index / self.rate_hz * 1e9)
        return StereoFrame(left.rgb, right.rgb, self.rig, self.mount.T_left_velo, stamp_ns), left.depth_m

    def truth(self, index: int, grid: VoxelGridSpec, T_velo_grid: NDArray | None = None) -> FrameTruth:
        """Voxel labels around the LiDAR at a frame, as the sweeps of the drive up to 51 m ahead see them.

        Args:
            grid: the voxels.
            T_velo_grid: (4, 4) their frame, which stands nearly as the LiDAR's does, -> LiDAR; None: the LiDAR's own.
        """
        T_world_velo = self.pose(index)
        T_world_grid = T_world_velo if T_velo_grid is None else T_world_velo @ T_velo_grid
        own = (near_sweep if self.sees_near else survey_sweep)(self.scene, T_world_velo)
        start_m = self.length_at(index)
        first, last = (int(np.ceil(s / _SURVEY_SPACING_M + 1e-6)) for s in (start_m, start_m + LABEL_AHEAD_M))
        for passed in [number for number in self._surveys if number < first]:
            del self._surveys[passed]
        movers = self.movers_at(index)
        sweeps = [with_movers(one, movers) for one in (own, *(self._survey(number) for number in range(first, last)))]
        labels, is_invalid, is_moving = vote(self.scene, sweeps, T_world_grid, grid)
        is_occluded = ~visible(sweeps[0], T_world_grid, grid) & (labels == FREE)
        return FrameTruth(labels, is_invalid, is_occluded, is_moving)

    def _survey(self, number: int) -> Sweep:
        """The sweep at a fixed place along the road: neighbouring frames share it."""
        if number not in self._surveys:
            self._surveys[number] = survey_sweep(self.scene, self.pose_at(number * _SURVEY_SPACING_M))
        return self._surveys[number]

    def T_first_frame(self, index: int) -> NDArray:
        """(4, 4) pose of camera 0 at a frame in camera 0 at the first, as KITTI's poses.txt gives it."""
        T_velo_cam0 = invert_transform(self.mount.T_cam0_velo)
        return invert_transform(self.pose(0) @ T_velo_cam0) @ self.pose(index) @ T_velo_cam0

    def write(self, directory: Path, on_frame: Callable[[], None] = lambda: None, workers: int = 2) -> None:
        """Write a folder in the layout of KITTI odometry: image_2, image_3, calib.txt, times.txt, poses.txt.

        Args:
            on_frame: called after every frame, for a progress bar.
            workers: processes that render.
        """
        self.write_texts(directory)
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            starts = range(0, self.num_frames, _FRAMES_PER_JOB)
            jobs = [pool.submit(self._write_images_from, directory, start) for start in starts]
            for job in jobs:
                for _ in range(job.result()):
                    on_frame()

    def write_texts(self, directory: Path) -> None:
        """Write calib.txt, times.txt and poses.txt."""
        indices = range(self.num_frames)
        poses = (self.T_first_frame(index)[:3].reshape(-1) for index in indices)
        rows = "".join(" ".join(f"{value:.6e}" for value in pose) + "\n" for pose in poses)
        write_file(directory / "calib.txt", calibration_text(self.rig, self.mount).encode())
        write_file(directory / "times.txt", "".join(f"{index / self.rate_hz:.6e}\n" for index in indices).encode())
        write_file(directory / "poses.txt", rows.encode())

    def write_images(self, directory: Path, index: int) -> View:
        """Write the pair of one frame; returns the left view."""
        views = self.views(index)
        for folder, view in zip(("image_2", "image_3"), views, strict=True):
            bgr = cv2.cvtColor(view.rgb, cv2.COLOR_RGB2BGR)
            write_file(directory / folder / f"{index:06d}.png", encode_png(bgr))
        return views[0]

    def _write_images_from(self, directory: Path, start: int) -> int:
        indices = range(start, min(start + _FRAMES_PER_JOB, self.num_frames))
        for index in indices:
            self.write_images(directory, index)
        return len(indices)


def encode_png(image: NDArray) -> bytes:
    """A PNG file, packed fast: noise does not pack well anyway."""
    return cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def _turn(angle_rad: float, axis: int) -> NDArray:
    """(3, 3) rotation about an axis."""
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    a, b = (axis + 1) % 3, (axis + 2) % 3
    rotation = np.eye(3)
    rotation[a, a], rotation[a, b], rotation[b, a], rotation[b, b] = cos, -sin, sin, cos
    return rotation


def _add_noise(image: NDArray, deviation: float, rng: np.random.Generator) -> NDArray:
    """Noise that grows with the light, like that of photons."""
    # Picking from a table is twice as fast as drawing every value.
    drawn = rng.standard_normal(1 << 16, np.float32)
    noise = drawn[rng.integers(0, 1 << 16, image.shape, np.uint32)]
    level = image.astype(np.float32)
    return np.clip(level + noise * deviation * np.sqrt(0.25 + level / 170) + 0.5, 0, 255).astype(np.uint8)
