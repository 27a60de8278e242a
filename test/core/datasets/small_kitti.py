"""A data set of a few frames in SemanticKITTI's layout, with voxels of full size."""

from pathlib import Path

import cv2
import numpy as np

from scanssc_core.datasets.dataset import SSCDataset, open_dataset
from scanssc_core.datasets.depth_maps import write_depth_map
from scanssc_core.geometry import VoxelGridSpec

GRID = VoxelGridSpec.semantic_kitti()
SIZE = (47, 155)  # of the images: an eighth of KITTI's
NETWORK_SIZE = (48, 160)
P2 = np.array([[90.0, 0, 76.0, 5.5], [0, 90.0, 23.0, -0.01], [0, 0, 1, 0.0038]])
P3 = np.array([[90.0, 0, 76.0, -42.0], [0, 90.0, 23.0, 0.3], [0, 0, 1, 0.0049]])
TR = np.array([[0.01, -0.99995, 0, -0.012], [0, 0, -1.0, -0.054], [0.99995, 0.01, 0, -0.29]])


def raw_labels(seed: int) -> np.ndarray:
    ids = np.array([0, 1, 10, 40, 60, 52, 99, 252, 71, 31, 259], np.uint16)
    return np.random.default_rng(seed).choice(ids, GRID.shape)


def write_frame(folder: Path, frame: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    for camera in ("image_2", "image_3"):
        (folder / camera).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / camera / f"{frame}.png"), random.integers(0, 256, (*SIZE, 3), np.uint8))
    for name in ("voxels", "velodyne"):
        (folder / name).mkdir(exist_ok=True)
    labels = raw_labels(seed)
    labels.astype("<u2").tofile(folder / "voxels" / f"{frame}.label")
    np.packbits(random.uniform(size=GRID.shape) < 0.3).tofile(folder / "voxels" / f"{frame}.invalid")
    np.packbits(labels > 1).tofile(folder / "voxels" / f"{frame}.bin")
    # The scan hits what is labelled, as a real one does.
    hit = GRID.indices_to_points(np.argwhere(labels > 1)[:: 1 << 11])
    points = np.column_stack([hit, np.ones(len(hit))]).astype("<f4")
    points.tofile(folder / "velodyne" / f"{frame}.bin")


def write_calibration(folder: Path) -> None:
    matrices = {"P2": P2, "P3": P3, "Tr": TR}
    lines = [f"{name}: {' '.join(f'{v:.9e}' for v in matrix.ravel())}\n" for name, matrix in matrices.items()]
    (folder / "calib.txt").write_text("".join(lines))


def write_small_kitti(root: Path, sequence: str = "00", num_frames: int = 2) -> Path:
    """root/sequences/XX with frames 0, 5, ..., and their depth maps; returns the sequence's folder."""
    folder = root / "sequences" / sequence
    for index in range(num_frames):
        write_frame(folder, f"{5 * index:06d}", index)
        depth_m = np.random.default_rng(index).uniform(3, 40, SIZE).astype(np.float32)
        write_depth_map(root / "depth" / "sequences" / sequence / f"{5 * index:06d}.npy", depth_m)
    write_calibration(folder)
    (folder / "times.txt").write_text("".join(f"{0.1 * index:.6e}\n" for index in range(5 * num_frames)))
    return folder


def open_small(root: Path, **options: object) -> SSCDataset:
    return open_dataset(root, "semantic_kitti", ["00"], NETWORK_SIZE, **options)
