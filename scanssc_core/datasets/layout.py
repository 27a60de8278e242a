"""Where the files of a data set lie in its official layout, and the calibration of its sequences.

SemanticKITTI: `sequences/XX/...`; SSCBench-KITTI-360: `data_2d_raw/<drive>/...`. Beside them, for both: preprocessed
labels of other projects (`labels/`) and depth maps (`depth/`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scanssc_core.sources.kitti_calibration import read_matrices


def _drive(number: int) -> str:
    return f"2013_05_28_drive_{number:04d}_sync"


#: Sequences of the published splits.
SPLITS: dict[str, dict[str, tuple[str, ...]]] = {
    "semantic_kitti": {
        "train": ("00", "01", "02", "03", "04", "05", "06", "07", "09", "10"),
        "val": ("08",),
        "test": tuple(f"{number:02d}" for number in range(11, 22)),
    },
    "kitti360": {
        "train": tuple(_drive(number) for number in (0, 2, 3, 4, 5, 7, 10)),
        "val": (_drive(6),),
        "test": (_drive(9),),
    },
}

#: Metres between the cameras that the published depth maps were made with.
NOMINAL_BASELINES_M = {"semantic_kitti": 0.54, "kitti360": 0.60}

# SSCBench wires one calibration in for all drives.
_KITTI_360_P = np.array([[552.554261, 0.0, 682.049453, 0.0], [0.0, 552.554261, 238.769549, 0.0], [0.0, 0.0, 1.0, 0.0]])
_KITTI_360_P_RIGHT_03 = -328.318735
_KITTI_360_T_VELO_CAM0 = np.array(
    [
        [0.04307104361, -0.08829286498, 0.995162929, 0.8043914418],
        [-0.999004371, 0.007784614041, 0.04392796942, 0.2993489574],
        [-0.01162548558, -0.9960641394, -0.08786966659, -0.1770225824],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


@dataclass(frozen=True)
class Calibration:
    """Calibration of one sequence.

    Attributes:
        P_left, P_right: (3, 4) projections of points in the frame of camera 0.
        T_velo_cam0: (4, 4) camera 0 -> LiDAR, which is the grid frame.
    """

    P_left: NDArray
    P_right: NDArray
    T_velo_cam0: NDArray


@dataclass(frozen=True)
class FrameFiles:
    """Where the files of one frame belong; they need not be there."""

    sequence: str
    frame: str
    left: Path
    right: Path
    voxels: Path
    label: Path
    invalid: Path
    preprocessed_label: Path
    velodyne: Path
    segmentation: Path
    teacher: Path

    @property
    def has_labels(self) -> bool:
        return self.label.exists() or self.preprocessed_label.exists()

    def depth(self, depth_folder: Path, suffix: str) -> Path:
        """Where the frame's depth map lies in a folder of depth maps."""
        return depth_folder / "sequences" / self.sequence / f"{self.frame}{suffix}"


@dataclass(frozen=True)
class Layout:
    """A data set in its official layout.

    Attributes:
        root: its folder.
        dataset: "semantic_kitti" or "kitti360".
    """

    root: Path
    dataset: str

    def __post_init__(self) -> None:
        if self.dataset not in SPLITS:
            raise ValueError(f"dataset: expected one of {', '.join(SPLITS)}, got {self.dataset!r}")
        if not self.sequences_folder.is_dir():
            raise ValueError(f"{self.root} is not {self.dataset}: there is no folder {self.sequences_folder}")

    @property
    def sequences_folder(self) -> Path:
        return self.root / ("sequences" if self.dataset == "semantic_kitti" else "data_2d_raw")

    @property
    def default_depth_folder(self) -> Path:
        return self.root / "depth"

    @property
    def image_folders(self) -> tuple[str, str]:
        """Left and right, within a sequence."""
        is_kitti = self.dataset == "semantic_kitti"
        return ("image_2", "image_3") if is_kitti else ("image_00/data_rect", "image_01/data_rect")

    def sequences(self) -> list[str]:
        """Names of all sequences that are there."""
        return sorted(folder.name for folder in self.sequences_folder.iterdir() if folder.is_dir())

    def split(self, name: str) -> list[str]:
        """Sequences of a published split that are there.

        Raises:
            ValueError: for an unknown split, or if no sequence of it is there.
        """
        if name not in SPLITS[self.dataset]:
            raise ValueError(f"split: expected one of {', '.join(SPLITS[self.dataset])}, got {name!r}")
        present = [sequence for sequence in SPLITS[self.dataset][name] if sequence in self.sequences()]
        if not present:
            expected = ", ".join(SPLITS[self.dataset][name])
            raise ValueError(f"{self.root}: no sequence of the split {name} ({expected}) in {self.sequences_folder}")
        return present

    def folder(self, sequence: str) -> Path:
        """Folder of a sequence.

        Raises:
            ValueError: naming it, if it is missing.
        """
        folder = self.sequences_folder / sequence
        if not folder.is_dir():
            raise ValueError(f"no sequence {sequence}: missing folder {folder}")
        return folder

    def frame_names(self, sequence: str) -> list[str]:
        """Frames with voxel files, sorted; in a sequence without any, those with preprocessed labels, else all images.

        Raises:
            ValueError: naming the folder, if there is no frame.
        """
        folder = self.folder(sequence)
        suffix = "_1_1.npy"
        for names in (
            {file.stem for file in (folder / "voxels").glob("*") if file.suffix in (".bin", ".label")},
            {file.name.removesuffix(suffix) for file in (self.root / "labels" / sequence).glob(f"*{suffix}")},
            {file.stem for file in (folder / self.image_folders[0]).glob("*.png")},
        ):
            if names:
                return sorted(names)
        raise ValueError(f"{folder}: no frames: neither voxels nor {self.image_folders[0]}/*.png")

    def files(self, sequence: str, frame: str) -> FrameFiles:
        """Where the files of a frame belong."""
        folder = self.folder(sequence)
        left, right = self.image_folders
        segmentation = "segmentation" if (folder / "segmentation").is_dir() else "segmentation_2"
        velodyne = "velodyne" if self.dataset == "semantic_kitti" else "velodyne_points/data"
        return FrameFiles(
            sequence=sequence,
            frame=frame,
            left=folder / left / f"{frame}.png",
            right=folder / right / f"{frame}.png",
            voxels=folder / "voxels" / f"{frame}.bin",
            label=folder / "voxels" / f"{frame}.label",
            invalid=folder / "voxels" / f"{frame}.invalid",
            preprocessed_label=self.root / "labels" / sequence / f"{frame}_1_1.npy",
            velodyne=folder / velodyne / f"{frame}.bin",
            segmentation=folder / segmentation / f"{frame}.png",
            teacher=folder / "teacher" / f"{frame}.npz",
        )

    def frames(self, sequences: Sequence[str]) -> list[FrameFiles]:
        """Files of all frames of some sequences, in order."""
        return [self.files(sequence, frame) for sequence in sequences for frame in self.frame_names(sequence)]

    def calibration(self, sequence: str) -> Calibration:
        """Calibration of a sequence.

        Raises:
            ValueError: naming the file, if it is missing or lacks a matrix.
        """
        if self.dataset == "kitti360":
            P_right = _KITTI_360_P.copy()
            P_right[0, 3] = _KITTI_360_P_RIGHT_03
            return Calibration(_KITTI_360_P, P_right, _KITTI_360_T_VELO_CAM0)
        path = self.folder(sequence) / "calib.txt"
        matrices = read_matrices(path)
        for name in ("P2", "P3", "Tr"):
            if name not in matrices:
                hint = " (the odometry download's file has no Tr: take SemanticKITTI's)" if name == "Tr" else ""
                raise ValueError(f"{path}: no entry {name}{hint}; there are {', '.join(sorted(matrices))}")
            if matrices[name].shape != (3, 4):
                raise ValueError(f"{path}: expected 12 numbers in {name}, got {matrices[name].size}")
        T_cam0_velo = np.vstack([matrices["Tr"], [0.0, 0.0, 0.0, 1.0]])
        return Calibration(matrices["P2"], matrices["P3"], np.linalg.inv(T_cam0_velo))
