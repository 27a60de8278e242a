import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from core.datasets.small_kitti import NETWORK_SIZE, P2, SIZE, TR, open_small, raw_labels, write_small_kitti
from reference.data import KITTI_360_LEARNING_MAP, KITTI_LEARNING_MAP, bit_of, completion_label, lidar_depth
from scanssc_core.datasets.dataset import camera_of, collate, open_dataset
from scanssc_core.datasets.depth_maps import write_depth_map
from scanssc_core.datasets.layout import Layout
from scanssc_core.labels import COMPLETION_TABLES
from scanssc_core.network.camera_inputs import CameraInputs


@pytest.fixture
def root(tmp_path):
    write_small_kitti(tmp_path)
    return tmp_path


def write_kitti_360(root, raw, invalid):
    folder = root / "data_2d_raw" / "2013_05_28_drive_0006_sync"
    for camera in ("image_00", "image_01"):
        (folder / camera / "data_rect").mkdir(parents=True)
        cv2.imwrite(str(folder / camera / "data_rect" / "000000.png"), np.full((376, 1408, 3), 90, np.uint8))
    (folder / "voxels").mkdir()
    raw.astype("<u2").tofile(folder / "voxels" / "000000.label")
    for suffix in ("invalid", "bin"):
        np.packbits(invalid).tofile(folder / "voxels" / f"000000.{suffix}")
    write_depth_map(root / "depth" / "sequences" / folder.name / "000000.npy", np.full((376, 1408), 9.0))
    return folder.name


@pytest.mark.parametrize(
    "dataset, learning_map", [("semantic_kitti", KITTI_LEARNING_MAP), ("kitti360", KITTI_360_LEARNING_MAP)]
)
def test_table_sends_everything_without_a_class_to_unknown(dataset, learning_map):
    expected = [completion_label(raw_id, learning_map) for raw_id in range(359)]
    assert COMPLETION_TABLES[dataset].tolist() == expected


def test_labels_equal_those_read_voxel_by_voxel(root):
    labels = open_small(root)[1]["labels"]
    folder = root / "sequences" / "00" / "voxels"
    raw, packed = (folder / "000005.label").read_bytes(), (folder / "000005.invalid").read_bytes()
    assert labels.shape == (256, 256, 32) and labels.dtype == torch.uint8
    for x, y, z in np.random.default_rng(0).integers(0, (256, 256, 32), (2000, 3)):
        position = 2 * ((x * 256 + y) * 32 + z)
        raw_id = raw[position] + 256 * raw[position + 1]
        expected = 255 if bit_of(packed, x, y, z) else completion_label(raw_id, KITTI_LEARNING_MAP)
        assert labels[x, y, z] == expected


def test_kitti_360_voxels_with_a_class_are_valid_whatever_the_mask_says(tmp_path):
    raw, invalid = raw_labels(3), np.random.default_rng(0).uniform(size=(256, 256, 32)) < 0.5
    drive = write_kitti_360(tmp_path, raw, invalid)
    sample = open_dataset(tmp_path, "kitti360", ["val"], (384, 1408))[0]
    expected = np.vectorize(lambda raw_id: completion_label(raw_id, KITTI_360_LEARNING_MAP))(raw)
    assert (sample["labels"].numpy() == np.where(invalid & (raw == 0), 255, expected)).all()
    assert sample["sequence"] == drive
    assert sample["image_translation"].tolist() == [0, 8, 0]  # eight black rows on top, as published
    assert (sample["image"][:, :8] < -1.8).all() and (sample["image"][:, 8] > -1.0).all()
    assert sample["projection"][0].tolist() == pytest.approx([552.554261, 0, 682.049453, 0])
    assert sample["T_grid_cam"][0].tolist() == pytest.approx([0.0430710, -0.0882929, 0.9951629, 0.8043914], abs=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_preprocessed_labels_are_read_where_there_are_no_raw_ones(root, dtype):
    expected = open_small(root)[0]["labels"]
    (root / "labels" / "00").mkdir(parents=True)
    np.save(root / "labels" / "00" / "000000_1_1.npy", expected.numpy().astype(dtype))
    (root / "sequences" / "00" / "voxels" / "000000.label").unlink()
    assert torch.equal(open_small(root)[0]["labels"], expected)


def test_preprocessed_labels_of_another_kind_are_named(root):
    (root / "labels" / "00").mkdir(parents=True)
    path = root / "labels" / "00" / "000000_1_1.npy"
    (root / "sequences" / "00" / "voxels" / "000000.label").unlink()
    for wrong, message in ((np.full((256, 256, 32), 40.0), "got 40"), (np.zeros((128, 128, 16)), r"\(128, 128, 16\)")):
        np.save(path, wrong)
        with pytest.raises(ValueError, match=rf"000000_1_1\.npy: expected .*{message}"):
            open_small(root)[0]
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"000000_1_1\.npy: not a whole"):
        open_small(root)[0]


def test_camera_is_that_of_the_files_as_published(root):
    sample = open_small(root)[0]
    height, width = SIZE
    scale = NETWORK_SIZE[1] / width
    assert np.allclose(sample["projection"], np.vstack([P2, [0, 0, 0, 1]]))
    assert np.allclose(sample["T_grid_cam"], np.linalg.inv(np.vstack([TR, [0, 0, 0, 1]])), atol=1e-6)
    assert np.allclose(sample["image_rotation"], np.diag([scale, scale, 1]))
    assert sample["image_translation"].tolist() == [0, NETWORK_SIZE[0] - int(height * scale), 0]


def test_lidar_depth_equals_the_naive_one(root):
    sample = open_small(root, with_lidar=True)[0]
    points = np.fromfile(root / "sequences" / "00" / "velodyne" / "000000.bin", "<f4").reshape(-1, 4)[:, :3]
    T_cam_velo = np.vstack([TR, [0, 0, 0, 1]])
    scale, translation = NETWORK_SIZE[1] / SIZE[1], sample["image_translation"].numpy()
    expected = lidar_depth(points, T_cam_velo, P2, scale, translation, *NETWORK_SIZE)
    assert (expected > 0).sum() > 50
    assert np.allclose(sample["lidar_depth_m"], expected, rtol=1e-5)


def test_frames_without_labels_have_no_labels(root):
    folder = root / "sequences" / "00" / "voxels"
    (folder / "000005.label").unlink()
    dataset = open_small(root)
    assert "labels" not in dataset[1]
    assert [files.frame for files in open_small(root, labelled_only=True).files] == ["000000"]
    batch = collate([dataset[0], dataset[1]])
    assert (batch["labels"][1] == 255).all() and not (batch["labels"][0] == 255).all()
    assert "labels" not in collate([dataset[1]])


def test_recording_without_voxels_gives_all_images(root):
    for file in (root / "sequences" / "00" / "voxels").iterdir():
        file.unlink()
    dataset = open_small(root)
    assert len(dataset) == 2 and "labels" not in dataset[0]


def test_batches_are_stacked_samples(root):
    dataset = open_small(root, weight=0.25, with_segmentation=True)
    batch = collate([dataset[0], dataset[1]])
    assert batch["image"].shape == (2, 3, *NETWORK_SIZE) and batch["depth_m"].shape == (2, 1, *NETWORK_SIZE)
    assert batch["frame"] == ["000000", "000005"] and batch["weight"].tolist() == [0.25, 0.25]
    assert (batch["segmentation"] == 255).all()  # there is none
    assert isinstance(camera_of(batch), CameraInputs) and camera_of(batch).vector().shape == (2, 33)


def test_segmentation_is_laid_like_the_image_with_255_beyond_it(root):
    folder = root / "sequences" / "00" / "segmentation"
    folder.mkdir()
    cv2.imwrite(str(folder / "000000.png"), np.full(SIZE, 9, np.uint8))
    segmentation = open_small(root, with_segmentation=True)[0]["segmentation"]
    is_image = open_small(root)[0]["image"][0] > -2.1
    assert set(segmentation.unique().tolist()) <= {9, 255}
    assert (segmentation[is_image] == 9).all()


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("voxels/000000.label", b"abc", "expected 4,194,304 bytes, got 3"),
        ("voxels/000000.label", np.full(256 * 256 * 32, 400, "<u2").tobytes(), "raw ids below 359, got 400"),
        ("voxels/000000.invalid", None, "missing"),
        ("voxels/000000.invalid", b"", "expected 262,144 bytes, got 0"),
        ("velodyne/000000.bin", None, "missing"),
        ("velodyne/000000.bin", b"abc", "points of 16 bytes, got 3"),
        ("image_2/000000.png", b"\x89PNG", "not a whole image"),
        ("image_2/000000.png", None, "missing"),
    ],
    ids=["label_cut", "label_id", "no_invalid", "invalid_empty", "no_scan", "scan_cut", "image_cut", "no_image"],
)
def test_what_is_wrong_with_a_file_is_said_with_its_name(root, name, content, message):
    path = root / "sequences" / "00" / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        open_small(root, with_lidar=True)[0]
    assert str(path) in str(error.value)
    assert open_small(root, with_lidar=True)[1]["frame"] == "000005"  # the others can still be read


def test_depth_map_that_is_missing_or_of_another_size_is_named(root):
    path = root / "depth" / "sequences" / "00" / "000000.npy"
    np.save(path, np.ones((10, 10), np.float32))
    with pytest.raises(ValueError, match=r"000000\.npy: expected 155x47 like .*000000\.png, got 10x10"):
        open_small(root)[0]
    path.unlink()
    with pytest.raises(ValueError, match=r"missing .*000000\.npy.*scanssc data depth"):
        open_small(root)[0]


def test_depth_that_is_no_measurement_is_read_as_none(root):
    path = root / "depth" / "sequences" / "00" / "000000.npy"
    depth_m = np.full(SIZE, 7, np.float32)
    depth_m[0, :5] = 0, -1, np.nan, np.inf, -np.inf
    np.save(path, depth_m)
    read_m = open_small(root).read(0).depth_m
    assert read_m.dtype == np.float32
    assert read_m[0, :6].tolist() == [0, 0, 0, 0, 0, 7]


def test_depth_maps_of_two_kinds_of_one_frame_are_refused(root):
    path = root / "depth" / "sequences" / "00" / "000000.npy"
    write_depth_map(path.with_suffix(".png"), np.load(path))
    with pytest.raises(ValueError, match=r"sequences/00: 000000\.npy and 000000\.png are of the same frame"):
        open_small(root)[0]


@pytest.mark.parametrize("suffix", [".jpg", ".PNG", ".JPEG"])
def test_images_of_every_suffix_are_read(root, suffix):
    expected = open_small(root)[1]["image"]
    for path in root.glob("sequences/00/image_?/*.png"):
        image = cv2.imread(str(path))
        path.unlink()
        path.with_suffix(suffix).write_bytes(cv2.imencode(suffix, image)[1].tobytes())
    sample = open_small(root)[1]
    assert sample["frame"] == "000005" and "labels" in sample
    assert (sample["image"] - expected).abs().mean() < 0.7  # noise keeps little in a JPEG


def test_frame_with_an_image_on_one_side_only_is_a_frame(root):
    for file in (root / "sequences" / "00" / "voxels").iterdir():
        file.unlink()
    (root / "sequences" / "00" / "image_2" / "000005.png").unlink()
    dataset = open_small(root)
    assert [files.frame for files in dataset.files] == ["000000", "000005"]
    with pytest.raises(ValueError, match=r"image_2/000005\.png: missing"):
        dataset[1]


def test_hidden_files_and_folders_are_no_frames_and_no_sequences(root):
    for name in ("voxels/._000001.label", "image_2/._000000.png"):
        (root / "sequences" / "00" / name).touch()
    (root / "sequences" / ".ipynb_checkpoints").mkdir()
    assert [files.frame for files in open_small(root).files] == ["000000", "000005"]
    assert Layout(root, "semantic_kitti").sequences() == ["00"]


def test_depth_png_keeps_metres_within_a_256th(root):
    exact = open_small(root)[0]["depth_m"]
    path = root / "depth" / "sequences" / "00" / "000000.npy"
    write_depth_map(path.with_suffix(".png"), np.load(path))
    path.unlink()
    assert (open_small(root)[0]["depth_m"] - exact).abs().max() < 1.2 / 256  # the bicubic filter overshoots a little


def test_what_cannot_be_opened_is_said(root):
    with pytest.raises(ValueError, match="no sequence 09: missing folder .*; there are 00"):
        open_dataset(root, "semantic_kitti", ["09"], NETWORK_SIZE)
    with pytest.raises(ValueError, match="no sequence :"):
        open_dataset(root, "semantic_kitti", [""], NETWORK_SIZE)
    with pytest.raises(ValueError, match="no sequence of the split val"):
        open_dataset(root, "semantic_kitti", ["val"], NETWORK_SIZE)
    with pytest.raises(ValueError, match="is not kitti360"):
        open_dataset(root, "kitti360", ["train"], NETWORK_SIZE)
    with pytest.raises(ValueError, match="expected one of semantic_kitti, kitti360"):
        open_dataset(root, "nuscenes", ["train"], NETWORK_SIZE)


def test_kitti_mini_reads_with_the_counts_of_its_readme(kitti_mini, tmp_path):
    unpack = [sys.executable, kitti_mini / "unpack.py", tmp_path, "--only", "00"]
    subprocess.run(unpack, check=True, capture_output=True)
    write_depth_map(tmp_path / "depth" / "sequences" / "00" / "000002.npy", np.ones((376, 1241)))
    dataset = open_dataset(tmp_path, "semantic_kitti", ["train"], (384, 1280), with_lidar=True)
    assert [files.frame for files in dataset.files] == ["000000", "000002", "000005", "000007"]
    sample = dataset[1]
    assert (sample["labels"] == 0).sum() == 1095336  # "free" in the README's table
    assert sample["image_translation"].tolist() == [0, -3, 0]
    assert (sample["lidar_depth_m"] > 0).sum() > 10_000


def test_kitti_extra_reads_with_its_segmentation(kitti_extra, tmp_path):
    unpack = [sys.executable, kitti_extra / "unpack.py", tmp_path, "--group", "stereo15t_000002"]
    subprocess.run(unpack, check=True, capture_output=True)
    (image_file,) = tmp_path.glob("sequences/181/image_2/*.png")
    height, width = cv2.imread(str(image_file)).shape[:2]
    write_depth_map(tmp_path / "depth" / "sequences" / "181" / "000000.npy", np.ones((height, width)))
    options = {"with_lidar": True, "with_segmentation": True, "weight": 0.3}
    sample = open_dataset(tmp_path, "semantic_kitti", ["181"], (384, 1280), **options)[0]
    labels, segmentation = sample["labels"], sample["segmentation"]
    is_occupied = (labels > 0) & (labels < 255)
    assert abs(int(is_occupied.sum()) - 10517) < 200  # the README's table
    road_pixels = (segmentation == 9).nonzero().float().mean(dim=0)
    assert road_pixels[0] > 200  # road is in the lower half
    assert (sample["lidar_depth_m"] > 0).sum() > 3000
