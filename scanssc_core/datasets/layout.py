"""Where the files of a data set lie in its official layout, and the calibration of its sequences.

SemanticKITTI: `sequences/XX/...`; SSCBench-KITTI-360: `data_2d_raw/<drive>/...`. Beside them, for both: preprocessed
labels of other projects (`labels/`) and depth maps (`depth/`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scanssc_core.sources.image_folders import IMAGE_SUFFIXES, image_files
from scanssc_core.sources.kitti_calibration import StereoCalibration, read_odometry_calibration
from scanssc_core.sources.sequence_images import SequenceImages


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
_KITTI_360_SIZE = (1408, 376)
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
    occupancy_prob: Path

    @property
    def has_labels(self) -> bool:
        return self.label.exists() or self.preprocessed_label.exists()

    def depth_folder(self, folder: Path) -> Path:
        """Where the depth map lies in a folder of depth maps."""
        return folder / "sequences" / self.sequence


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
        """Names of all sequences that are there; hidden folders are none."""
        folders = (folder for folder in self.sequences_folder.iterdir() if folder.is_dir())
        return sorted(folder.name for folder in folders if not folder.name.startswith("."))

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
        if sequence not in (present := self.sequences()):
            raise ValueError(
                f"no sequence {sequence}: missing folder {folder}; there are {', '.join(present) or 'none'}"
            )
        return folder

    def frames(self, sequences: Sequence[str]) -> list[FrameFiles]:
        """Files of all frames of some sequences, in order.

        Frames are those with voxel files; in a sequence without any, those with preprocessed labels, else all that have
        an image on either side.

        Raises:
            ValueError: naming the folder, if a sequence is missing, has no frame, or has two images of one.
        """
        return [files for sequence in sequences for files in self._sequence_frames(sequence)]

    def _sequence_frames(self, sequence: str) -> list[FrameFiles]:
        folder = self.folder(sequence)
        left_folder, right_folder = (folder / name for name in self.image_folders)
        left, right = (image_files(side) if side.is_dir() else {} for side in (left_folder, right_folder))
        segmentation = "segmentation" if (folder / "segmentation").is_dir() else "segmentation_2"
        velodyne = "velodyne" if self.dataset == "semantic_kitti" else "velodyne_points/data"
        frames = (
            _names(folder / "voxels", (".bin", ".label"))
            or _names(self.root / "labels" / sequence, ("_1_1.npy",))
            or left.keys() | right.keys()
        )
        if not frames:
            kinds = f"{self.image_folders[0]}/NNNNNN with {', '.join(IMAGE_SUFFIXES)}"
            raise ValueError(f"{folder}: no frames: expected voxels/NNNNNN.label or {kinds}")
        return [
            FrameFiles(
                sequence=sequence,
                frame=frame,
                left=left.get(frame, left_folder / f"{frame}.png"),
                right=right.get(frame, right_folder / f"{frame}.png"),
                voxels=folder / "voxels" / f"{frame}.bin",
                label=folder / "voxels" / f"{frame}.label",
                invalid=folder / "voxels" / f"{frame}.invalid",
                preprocessed_label=self.root / "labels" / sequence / f"{frame}_1_1.npy",
                velodyne=folder / velodyne / f"{frame}.bin",
                segmentation=folder / segmentation / f"{frame}.png",
                teacher=folder / "teacher" / f"{frame}.npz",
                occupancy_prob=folder / "occupancy_prob" / f"{frame}.npz",
            )
            for frame in sorted(frames)
        ]

    def _calibration(self, sequence: str) -> StereoCalibration:
        if self.dataset == "semantic_kitti":
            return read_odometry_calibration(self.folder(sequence) / "calib.txt")
        P_right = _KITTI_360_P.copy()
        P_right[0, 3] = _KITTI_360_P_RIGHT_03
        T_cam0_velo = np.linalg.inv(_KITTI_360_T_VELO_CAM0)
        return StereoCalibration(_KITTI_360_P, P_right, T_cam0_velo, "SSCBench-KITTI-360", _KITTI_360_SIZE)

    def images(self, sequence: str) -> SequenceImages:
        """What all images of a sequence have in common; the LiDAR of the calibration is the grid's frame.

        Raises:
            ValueError: naming the file, if there is no left image, none can be read, or something in the calibration is
                missing, wrong, or not of images of their size.
        """
        left_folder = self.folder(sequence) / self.image_folders[0]
        if not (files := image_files(left_folder)):
            raise ValueError(f"{left_folder}: no images: expected NNNNNN with {', '.join(IMAGE_SUFFIXES)}")
        return SequenceImages.of(self._calibration(sequence), list(files.values()))


def _names(folder: Path, endings: tuple[str, ...]) -> set[str]:
    """Names, without these endings, of the files in a folder that have one; hidden files have none."""
    if not folder.is_dir():
        return set()
    names = (file.name for file in folder.iterdir() if not file.name.startswith("."))
    return {name.removesuffix(ending) for name in names for ending in endings if name.endswith(ending)}
