"""KITTI's three stereo rigs, as the calibration files of its odometry sequences give them, and rigs of robots."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import LIDAR_HEIGHT_M, PinholeCamera, StereoRig, invert_transform

#: LiDAR axes (x forward, y left, z up) -> camera axes (x right, y down, z forward).
_AXES = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])


@dataclass(frozen=True, eq=False)
class Mount:
    """How a stereo rig sits beside a LiDAR.

    Attributes:
        left_offset_m: how far right of camera 0, the reference of calib.txt, the left camera sits (negative: left).
        T_cam0_velo: (4, 4) LiDAR -> camera 0.
    """

    left_offset_m: float
    T_cam0_velo: NDArray

    @property
    def T_left_velo(self) -> NDArray:
        """(4, 4) LiDAR -> left camera."""
        T_left_cam0 = np.eye(4)
        T_left_cam0[0, 3] = -self.left_offset_m
        return T_left_cam0 @ self.T_cam0_velo


#: LiDAR frame -> left camera: level, the camera 0.27 m ahead of the LiDAR and 0.08 m below it.
T_CAM_VELO = np.array([[0.0, -1, 0, 0], [0, 0, -1, -0.08], [1, 0, 0, -0.27], [0, 0, 0, 1]])
LEVEL_MOUNT = Mount(0.0, T_CAM_VELO)


def calibration_text(rig: StereoRig, mount: Mount) -> str:
    """calib.txt of KITTI odometry; the grey cameras get the colour cameras' baseline."""
    offsets = (0.0, rig.baseline_m, mount.left_offset_m, mount.left_offset_m + rig.baseline_m)
    lines = []
    for number, offset_m in enumerate(offsets):
        P = np.hstack([rig.left.matrix, [[-rig.left.fx * offset_m], [0.0], [0.0]]])
        lines.append(_row(f"P{number}", P))
    lines.append(_row("Tr", mount.T_cam0_velo[:3]))
    return "\n".join(lines) + "\n"


def _rig(
    camera: PinholeCamera, P2_offset: float, P3_offset: float, turn: tuple[float, float, float],
    shift_m: tuple[float, float, float],
) -> tuple[StereoRig, Mount]:  # fmt: skip
    """turn: small angles (radians) about the camera's axes; shift_m: of Tr."""
    x, y, z = turn
    first_order = np.array([[1, -z, y], [z, 1, -x], [-y, x, 1.0]])
    u, _, v = np.linalg.svd(first_order)
    T_cam0_velo = np.eye(4)
    T_cam0_velo[:3, :3] = u @ v @ _AXES
    T_cam0_velo[:3, 3] = shift_m
    stereo = StereoRig(camera, (P2_offset - P3_offset) / camera.fx, camera.cx)
    return stereo, Mount(-P2_offset / camera.fx, T_cam0_velo)


#: Rigs, and their mounts, of the sequences 00-02, 03 and 04-12.
KITTI_RIGS = (
    _rig(PinholeCamera(718.856, 718.856, 607.1928, 185.2157, 1241, 376), 45.38225, -337.2877,
         (0.0072, 0.0004, -0.0081), (-0.0120, -0.0540, -0.2922)),
    _rig(PinholeCamera(721.5377, 721.5377, 609.5593, 172.854, 1242, 375), 44.85728, -339.5242,
         (-0.0104, 0.0002, -0.0106), (-0.0028, -0.0751, -0.2721)),
    _rig(PinholeCamera(707.0912, 707.0912, 601.8873, 183.1104, 1226, 370), 46.88783, -333.4597,
         (0.0065, -0.0019, -0.0080), (-0.0048, -0.0734, -0.3340)),
)  # fmt: skip

#: KITTI's rig of the sequences 04 to 12.
KITTI_RIG = KITTI_RIGS[2][0]


#: Sizes of pictures that stereo cameras give: width, height.
_ROBOT_SIZES = ((640, 480), (752, 480), (848, 480), (960, 600), (1242, 375), (1280, 720), (1280, 800))
#: Least and greatest height of their left cameras over the ground.
ROBOT_HEIGHTS_M = (0.4, 2.0)


def draw_robot_rig(
    rng: np.random.Generator, heights_m: tuple[float, float] = ROBOT_HEIGHTS_M
) -> tuple[StereoRig, Mount]:
    """A stereo camera of a robot, and its mount in a frame that lies as KITTI's LiDAR does, 1.73 m over the ground.

    0.06 to 0.6 m of baseline, 60 to 110 degrees of view, from 10 degrees downwards to 5 upwards, up to 2 degrees of
    roll.

    Args:
        heights_m: least and greatest of the left camera over the ground; evenly in its logarithm between them.
    """
    width, height = _ROBOT_SIZES[rng.integers(len(_ROBOT_SIZES))]
    focal_px = width / 2 / np.tan(np.radians(rng.uniform(60, 110)) / 2)
    cx, cy = (width - 1) / 2 + rng.normal(0, 0.01 * width), (height - 1) / 2 + rng.normal(0, 0.01 * height)
    camera = PinholeCamera(focal_px, focal_px, float(cx), float(cy), width, height)
    baseline_m, height_m = (float(np.exp(rng.uniform(*np.log(bounds)))) for bounds in ((0.06, 0.6), heights_m))
    pitch_rad, roll_rad = np.radians(rng.uniform(-10, 5)), np.radians(rng.uniform(-2, 2))
    mount = robot_mount(height_m, pitch_rad, roll_rad, left_m=baseline_m / 2, ahead_m=rng.uniform(0, 0.5))
    return StereoRig(camera, baseline_m, camera.cx), mount


def robot_mount(
    height_m: float, pitch_rad: float = 0.0, roll_rad: float = 0.0, left_m: float = 0.0, ahead_m: float = 0.0
) -> Mount:
    """The mount of a left camera so high over the ground, that looks upwards and leans to the right by so much."""
    pitch, roll = (cv2.Rodrigues(np.array(turn))[0] for turn in ([0, -pitch_rad, 0], [roll_rad, 0, 0]))
    T_velo_cam0 = np.eye(4)
    T_velo_cam0[:3, :3] = pitch @ roll @ _AXES.T
    T_velo_cam0[:3, 3] = ahead_m, left_m, height_m - LIDAR_HEIGHT_M
    return Mount(0.0, invert_transform(T_velo_cam0))


def rig_figures(rig: StereoRig, mount: Mount) -> dict[str, float]:
    """What tells rigs apart, by name: pixels, degrees (pitch: upwards, roll: to the right) and metres."""
    T_velo_left = invert_transform(mount.T_left_velo)
    right, forward = T_velo_left[:3, 0], T_velo_left[:3, 2]
    return {
        "width_px": rig.left.width,
        "height_px": rig.left.height,
        "view_deg": float(np.degrees(2 * np.arctan(rig.left.width / 2 / rig.left.fx))),
        "baseline_m": rig.baseline_m,
        "camera_height_m": float(T_velo_left[2, 3]) + LIDAR_HEIGHT_M,
        "pitch_deg": float(np.degrees(np.arcsin(forward[2]))),
        "roll_deg": float(-np.degrees(np.arcsin(right[2]))),
    }


def _row(name: str, matrix: NDArray) -> str:
    return f"{name}: " + " ".join(f"{value:.12e}" for value in matrix.reshape(-1))
