"""What the Rerun viewer shows of a frame. It is an extra: the module is imported when it is needed, and passed on."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import FREE, UNKNOWN


def import_rerun() -> Any:
    """The module rerun.

    Raises:
        ModuleNotFoundError: if the extra `view` is not installed.
    """
    import rerun

    return rerun


def open_viewer(rr: Any, instead: str) -> None:
    """Begin a recording that the viewer shows, which is opened.

    Args:
        rr: the module rerun.
        instead: what to do where there is no display.
    Raises:
        OSError: if this machine has no display; says what to do.
    """
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise OSError(f"no display for the viewer (DISPLAY and WAYLAND_DISPLAY are not set): {instead}")
    rr.init("scanssc", spawn=True)


def save_to(rr: Any, path: Path) -> None:
    """Write the current recording to a file instead of a viewer.

    Args:
        rr: the module rerun, after its init.
    Raises:
        OSError: if the file cannot be written; says why.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        rr.save(path)
    except (RuntimeError, UnicodeEncodeError) as error:  # the viewer takes names in UTF-8 only
        raise OSError(f"cannot write {path}: {error}") from error


def boxes(rr: Any, labels: NDArray, grid: VoxelGridSpec, colors: NDArray) -> Any:
    """The occupied voxels as solid cubes in the colours of their classes.

    Args:
        rr: the module rerun.
        labels: (X, Y, Z) uint8.
        colors: (P, 3) uint8 of the classes.
    """
    indices = np.argwhere((labels != FREE) & (labels != UNKNOWN))
    return rr.Boxes3D(
        centers=grid.indices_to_points(indices),
        half_sizes=np.full((len(indices), 3), grid.voxel_size_m / 2, np.float32),
        colors=colors[labels[tuple(indices.T)]],
        fill_mode="solid",
    )
