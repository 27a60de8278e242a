import csv
from dataclasses import replace

import cv2
import numpy as np
import pytest

from scanssc_core.geometry import PinholeCamera, StereoRig, VoxelGridSpec
from scanssc_core.labels import SEMANTIC_KITTI, SEMANTIC_KITTI_RAW_IDS
from scanssc_core.sources.kitti import open_sequence
from scanssc_core.sources.kitti_calibration import read_odometry_calibration
from scanssc_core.synthetic import sequence as sequence_module
from scanssc_core.synthetic import writer
from scanssc_core.synthetic.rigs import rig_figures
from scanssc_core.synthetic.scene import wall_scene
from scanssc_core.synthetic.sequence import SyntheticSequence
from scanssc_core.synthetic.writer import DEPTH_UNITS_PER_M, SynthSpec, write_dataset

SMALL_RIG = StereoRig(PinholeCamera(180.0, 180.0, 79.5, 44.0, width=160, height=90), 0.5, 79.5)
GRID = VoxelGridSpec.semantic_kitti()
SUFFIXES = ("bin", "invalid", "label", "occluded")

#: Share of the occupied voxels in per cent, by class: bands about SemanticKITTI's and kitti-mini's (docs/synthetic.md).
BANDS = {
    "road": (11, 28),
    "sidewalk": (5, 17),
    "terrain": (7, 32),
    "vegetation": (17, 45),
    "building": (4, 18),
    "car": (1.2, 7),
    "fence": (1, 7),
    "parking": (0.3, 7),
    "trunk": (0.1, 1.5),
    "pole": (0.1, 1.2),
    "traffic-sign": (0.01, 0.4),
}


@pytest.fixture
def walls(monkeypatch):
    """Walls in place of streets: the same files, sooner."""

    def drive(spec, number):
        return SyntheticSequence(wall_scene(10.1 + number), spec.num_frames, rig=SMALL_RIG, noise=2.0, seed=spec.seed)

    monkeypatch.setattr(SynthSpec, "drive", drive)
    monkeypatch.setattr(sequence_module, "LABEL_AHEAD_M", 2.0)


def files_of(root):
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_every_file_of_the_layout_is_there_and_reads_back(walls, tmp_path):
    write_dataset(tmp_path, SynthSpec(1, 2, seed=3), workers=1)
    folder = tmp_path / "sequences" / "00"
    assert len(open_sequence(folder)) == 2
    for suffix in SUFFIXES:
        assert {path.name for path in folder.glob(f"voxels/*.{suffix}")} == {f"00000{i}.{suffix}" for i in range(2)}
    labels = np.fromfile(folder / "voxels" / "000001.label", "<u2").reshape(GRID.shape)
    wall_id = SEMANTIC_KITTI_RAW_IDS[SEMANTIC_KITTI.id_of("building")]
    wall_x = np.argwhere(labels == wall_id)[:, 0]
    assert np.median(wall_x) == int((10.1 - 0.8) / GRID.voxel_size_m)
    points = np.fromfile(folder / "velodyne" / "000001.bin", "<f4").reshape(-1, 4)
    indices, is_inside = GRID.points_to_indices(points[:, :3].astype(np.float64))
    is_hit = np.unpackbits(np.fromfile(folder / "voxels" / "000001.bin", np.uint8)).reshape(GRID.shape).astype(bool)
    assert is_hit[tuple(indices[is_inside].T)].all()
    assert (labels[is_hit] > 0).mean() > 0.8  # the range noise puts some hits a voxel off
    depth = cv2.imread(str(folder / "depth_2" / "000001.png"), cv2.IMREAD_UNCHANGED)
    assert depth[35, 80] / DEPTH_UNITS_PER_M == pytest.approx(10.1 - 0.8 - 0.27, abs=0.01)
    classes = cv2.imread(str(folder / "segmentation_2" / "000001.png"), cv2.IMREAD_UNCHANGED)
    assert SEMANTIC_KITTI.names[classes[35, 80]] == "building"
    assert SEMANTIC_KITTI.names[classes[85, 80]] == "road"


def test_an_interrupted_run_is_completed_with_the_same_files(walls, tmp_path, monkeypatch):
    spec = SynthSpec(1, 2, seed=1)
    write_dataset(tmp_path / "whole", spec, workers=1)
    real = writer.write_frame

    def fail_at_second(folder, drive, index):
        if index == 1:
            raise KeyboardInterrupt
        real(folder, drive, index)

    monkeypatch.setattr(writer, "write_frame", fail_at_second)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "parts", spec, workers=1)
    written = []
    monkeypatch.setattr(writer, "write_frame", lambda *args: (written.append(args[2]), real(*args)))
    seen = []
    write_dataset(tmp_path / "parts", spec, workers=1, on_frame=lambda: seen.append(1))
    assert written == [1]
    assert len(seen) == 2
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")


def test_rigs_of_robots_are_in_a_table_that_agrees_with_the_calibrations(monkeypatch, tmp_path):
    def drive(spec, number):
        rig, mount = SyntheticSequence.robot_rig(spec.drive_seed(number))
        return SyntheticSequence(wall_scene(10.0), 1, rig=rig, mount=mount)

    monkeypatch.setattr(SynthSpec, "drive", drive)
    monkeypatch.setattr(writer, "write_frame", lambda *_: None)
    write_dataset(tmp_path, SynthSpec(3, 1, seed=5, rigs="mixed"), workers=1)
    with (tmp_path / "rigs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["sequence"] for row in rows] == ["00", "01", "02"]
    assert len({row["baseline_m"] for row in rows}) == 3
    for row in rows:
        calibration = read_odometry_calibration(tmp_path / "sequences" / row["sequence"] / "calib.txt")
        P2, P3 = calibration.P_left, calibration.P_right
        height_m = calibration.T_velo_cam0[2, 3] + 1.73
        assert float(row["camera_height_m"]) == pytest.approx(height_m, rel=1e-3)
        assert float(row["baseline_m"]) == pytest.approx((P2[0, 3] - P3[0, 3]) / P2[0, 0], rel=1e-3)
        assert float(row["view_deg"]) == pytest.approx(
            2 * np.degrees(np.arctan(float(row["width_px"]) / 2 / P2[0, 0])), rel=1e-3
        )


def test_other_streets_are_not_mixed_in(walls, tmp_path):
    write_dataset(tmp_path / "a", SynthSpec(1, 1, seed=1), workers=1)
    with pytest.raises(ValueError, match="holds other streets"):
        write_dataset(tmp_path / "a", SynthSpec(1, 1, seed=2), workers=1)
    with pytest.raises(ValueError, match="asked for: .* mixed rigs"):
        write_dataset(tmp_path / "a", SynthSpec(1, 1, seed=1, rigs="mixed"), workers=1)
    assert not (tmp_path / "a" / "rigs.csv").exists()
    (tmp_path / "b" / "sequences").mkdir(parents=True)
    with pytest.raises(ValueError, match="did not write"):
        write_dataset(tmp_path / "b", SynthSpec(1, 1, seed=1), workers=1)


@pytest.mark.parametrize(("sequences", "frames", "spacing"), [(0, 1, 4.0), (101, 1, 4.0), (1, 0, 4.0), (1, 1, 0.0)])
def test_impossible_sizes_are_refused(sequences, frames, spacing):
    with pytest.raises(ValueError, match="expected"):
        SynthSpec(sequences, frames, 0, spacing)


def test_unknown_rigs_are_refused():
    with pytest.raises(ValueError, match="rigs: expected one of kitti, mixed, got 'zed'"):
        SynthSpec(1, 1, 0, rigs="zed")


def test_cameras_are_as_high_as_asked_for_and_else_as_without_that():
    usual, low = SynthSpec(20, 1, seed=5, rigs="mixed"), SynthSpec(20, 1, seed=5, rigs="mixed", heights_m=(0.45, 0.55))
    for number in range(20):
        expected, figures = (
            rig_figures(*SyntheticSequence.robot_rig(spec.drive_seed(number), spec.heights_m)) for spec in (usual, low)
        )
        assert 0.45 <= figures.pop("camera_height_m") <= 0.55
        assert 0.4 <= expected.pop("camera_height_m") <= 2.0
        assert figures == expected


def test_the_drive_and_the_table_have_the_height_asked_for(monkeypatch, tmp_path):
    spec = SynthSpec(1, 1, seed=5, rigs="mixed", heights_m=(0.5, 0.5))
    drive = spec.drive(0)
    assert rig_figures(drive.rig, drive.mount)["camera_height_m"] == pytest.approx(0.5)
    monkeypatch.setattr(SynthSpec, "drive", lambda spec, number: drive)
    monkeypatch.setattr(writer, "write_frame", lambda *_: None)
    write_dataset(tmp_path, spec, workers=1)
    assert "cameras 0.5 to 0.5 m high" in (tmp_path / "synthetic.txt").read_text()
    with (tmp_path / "rigs.csv").open() as file:
        assert [row["camera_height_m"] for row in csv.DictReader(file)] == ["0.5"]


@pytest.mark.parametrize("heights_m", [(0.0, 1.0), (1.0, 0.5), (0.5, 40.0)])
def test_impossible_camera_heights_are_refused(heights_m):
    with pytest.raises(ValueError, match="camera height: expected the least and the greatest"):
        SynthSpec(1, 1, 0, rigs="mixed", heights_m=heights_m)


def test_camera_heights_are_refused_where_rigs_have_theirs():
    with pytest.raises(ValueError, match="KITTI's rigs have theirs; choose rigs mixed"):
        SynthSpec(1, 1, 0, heights_m=(0.5, 0.6))


@pytest.mark.slow
def test_two_processes_write_what_one_writes(tmp_path):
    spec = SynthSpec(2, 1, seed=6)
    write_dataset(tmp_path / "one", spec, workers=1)
    write_dataset(tmp_path / "two", spec, workers=2)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


@pytest.mark.slow
def test_classes_are_as_frequent_as_in_semantic_kitti():
    counts = np.zeros(SEMANTIC_KITTI.num_classes)
    heights = np.zeros(SEMANTIC_KITTI.num_classes)
    shares_invalid = []
    for seed in range(6):
        drive = replace(SyntheticSequence.on_street(seed, num_frames=1), rig=SMALL_RIG)
        truth = drive.truth(0, GRID)
        counts += np.bincount(truth.labels.reshape(-1), minlength=len(counts))
        for class_id in range(1, len(counts)):
            heights[class_id] += ((truth.labels == class_id).sum(axis=(0, 1)) * GRID.centers()[0, 0, :, 2]).sum()
        shares_invalid.append(truth.is_invalid.mean())
    percent = 100 * counts / counts[1:].sum()
    for name, (low, high) in BANDS.items():
        assert low <= percent[SEMANTIC_KITTI.id_of(name)] <= high, (name, percent[SEMANTIC_KITTI.id_of(name)])
    height = dict(zip(SEMANTIC_KITTI.names, heights / np.maximum(counts, 1), strict=True))
    assert -1.9 < height["road"] < -1.2
    assert -0.7 < height["vegetation"] < 0.4
    assert -0.6 < height["building"] < 0.6
    assert 0.08 < np.mean(shares_invalid) < 0.45
