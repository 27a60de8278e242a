"""KITTI's three stereo rigs, as the calibration files of its odometry sequences give them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import PinholeCamera, StereoRig

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


def _row(name: str, matrix: NDArray) -> str:
    return f"{name}: " + " ".join(f"{value:.12e}" for value in matrix.reshape(-1))
