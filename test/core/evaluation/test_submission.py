import os
import shutil
import zipfile

import numpy as np
import pytest

from scanssc_core.datasets.semantic_kitti import LABEL_BYTES, write_voxel_labels
from scanssc_core.evaluation.submission import TEST_SEQUENCES, check_archive, description, write_submission
from scanssc_core.labels import SEMANTIC_KITTI_RAW_IDS, UNKNOWN_RAW_ID

FIRST = "sequences/11/predictions/000000.label"


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """A data set with one frame in every test sequence (two in 11), and predictions of road for all."""
    folder = tmp_path_factory.mktemp("complete")
    write_voxel_labels(folder / "road.label", np.full((256, 256, 32), 9, np.uint8))
    for sequence in TEST_SEQUENCES:
        voxels = folder / "data" / "sequences" / sequence / "voxels"
        predictions = folder / "predictions" / "sequences" / sequence / "predictions"
        voxels.mkdir(parents=True)
        predictions.mkdir(parents=True)
        for frame in ("000000", "000005") if sequence == "11" else ("000000",):
            (voxels / f"{frame}.bin").touch()
            os.link(folder / "road.label", predictions / f"{frame}.label")
    return folder


@pytest.fixture
def tree(complete, tmp_path):
    """A copy by hard links: files may be removed and replaced, not changed."""
    shutil.copytree(complete / "predictions", tmp_path / "predictions", copy_function=os.link)
    return tmp_path / "predictions"


def pack(tree, complete):
    return write_submission(tree, complete / "data", tree.parent / "submission.zip", description("ours", "p", "c"))


def test_archive_holds_directories_labels_and_description(tree, complete):
    assert pack(tree, complete) == 12
    with zipfile.ZipFile(tree.parent / "submission.zip") as archive:
        names = archive.namelist()
        assert archive.read("description.txt") == b"name: ours\npdf url: p\ncode url: c\n"
        content = np.frombuffer(archive.read(FIRST), "<u2")
    assert {"sequences/", "sequences/11/", "sequences/21/", "sequences/16/predictions/"} <= set(names)
    assert len(names) == 1 + 1 + 2 * 11 + 12
    assert content.size == 2_097_152 and set(content) == {40}
    check_archive(tree.parent / "submission.zip", complete / "data")


def remove(path):
    path.unlink()


def shorten(path):
    path.unlink()
    path.write_bytes(b"\0" * (LABEL_BYTES - 2))


def use_class_ids(path):
    path.unlink()
    path.write_bytes(np.full(LABEL_BYTES // 2, 9, "<u2").tobytes())


def leave_unknown(path):
    path.unlink()
    path.write_bytes(np.full(LABEL_BYTES // 2, UNKNOWN_RAW_ID, "<u2").tobytes())


def add_other(path):
    (path.parent / "notes.txt").touch()


def add_frame(path):
    os.link(path, path.with_name("000001.label"))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (remove, f"missing {FIRST}"),
        (shorten, f"{FIRST}: expected 4,194,304 bytes, got 4,194,302"),
        (use_class_ids, r"000000\.label: expected raw ids among 0, 10, .* got 9"),
        (leave_unknown, r"000000\.label: expected raw ids among .* got 1 \(unknown\): .*eval --save-predictions"),
        (add_other, "not wanted: sequences/11/predictions/notes.txt"),
        (add_frame, r"not wanted: sequences/11/predictions/000001\.label"),
    ],
)
def test_wrong_tree_is_refused_with_the_reason_and_nothing_is_written(tree, complete, spoil, reason):
    spoil(tree / FIRST)
    with pytest.raises(ValueError, match=reason):
        pack(tree, complete)
    assert [path.name for path in tree.parent.iterdir()] == ["predictions"]


def test_links_to_folders_are_followed_and_hidden_voxel_files_are_none(tree, complete):
    (tree / "sequences" / "11").rename(tree.parent / "eleven")
    (tree / "sequences" / "11").symlink_to(tree.parent / "eleven")
    hidden = complete / "data" / "sequences" / "11" / "voxels" / "._000000.bin"
    hidden.touch()
    assert pack(tree, complete) == 12
    hidden.unlink()


def test_archive_without_directory_entries_is_refused(tree, complete):
    pack(tree, complete)
    flat = tree.parent / "flat.zip"
    with zipfile.ZipFile(tree.parent / "submission.zip") as archive, zipfile.ZipFile(flat, "w") as other:
        for entry in archive.infolist():
            if not entry.is_dir():
                other.writestr(entry.filename, archive.read(entry), zipfile.ZIP_DEFLATED, 1)
    with pytest.raises(ValueError, match="no directory entry sequences/"):
        check_archive(flat, complete / "data")


def test_data_without_test_voxels_and_another_suffix_are_refused(tree, complete, tmp_path):
    with pytest.raises(ValueError, match=r"11.voxels: no \.bin files"):
        write_submission(tree, tmp_path, tmp_path / "out.zip", "")
    with pytest.raises(ValueError, match=r"ends with \.zip"):
        write_submission(tree, complete / "data", tmp_path / "out.tar", "")


def test_every_class_has_an_id_that_the_server_scores():
    assert len(set(SEMANTIC_KITTI_RAW_IDS)) == 20 and not {1, 52, 99} & set(SEMANTIC_KITTI_RAW_IDS)
