"""What every source of stereo frames gives."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from numpy.typing import NDArray

from scanssc_core.geometry import StereoRig


@dataclass(frozen=True)
class StereoFrame:
    """One rectified pair with its calibration.

    Attributes:
        left_rgb, right_rgb: (H, W, 3) uint8.
        rig: calibration of images of this size.
        T_cam_velo: (4, 4) LiDAR frame (x forward, y left, z up) -> left camera's optical frame.
        stamp_ns: time of the left image.
        left_file: file of the left image, if it came from one.
    """

    left_rgb: NDArray
    right_rgb: NDArray
    rig: StereoRig
    T_cam_velo: NDArray
    stamp_ns: int
    left_file: Path | None = None


class StereoSequence(Protocol):
    """Frames in the order of time."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[StereoFrame]: ...
