import numpy as np
import pytest
from typer.testing import CliRunner

from core.datasets.small_kitti import write_small_kitti
from scanssc_core.cli.data import data_app
from scanssc_core.datasets.check import check_sequence
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
        ("voxels/000000.label", "truncated: expected 4,194,304 bytes, got 4,194,254"),
        ("voxels/000005.invalid", "truncated: expected 262,144 bytes, got 262,094"),
        ("image_3/000005.png", "truncated"),
        ("velodyne/000000.bin", "truncated: expected points of 16 bytes"),
        ("image_2/000005.png", "missing"),
        ("voxels/000005.label", "missing"),
        ("times.txt", "inconsistent: expected at least 6 lines for frame 000005, got 1"),
    ]
    found = problems_of(folder)
    for name, text in expected:
        assert any(problem.startswith(f"{folder / name}: {text}") for problem in found), (name, found)
    assert f"{depth}: wrong size: expected (47, 155), got (3, 4)" in found
    assert len(found) == len(expected) + 1
    result = run(folder)
    assert result.exit_code == 1
    assert f"{len(found)} problems" in result.output and str(folder / "voxels" / "000000.label") in result.output


def test_calibration_without_tr_is_a_problem(folder):
    lines = (folder / "calib.txt").read_text().splitlines(keepends=True)
    (folder / "calib.txt").write_text("".join(lines[:2]))
    (problem,) = problems_of(folder)
    assert problem.startswith(f"{folder / 'calib.txt'}: no entry Tr")


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


def test_empty_sequence_is_a_problem(folder):
    (folder.parent / "01").mkdir()
    result = run(folder)
    assert result.exit_code == 1
    assert "no frames" in result.output
