"""Synthetic drives on disk, in the layout of SemanticKITTI."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from scanssc_core.datasets.semantic_kitti import write_voxel_labels
from scanssc_core.files import write_file
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.synthetic.lidar import kitti_sweep
from scanssc_core.synthetic.rigs import ROBOT_HEIGHTS_M, rig_figures
from scanssc_core.synthetic.sequence import SyntheticSequence, encode_png

#: Unit of depth_2/*.png, as in KITTI's depth maps.
DEPTH_UNITS_PER_M = 256
RIGS = ("kitti", "mixed")
_GRID = VoxelGridSpec.semantic_kitti()
_MAX_HEIGHT_M = 4.0  # of a camera: the grid ends 4.4 m over KITTI's LiDAR
#: Frames of one job: neighbours share a street, its shadows and most of the sweeps that label them.
_FRAMES_PER_JOB = 10


@dataclass(frozen=True)
class SynthSpec:
    """What `scanssc data synth` writes.

    Attributes:
        num_sequences: named 00, 01, ...
        num_frames: of each.
        seed: of all of it.
        spacing_m: between the frames of a sequence.
        rigs: "kitti": KITTI's, on a car in its lane; "mixed": robots', each sequence its own, and where robots drive.
        moving: whether vehicles and people move.
        heights_m: least and greatest of the left cameras over the ground, with mixed rigs.
    """

    num_sequences: int
    num_frames: int
    seed: int
    spacing_m: float = 4.0
    rigs: str = "kitti"
    moving: bool = False
    heights_m: tuple[float, float] = ROBOT_HEIGHTS_M

    def __post_init__(self) -> None:
        if not 1 <= self.num_sequences <= 100:
            raise ValueError(f"expected 1 to 100 sequences (their names have two digits), got {self.num_sequences}")
        if self.num_frames < 1 or not self.spacing_m > 0:
            raise ValueError(f"expected frames and spacing above zero, got {self.num_frames}, {self.spacing_m} m")
        if self.rigs not in RIGS:
            raise ValueError(f"rigs: expected one of {', '.join(RIGS)}, got {self.rigs!r}")
        if not 0 < self.heights_m[0] <= self.heights_m[1] <= _MAX_HEIGHT_M:
            low_m, high_m = self.heights_m
            raise ValueError(
                f"camera height: expected the least and the greatest, above 0 to {_MAX_HEIGHT_M} m, got {low_m} and "
                f"{high_m} m"
            )
        if self.has_own_heights and self.rigs == "kitti":
            raise ValueError("camera height: was given, but KITTI's rigs have theirs; choose rigs mixed")

    @property
    def has_own_heights(self) -> bool:
        """Whether the cameras' heights are other than usual."""
        return self.heights_m != ROBOT_HEIGHTS_M

    def drive_seed(self, number: int) -> int:
        """The seed of one sequence."""
        return self.seed * 1000 + number

    def drive(self, number: int) -> SyntheticSequence:
        """The drive of one sequence."""
        seed = self.drive_seed(number)
        if self.rigs == "kitti":
            return SyntheticSequence.on_street(seed, self.num_frames, self.spacing_m, has_movers=self.moving)
        return SyntheticSequence.of_robot(
            seed, self.num_frames, self.spacing_m, has_movers=self.moving, heights_m=self.heights_m
        )


def write_dataset(
    root: Path,
    spec: SynthSpec,
    workers: int,
    on_frame: Callable[[], None] = lambda: None,
    numbers: Sequence[int] | None = None,
) -> None:
    """Write root/sequences/XX; frames that are there are left as they are.

    Args:
        workers: processes.
        on_frame: called for every frame that is there.
        numbers: of the sequences to write; default: all.
    Raises:
        ValueError: if the folder holds something else than a part of this.
    """
    _claim(root, spec)
    if spec.rigs == "mixed":
        write_file(root / "rigs.csv", _rigs_table(spec).encode())
    jobs = []
    for number in range(spec.num_sequences) if numbers is None else numbers:
        for start in range(0, spec.num_frames, _FRAMES_PER_JOB):
            indices = range(start, min(start + _FRAMES_PER_JOB, spec.num_frames))
            missing = [index for index in indices if not _label_file(_folder(root, number), index).exists()]
            for _ in range(len(indices) - len(missing)):
                on_frame()
            if missing:
                jobs.append((number, missing))
    if workers == 1:
        for number, missing in jobs:
            _write_frames(root, spec, number, missing, on_frame)
        return
    # One thread in each process: two of them share two cores without fighting.
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        running = [pool.submit(_write_frames, root, spec, number, missing) for number, missing in jobs]
        for job in as_completed(running):
            for _ in range(job.result()):
                on_frame()


def write_frame(folder: Path, drive: SyntheticSequence, index: int) -> None:
    """Write one frame with all that is true of it; its label file comes last and stands for the whole frame."""
    left = drive.write_images(folder, index)
    name = f"{index:06d}"
    depth = np.minimum(left.depth_m * DEPTH_UNITS_PER_M + 0.5, 65535).astype(np.uint16)
    write_file(folder / "depth_2" / f"{name}.png", encode_png(depth))
    write_file(folder / "segmentation_2" / f"{name}.png", encode_png(left.class_ids))
    points = kitti_sweep(drive.scene_at(index), drive.pose(index), np.random.default_rng((drive.seed, 5, index)))
    write_file(folder / "velodyne" / f"{name}.bin", points.astype("<f4").tobytes())
    truth = drive.truth(index, _GRID)
    indices, is_inside = _GRID.points_to_indices(points[:, :3].astype(np.float64))
    is_hit = np.zeros(_GRID.shape, bool)
    is_hit[tuple(indices[is_inside].T)] = True
    for suffix, mask in (("bin", is_hit), ("invalid", truth.is_invalid), ("occluded", truth.is_occluded)):
        write_file(folder / "voxels" / f"{name}.{suffix}", np.packbits(mask).tobytes())
    write_voxel_labels(_label_file(folder, index), truth.labels, truth.is_moving)


def _write_frames(
    root: Path, spec: SynthSpec, number: int, indices: list[int], on_frame: Callable[[], None] = lambda: None
) -> int:
    drive = spec.drive(number)
    drive.write_texts(_folder(root, number))
    for index in indices:
        write_frame(_folder(root, number), drive, index)
        on_frame()
    return len(indices)


def _claim(root: Path, spec: SynthSpec) -> None:
    """Keep what decides the content beside it, so that a second run with other values does not mix two streets."""
    path = root / "synthetic.txt"
    rigs = "" if spec.rigs == "kitti" else f", {spec.rigs} rigs"
    heights = ", cameras {} to {} m high".format(*spec.heights_m) if spec.has_own_heights else ""
    moving = ", moving" if spec.moving else ""
    text = f"seed {spec.seed}, {spec.num_frames} frames a sequence, {spec.spacing_m} m apart{rigs}{heights}{moving}\n"
    has_sequences = (root / "sequences").exists()  # asked first: another process writes the text before them
    if path.exists() and (held := path.read_text(errors="replace")) != text:
        raise ValueError(f"{root} holds other streets ({held.strip()}); asked for: {text.strip()}")
    if not path.exists() and has_sequences:
        raise ValueError(f"{root} holds sequences that `scanssc data synth` did not write; choose an empty folder")
    write_file(path, text.encode())


def _rigs_table(spec: SynthSpec) -> str:
    """A line for each sequence with the figures of its rig, under their names."""
    rows = {
        f"{number:02d}": rig_figures(*SyntheticSequence.robot_rig(spec.drive_seed(number), spec.heights_m))
        for number in range(spec.num_sequences)
    }
    lines = [",".join(["sequence", *rows["00"]])]
    lines += [",".join([name, *(f"{value:.4g}" for value in row.values())]) for name, row in rows.items()]
    return "".join(f"{line}\n" for line in lines)


def _folder(root: Path, number: int) -> Path:
    return root / "sequences" / f"{number:02d}"


def _label_file(folder: Path, index: int) -> Path:
    return folder / "voxels" / f"{index:06d}.label"
