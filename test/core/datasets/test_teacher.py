import numpy as np
import pytest
import torch

from core.datasets.small_kitti import open_small, write_small_kitti
from scanssc_core.datasets.dataset import collate
from scanssc_core.datasets.teacher import read_occupancy_prob, read_teacher, write_occupancy_prob
from scanssc_core.labels import COMPLETION_TABLES, OCCUPIED, SEMANTIC_KITTI, UNKNOWN

SHAPE = (256, 256, 32)


@pytest.fixture
def root(tmp_path):
    write_small_kitti(tmp_path)
    return tmp_path


def write_teacher(root, **changed):
    random = np.random.default_rng(4)
    arrays = {"cls": random.integers(0, 20, SHAPE, np.uint8), "prob": random.integers(0, 16, SHAPE, np.uint8)}
    arrays["cls"][random.uniform(size=SHAPE) < 0.5] = 0
    arrays |= changed
    path = root / "sequences" / "00" / "teacher" / "000000.npz"
    path.parent.mkdir(exist_ok=True)
    np.savez(path, **{name: values.reshape(-1) for name, values in arrays.items() if values is not None})
    return arrays["cls"], arrays["prob"]


def test_answers_count_where_there_is_no_label_from_their_thresholds_on(root):
    class_ids, sixteenths = write_teacher(root)
    sample = open_small(root, with_teacher=True)[0]
    labels, teacher = sample["labels"].numpy(), sample["teacher"].numpy()
    assert np.array_equal(labels, open_small(root)[0]["labels"])
    seen = set()
    for voxel in map(tuple, np.random.default_rng(0).integers(0, SHAPE, (4000, 3))):
        probability = (16 * sixteenths[voxel] + 8) / 255  # the middle of its sixteenth
        expected = UNKNOWN
        if class_ids[voxel] == 0 and probability >= 0.7:
            expected = 0
        elif class_ids[voxel] > 0 and probability >= 0.9:
            expected = class_ids[voxel]
        elif class_ids[voxel] > 0 and probability >= 0.8:
            expected = OCCUPIED
        if labels[voxel] != UNKNOWN:
            expected = UNKNOWN
        assert teacher[voxel] == expected
        seen.add(int(expected))
    assert seen == {*range(20), OCCUPIED, UNKNOWN}


def test_frame_without_answers_has_a_volume_of_unknown(root):
    write_teacher(root)
    dataset = open_small(root, with_teacher=True)
    batch = collate([dataset[0], dataset[1]])
    assert batch["teacher"].shape == (2, *SHAPE) and batch["teacher"].dtype == torch.uint8
    assert (batch["teacher"][1] == UNKNOWN).all() and not (batch["teacher"][0] == UNKNOWN).all()
    assert "teacher" not in open_small(root)[0]


def test_answers_of_a_frame_without_labels_count_everywhere(root):
    class_ids, sixteenths = write_teacher(root)
    for suffix in ("label", "invalid"):
        (root / "sequences" / "00" / "voxels" / f"000000.{suffix}").unlink()
    teacher = open_small(root, with_teacher=True)[0]["teacher"].numpy()
    assert ((teacher == 0) == ((class_ids == 0) & (sixteenths >= 11))).all()


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"prob": None}, "not a whole .npz file with cls, prob"),
        ({"cls": np.zeros(100, np.uint8)}, "expected 2,097,152 uint8 in cls, got 100 of uint8"),
        ({"prob": np.zeros(SHAPE, np.float32)}, "uint8 in prob, got 2,097,152 of float32"),
        ({"cls": np.full(SHAPE, 20, np.uint8)}, "expected cls from 0 to 19, got 20"),
        ({"prob": np.full(SHAPE, 255, np.uint8)}, "expected prob from 0 to 15, got 255"),
    ],
)
def test_file_of_another_kind_is_named(root, changed, message):
    write_teacher(root, **changed)
    with pytest.raises(ValueError, match=rf"000000\.npz: .*{message}"):
        open_small(root, with_teacher=True)[0]


def test_cut_file_is_named(root):
    write_teacher(root)
    path = root / "sequences" / "00" / "teacher" / "000000.npz"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"000000\.npz: not a whole"):
        open_small(root, with_teacher=True)[0]


def test_probabilities_of_a_soft_teacher_come_back_as_they_were_written(root):
    probabilities = np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8)
    path = root / "sequences" / "00" / "occupancy_prob" / "000000.npz"
    write_occupancy_prob(path, probabilities)
    dataset = open_small(root, with_occupancy_prob=True)
    batch = collate([dataset[0], dataset[1]])
    assert np.array_equal(batch["occupancy_prob"][0], probabilities)
    assert (batch["occupancy_prob"][1] == UNKNOWN).all()  # no file
    assert "occupancy_prob" not in open_small(root)[0]


@pytest.mark.parametrize("wrong", [np.zeros(SHAPE, np.float32), np.zeros((256, 256, 31), np.uint8)])
def test_probabilities_of_another_kind_are_named(root, wrong):
    path = root / "000000.npz"
    np.savez(path, occupied=wrong)
    for call in (lambda: read_occupancy_prob(path), lambda: write_occupancy_prob(path, wrong)):
        with pytest.raises(ValueError, match=r"000000\.npz: expected \(256, 256, 32\) uint8 in occupied, got "):
            call()
    np.savez(path, other=wrong)
    with pytest.raises(ValueError, match=r"000000\.npz: not a whole \.npz file with occupied"):
        read_occupancy_prob(path)


def test_answers_about_kitti_more_fill_what_its_labels_leave(kitti_more):
    with np.load(kitti_more / "sequences" / "22" / "packed" / "000010.npz") as packed:
        labels = COMPLETION_TABLES["semantic_kitti"][packed["palette"][packed["label"]]].reshape(SHAPE)
        labels[np.unpackbits(packed["invalid"]).reshape(SHAPE).astype(bool)] = UNKNOWN
    assert (labels == 0).sum() == 870437  # "free" in the README's table
    teacher = read_teacher(kitti_more / "teacher" / "22" / "000010.npz", labels, "semantic_kitti")
    is_filled = teacher != UNKNOWN
    assert (labels[is_filled] == UNKNOWN).all()
    assert 0.3 < is_filled.sum() / (labels == UNKNOWN).sum() < 0.98
    is_road = teacher == SEMANTIC_KITTI.id_of("road")
    assert is_road.sum() > 500
    assert np.median(is_road.nonzero()[2]) < 4  # the lowest voxels
