"""SemanticKITTI and SSCBench-KITTI-360, read from their official layouts, as a torch data set."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, default_collate
from typing_extensions import NotRequired  # in typing from Python 3.11 on

from scanssc_core.datasets.augmentation import AugmentationConfig, augment_frame, jitter_colors
from scanssc_core.datasets.depth_maps import read_depth_map
from scanssc_core.datasets.frame import Frame, lidar_depth_image
from scanssc_core.datasets.layout import FrameFiles, Layout
from scanssc_core.datasets.semantic_kitti import read_preprocessed_labels, read_voxel_labels
from scanssc_core.datasets.teacher import read_occupancy_prob, read_teacher
from scanssc_core.labels import UNKNOWN
from scanssc_core.network.camera_inputs import CameraInputs, camera_fields
from scanssc_core.network.corrections import Corrections
from scanssc_core.network.image.preprocess import NetworkView, horizon_row, normalise
from scanssc_core.sources.images import read_values

_OPTIONAL_MAPS = ("labels", "lidar_depth_m", "segmentation", "teacher", "occupancy_prob")


class SSCSample(TypedDict):
    """One frame as the network takes it.

    Attributes:
        image: (3, H, W) float32, normalised.
        depth_m: (1, H, W) float32 stereo depth, 0 = none.
        projection, T_grid_cam, image_rotation, image_translation: of CameraInputs, without the batch axis.
        weight: float32 of the sample in the loss.
        sequence, frame: their names.
        labels: (X, Y, Z) uint8 class ids, 255 = unknown; absent in frames without.
        lidar_depth_m: (H, W) float32, 0 = none; if asked for.
        segmentation: (H, W) uint8 class ids of the image, 255 = none; if asked for.
        teacher: (X, Y, Z) uint8 of read_teacher: what to train on where labels are unknown; if asked for.
        occupancy_prob: (X, Y, Z) uint8 of read_occupancy_prob, of a soft teacher; if asked for.
    """

    image: Tensor
    depth_m: Tensor
    projection: Tensor
    T_grid_cam: Tensor
    image_rotation: Tensor
    image_translation: Tensor
    weight: Tensor
    sequence: str
    frame: str
    labels: NotRequired[Tensor]
    lidar_depth_m: NotRequired[Tensor]
    segmentation: NotRequired[Tensor]
    teacher: NotRequired[Tensor]
    occupancy_prob: NotRequired[Tensor]


class SSCBatch(TypedDict):
    """Samples stacked: the same keys, tensors with a batch axis in front, lists of names."""

    image: Tensor
    depth_m: Tensor
    projection: Tensor
    T_grid_cam: Tensor
    image_rotation: Tensor
    image_translation: Tensor
    weight: Tensor
    sequence: list[str]
    frame: list[str]
    labels: NotRequired[Tensor]
    lidar_depth_m: NotRequired[Tensor]
    segmentation: NotRequired[Tensor]
    teacher: NotRequired[Tensor]
    occupancy_prob: NotRequired[Tensor]


class SSCDataset(Dataset[SSCSample]):
    """Frames of a data set; see open_dataset for the arguments.

    Attributes:
        layout: where the files lie.
        files: of each frame.
        images: what those of a sequence have in common, by its name.
    """

    def __init__(
        self,
        layout: Layout,
        files: Sequence[FrameFiles],
        image_size: tuple[int, int],
        depth_folder: Path,
        with_lidar: bool = False,
        with_segmentation: bool = False,
        augmentation: AugmentationConfig | None = None,
        corrections: Corrections | None = None,
        weight: float = 1.0,
        with_teacher: bool = False,
        with_occupancy_prob: bool = False,
    ) -> None:
        self.layout, self.files = layout, list(files)
        self.image_size, self.depth_folder = image_size, depth_folder
        self.with_lidar, self.with_segmentation = with_lidar, with_segmentation
        self.with_teacher, self.with_occupancy_prob = with_teacher, with_occupancy_prob
        self.augmentation = augmentation
        self.corrections = corrections or Corrections()
        self.weight = weight
        self.images = {name: layout.images(name) for name in dict.fromkeys(files.sequence for files in self.files)}
        self._frames_of_camera = defaultdict[bytes, list[int]](list)
        for index, frame_files in enumerate(self.files):
            self._frames_of_camera[self._camera_key(frame_files)].append(index)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> SSCSample:
        """A frame; its augmentation, if there is one, is drawn by torch's generator of this process."""
        seed = 0 if self.augmentation is None else int(torch.randint(2**62, ()))
        return self.sample(index, np.random.default_rng(seed))

    def sample(self, index: int, random: np.random.Generator) -> SSCSample:
        """A frame, with its augmentation drawn by this generator.

        Raises:
            ValueError: naming the file that is missing or wrong.
        """
        files, frame = self.files[index], self.read(index)
        if self.augmentation is not None:
            is_joined = random.uniform() < self.augmentation.join_probability
            partner = random.choice(self._frames_of_camera[self._camera_key(files)])
            frame = augment_frame(frame, self.augmentation, random, self.read(int(partner)) if is_joined else None)
        horizon = horizon_row(frame.projection, frame.T_grid_cam)
        view = NetworkView(frame.size, self.image_size, self.corrections, horizon)
        laid_rgb = view.laid_image(frame.left_rgb)
        if self.augmentation is not None:
            laid_rgb = jitter_colors(laid_rgb, self.augmentation, random)
        camera = camera_fields(frame.projection, frame.T_grid_cam, view.scale, view.translation)
        sample: dict[str, object] = {
            "image": torch.from_numpy(normalise(laid_rgb)),
            "depth_m": torch.from_numpy(view.depth(frame.depth_m).copy()),
            **camera,
            "weight": torch.tensor(self.weight, dtype=torch.float32),
            "sequence": files.sequence,
            "frame": files.frame,
        }
        if frame.labels is not None:
            sample["labels"] = torch.from_numpy(np.ascontiguousarray(frame.labels))
        if frame.points is not None:
            sample["lidar_depth_m"] = torch.from_numpy(lidar_depth_image(frame, view))
        if frame.segmentation is not None:
            sample["segmentation"] = torch.from_numpy(view.classes(frame.segmentation, UNKNOWN))
        if frame.teacher is not None:
            sample["teacher"] = torch.from_numpy(np.ascontiguousarray(frame.teacher))
        if frame.occupancy_prob is not None:
            sample["occupancy_prob"] = torch.from_numpy(frame.occupancy_prob.copy())
        return cast(SSCSample, sample)

    def read(self, index: int) -> Frame:
        """A frame as it lies on the disk.

        Raises:
            ValueError: naming the file that is missing or wrong.
        """
        files = self.files[index]
        images = self.images[files.sequence]
        calibration = images.calibration
        left_rgb, depth_m = self.views(index)
        labels = read_labels(files, self.layout.dataset) if files.has_labels else None
        return Frame(
            left_rgb,
            depth_m,
            calibration.P_left,
            calibration.T_velo_cam0,
            float(calibration.P_left[0, 3] - calibration.P_right[0, 3]),
            labels,
            read_points(files.velodyne) if self.with_lidar else None,
            read_segmentation(files, images.size) if self.with_segmentation else None,
            read_teacher(files.teacher, labels, self.layout.dataset) if self.with_teacher else None,
            read_occupancy_prob(files.occupancy_prob) if self.with_occupancy_prob else None,
        )

    def views(self, index: int) -> tuple[NDArray, NDArray]:
        """(H, W, 3) uint8 left image of a frame, and its (H, W) depth in metres, 0 = none.

        Raises:
            ValueError: naming the file that is missing or wrong.
        """
        files = self.files[index]
        images = self.images[files.sequence]
        return images.read(files.left), read_depth_map(files, self.depth_folder, images)

    def _camera_key(self, files: FrameFiles) -> bytes:
        """Equal for frames that the same camera took."""
        calibration = self.images[files.sequence].calibration
        return calibration.P_left.tobytes() + calibration.T_velo_cam0.tobytes()


def open_dataset(
    root: Path,
    dataset: str,
    sequences: Sequence[str],
    image_size: tuple[int, int],
    depth_dir: Path | None = None,
    with_lidar: bool = False,
    with_segmentation: bool = False,
    augmentation: AugmentationConfig | None = None,
    corrections: Corrections | None = None,
    weight: float = 1.0,
    labelled_only: bool = False,
    with_teacher: bool = False,
    with_occupancy_prob: bool = False,
) -> SSCDataset:
    """Open sequences of a data set.

    Args:
        root: its folder.
        dataset: "semantic_kitti" or "kitti360".
        sequences: their names; or one of "train", "val", "test": those of the published split that are there.
        image_size: (height, width) of the network's input.
        depth_dir: folder of the depth maps; none: root/depth.
        with_lidar: also read the scans, for the depth loss.
        with_segmentation: also read class maps of the images; a frame without one gets a map of 255.
        augmentation: none: frames as they are.
        corrections: of the way in which images are laid into the network's (default: published).
        weight: of these samples in the loss.
        labelled_only: leave out frames without labels.
        with_teacher: also read the answers of a completion network; a frame without any gets a volume of 255.
        with_occupancy_prob: also read the probabilities of a soft teacher, likewise.
    Raises:
        ValueError: naming the folder or file that is missing, or if no frame is left.
    """
    layout = Layout(root, dataset)
    if len(sequences) == 1 and sequences[0] in ("train", "val", "test"):
        sequences = layout.split(sequences[0])
    files = [files for files in layout.frames(sequences) if files.has_labels or not labelled_only]
    if not files:
        raise ValueError(f"{root}: no {'labelled ' if labelled_only else ''}frames in {', '.join(sequences) or 'none'}")
    return SSCDataset(
        layout,
        files,
        image_size,
        depth_dir or layout.default_depth_folder,
        with_lidar,
        with_segmentation,
        augmentation,
        corrections,
        weight,
        with_teacher,
        with_occupancy_prob,
    )


def collate(samples: Sequence[SSCSample]) -> SSCBatch:
    """Stack samples; where only some have labels, all voxels of the others are unknown.

    The other optional maps are kept if all samples have them.
    """
    rows = [dict(sample) for sample in samples]
    if any("labels" in row for row in rows):
        shape = next(cast(Tensor, row["labels"]).shape for row in rows if "labels" in row)
        for row in rows:
            row.setdefault("labels", torch.full(shape, UNKNOWN, dtype=torch.uint8))
    dropped = {name for name in _OPTIONAL_MAPS if not all(name in row for row in rows)}
    return cast(SSCBatch, default_collate([{k: v for k, v in row.items() if k not in dropped} for row in rows]))


def camera_of(batch: SSCBatch) -> CameraInputs:
    """The cameras of a batch."""
    return CameraInputs(batch["projection"], batch["T_grid_cam"], batch["image_rotation"], batch["image_translation"])


def read_labels(files: FrameFiles, dataset: str) -> NDArray:
    """(256, 256, 32) uint8 class ids, 255 = unknown: of the raw voxel files, else of the preprocessed file.

    Raises:
        ValueError: naming the file that is missing or wrong.
    """
    if files.label.exists():
        return read_voxel_labels(files.label, files.invalid, dataset)
    return read_preprocessed_labels(files.preprocessed_label, dataset)


def read_points(path: Path) -> NDArray:
    """(N, 3) float32 points of a LiDAR scan in its own frame.

    Raises:
        ValueError: naming the file, if it is missing or not whole.
    """
    if not path.is_file():
        raise ValueError(f"missing {path}")
    values = np.fromfile(path, np.uint8)
    if not values.size or values.size % 16:
        raise ValueError(f"{path}: expected points of 16 bytes, got {values.size:,} bytes")
    return values.view("<f4").reshape(-1, 4)[:, :3]


def read_segmentation(files: FrameFiles, size: tuple[int, int]) -> NDArray:
    """(H, W) uint8 class ids of the left image, of this size, 255 = none; where there is no file, all 255.

    Raises:
        ValueError: naming the file, if it is not an image of 8 bits of this size.
    """
    if not files.segmentation.exists():
        return np.full(size, UNKNOWN, np.uint8)
    class_ids = read_values(files.segmentation)
    if class_ids.dtype != np.uint8 or class_ids.shape != size:
        raise ValueError(f"{files.segmentation}: expected a grey PNG of 8 bits, {size[1]}x{size[0]} like the image")
    return class_ids
