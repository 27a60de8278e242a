import shutil

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from core.datasets.small_kitti import NETWORK_SIZE, write_small_kitti
from scanssc_core.cli.data import data_app
from scanssc_core.datasets.check import check_sequence
from scanssc_core.datasets.dataset import open_dataset
from scanssc_core.datasets.layout import Layout


@pytest.fixture
def folder(tmp_path):
    return write_small_kitti(tmp_path)


def problems_of(folder):
    root = folder.parent.parent
    layout = Layout(root, "semantic_kitti")
    return [str(problem) for problem in check_sequence(layout, folder.name, root / "depth").problems]


def run(folder):
    return CliRunner().invoke(data_app, ["check", str(folder.parent.parent)])


def test_whole_data_set_has_no_problem(folder):
    result = run(folder)
    assert result.exit_code == 0, result.output
    assert "nothing is wrong" in result.output


def test_each_wrong_file_is_named_with_what_is_expected(folder):
    def cut(name):
        path = folder / name
        path.write_bytes(path.read_bytes()[:-50])

    cut("voxels/000000.label")
    cut("voxels/000005.invalid")
    cut("image_3/000005.png")
    cut("velodyne/000000.bin")
    (folder / "image_2" / "000005.png").unlink()
    (folder / "voxels" / "000005.label").unlink()
    (folder / "times.txt").write_text("0.0\n")
    depth = folder.parent.parent / "depth" / "sequences" / "00" / "000000.npy"
    np.save(depth, np.ones((3, 4), np.float32))
    expected = [
        f"{folder}/voxels/000000.label: expected 4,194,304 bytes, got 4,194,254",
        f"{folder}/voxels/000005.invalid: expected 262,144 bytes, got 262,094",
        f"{folder}/image_3/000005.png: not a whole image",
        f"{folder}/velodyne/000000.bin: expected points of 16 bytes",
        f"missing {folder}/image_2/000005.png",
        f"missing {folder}/voxels/000005.label",
        f"{folder}/times.txt: 1 times, but there is a frame 000005",
        f"{depth}: expected 155x47 like {folder}/image_2/000000.png, got 4x3",
    ]
    found = problems_of(folder)
    for text in expected:
        assert any(problem.startswith(text) for problem in found), (text, found)
    assert len(found) == len(expected)
    result = run(folder)
    assert result.exit_code == 1
    assert f"{len(found)} problems" in result.output and str(folder / "voxels" / "000000.label") in result.output


def test_calibration_without_tr_is_a_problem(folder):
    lines = (folder / "calib.txt").read_text().splitlines(keepends=True)
    (folder / "calib.txt").write_text("".join(lines[:2]))
    (problem,) = problems_of(folder)
    assert problem.startswith(f"{folder / 'calib.txt'}: no entry Tr")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "calib.txt").write_bytes("# Straße\n".encode("latin-1")),
        lambda folder: (folder / "calib.txt").unlink(),
        lambda folder: (folder / "image_2" / "000000.png").write_bytes(b"x"),
        lambda folder: (folder / "image_2" / "000000.jpg").write_bytes(b"x"),
        lambda folder: cv2.imwrite(str(folder / "image_2" / "000005.png"), np.zeros((40, 155, 3), np.uint8)),
        lambda folder: np.full(256 * 256 * 32, 400, "<u2").tofile(folder / "voxels" / "000000.label"),
        lambda folder: (folder / "voxels" / "000000.invalid").unlink(),
        lambda folder: [path.unlink() for path in (folder / "voxels").glob("*.invalid")],
        lambda folder: (folder / "voxels" / "000000.invalid").write_bytes(b"x"),
        lambda folder: np.save(depth_file(folder), np.ones((3, 4), np.float32)),
        lambda folder: depth_file(folder).write_bytes(b"x"),
        lambda folder: np.save(depth_file(folder), np.ones((47, 155), np.uint8)),
        lambda folder: cv2.imwrite(str(depth_file(folder).with_suffix(".png")), np.ones((47, 155), np.uint16)),
        lambda folder: cv2.imwrite(str(made(folder / "segmentation") / "000000.png"), np.ones((4, 5), np.uint8)),
        lambda folder: (made(folder / "teacher") / "000000.npz").write_bytes(b"x"),
        lambda folder: np.savez(made(folder / "occupancy_prob") / "000000.npz", occupied=np.zeros(9, np.uint8)),
        lambda folder: (folder / "velodyne" / "000005.bin").write_bytes(b"x"),
    ],
)
def test_check_refuses_in_the_same_words_what_reading_refuses(folder, spoil):
    """Of a sequence that is in no split, so that nothing is expected of it."""
    own = folder.rename(folder.with_name("42"))
    depth_file(folder).parent.rename(depth_file(own).parent)
    assert problems_of(own) == []
    spoil(own)
    with pytest.raises(ValueError) as error:
        options = {"with_lidar": True, "with_segmentation": True, "with_teacher": True, "with_occupancy_prob": True}
        dataset = open_dataset(own.parents[1], "semantic_kitti", ["42"], NETWORK_SIZE, **options)
        for index in range(len(dataset)):
            dataset[index]
    assert str(error.value) in problems_of(own)


def made(folder):
    folder.mkdir()
    return folder


def depth_file(folder):
    return folder.parents[1] / "depth" / "sequences" / folder.name / "000000.npy"


@pytest.mark.parametrize("depth_m", [np.nan, -1.0, 9000.0])
def test_depth_maps_without_depth_are_warned_of(folder, caplog, depth_m):
    np.save(depth_file(folder), np.full((47, 155), depth_m, np.float32))
    assert problems_of(folder) == []
    [warning] = caplog.messages
    assert warning.startswith(f"{depth_file(folder)}: depth coverage: depth covers 0.0% of the pixels")


def test_right_images_are_checked_against_the_left_ones(folder):
    cv2.imwrite(str(folder / "image_3" / "000005.png"), np.zeros((40, 155, 3), np.uint8))
    (problem,) = problems_of(folder)
    assert problem.startswith(
        f"{folder}/image_3/000005.png: expected 155x47 like {folder}/image_2/000000.png, got 155x40"
    )


def test_files_are_read_by_several_threads_with_the_same_result(folder):
    (folder / "image_3" / "000005.png").write_bytes(b"x")
    layout = Layout(folder.parents[1], "semantic_kitti")
    alone, together = (check_sequence(layout, "00", layout.default_depth_folder, workers) for workers in (1, 3))
    assert alone == together and len(alone.problems) == 1


def test_voxels_of_the_first_release_are_told_by_the_scan(folder):
    label, occupied = folder / "voxels" / "000000.label", folder / "voxels" / "000000.bin"
    # Labels of a flat road: the random ones of the fixture are as full one voxel higher.
    grid = np.zeros((256, 256, 32), np.uint16)
    grid[:, :, 3] = 40
    points = np.argwhere(grid[:100, 80:170])[::50] * 0.2 + (0.1, -9.5, -1.9)
    np.column_stack([points, np.ones(len(points))]).astype("<f4").tofile(folder / "velodyne" / "000000.bin")
    grid.tofile(label)
    np.packbits(grid > 0).tofile(occupied)
    assert problems_of(folder) == []
    late = np.roll(grid.reshape(-1), 1)
    late.tofile(label)
    np.packbits(late > 0).tofile(occupied)
    found = problems_of(folder)
    assert [problem.partition(": ")[0] for problem in found] == [str(occupied), str(label)]
    assert all("one place late" in problem for problem in found)


def test_all_files_missing_is_one_problem(folder):
    for file in (folder / "image_3").iterdir():
        file.unlink()
    assert problems_of(folder) == [f"{folder / 'image_3'}: all 2 files missing"]


def test_test_sequences_need_no_labels(tmp_path):
    folder = write_small_kitti(tmp_path, "11")
    for suffix in ("label", "invalid"):
        for file in (folder / "voxels").glob(f"*.{suffix}"):
            file.unlink()
    assert problems_of(folder) == []


def test_data_set_without_depth_maps_is_told_how_to_get_them(folder):
    assert "no depth maps yet" not in run(folder).output
    shutil.rmtree(folder.parents[1] / "depth")
    result = run(folder)
    assert result.exit_code == 0
    assert "no depth maps yet: `scanssc data depth" in result.output


def test_empty_sequence_is_a_problem(folder):
    (folder.parent / "01").mkdir()
    result = run(folder)
    assert result.exit_code == 1
    assert "no frames" in result.output
