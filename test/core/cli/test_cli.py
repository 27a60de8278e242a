import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from cases.command import scanssc

import scanssc_core
from core.network.tiny import TINY
from scanssc_core.checkpoint.files import save_checkpoint
from scanssc_core.datasets.semantic_kitti import write_voxel_labels
from scanssc_core.geometry import PinholeCamera, StereoRig, VoxelGridSpec
from scanssc_core.labels import SEMANTIC_KITTI, UNKNOWN, UNKNOWN_RAW_ID
from scanssc_core.mapping.files import save_map
from scanssc_core.mapping.semantic_map import MapConfig, Observation, SemanticMap
from scanssc_core.network.scanssc import ScanSSC
from scanssc_core.occupancy.interface import Occupancy
from scanssc_core.sources.bag_reader import BagSequence
from scanssc_core.synthetic.scene import wall_scene
from scanssc_core.synthetic.sequence import SyntheticSequence

RIG = StereoRig(PinholeCamera(60.0, 60.0, 31.5, 15.0, width=64, height=32), 0.5, 31.5)


@pytest.fixture(scope="module")
def sequence(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seq") / "00"
    SyntheticSequence(wall_scene(8.0), num_frames=3, rig=RIG).write(folder, workers=1)
    return folder


def test_version_and_help():
    assert scanssc("--version").out.strip() == scanssc_core.__version__
    assert "from-kitti" in scanssc("bag", "--help").out


def test_from_kitti_writes_a_bag_with_the_frames_asked_for(sequence, tmp_path):
    result = scanssc("bag", "from-kitti", sequence, tmp_path / "bag", "--frames", 2)
    assert result.status == 0, result.err
    assert "2 stereo pairs" in result.out and "with odometry (/tf, odom -> base_link)" in result.out
    assert len(BagSequence(tmp_path / "bag")) == 2


def test_bad_input_is_one_line_and_status_one(tmp_path):
    command = [sys.executable, "-c", "from scanssc_core.cli import main; main()", "bag", "from-kitti"]
    result = subprocess.run([*command, tmp_path, tmp_path / "bag"], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ") and str(tmp_path) in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "bag").exists()


@pytest.fixture(scope="module")
def tiny_checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_checkpoint(path, ScanSSC(TINY).state_dict(), TINY)
    return path


def test_predict_is_reproducible_and_goes_on_where_it_stopped(sequence, tiny_checkpoint, tmp_path):
    for folder in ("a", "b"):
        options = ("--model", "semantic_kitti", "--checkpoint", tiny_checkpoint, "--keep-unseen", "--frames", 2)
        result = scanssc("predict", sequence, tmp_path / folder, *options)
        assert result.status == 0, result.err
    first, second = (np.load(tmp_path / folder / "000001.npz")["labels"] for folder in ("a", "b"))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (32, 16, 16)
    assert (tmp_path / "a" / "000001.label").stat().st_size == 2 * first.size
    assert cv2.imread(str(tmp_path / "a" / "000001.png")) is not None
    (tmp_path / "a" / "000001.npz").unlink()
    (tmp_path / "a" / "000000.label").unlink()
    again = scanssc("predict", sequence, tmp_path / "a", *options)
    assert "2 frames in" in again.out and ", 1 of them by an earlier run: to have those made anew, delete" in again.out
    assert (tmp_path / "a" / "000001.npz").exists()
    assert not (tmp_path / "a" / "000000.label").exists(), "a frame that is done is left alone"


def test_predict_takes_given_depth_maps(sequence, tiny_checkpoint, tmp_path):
    (tmp_path / "depth").mkdir()
    np.save(tmp_path / "depth" / "000000.npy", np.full((32, 64), 7.0, np.float32))
    options = ("--model", "stereo", "--depth", tmp_path / "depth", "--frames", 1)
    assert scanssc("predict", sequence, tmp_path / "out", *options).status == 0
    np.save(tmp_path / "depth" / "000000.npy", np.full((64, 128), 7.0, np.float32))
    refused = scanssc("predict", sequence, tmp_path / "other", *options)
    assert refused.status == 1
    assert "depth/000000.npy: expected 64x32 like the left image of frame 000000, got 128x64" in refused.err
    labels = np.load(tmp_path / "out" / "000000.npz")["labels"]
    occupied_x = np.argwhere((labels > 0) & (labels < 255))[:, 0]
    assert abs(occupied_x.mean() * 0.2 - (7.0 + 0.27)) < 0.3


def test_one_depth_map_is_not_taken_for_all_frames(sequence, tmp_path):
    depth = tmp_path / "depth.npy"
    np.save(depth, np.full((32, 64), 7.0, np.float32))
    result = scanssc("predict", sequence, tmp_path / "out", "--model", "stereo", "--depth", depth)
    assert result.status == 1 and f"--depth: {depth} is of one frame, but there are" in result.err


def test_an_archive_that_is_named_as_a_depth_map_is_named(sequence, tmp_path):
    (tmp_path / "depth").mkdir()
    np.savez(tmp_path / "depth" / "depth.npz", depth=np.ones((32, 64), np.float32))
    archive = tmp_path / "depth" / "000000.npy"
    for content in ((tmp_path / "depth" / "depth.npz").read_bytes(), b"PK\x03\x04 and no more"):
        archive.write_bytes(content)
        result = scanssc("predict", sequence, tmp_path / "out", "--model", "stereo", "--depth", archive.parent)
        assert result.status == 1 and f"{archive}: not a whole .npy file" in result.err


def test_predict_of_a_pair_gives_the_labels_of_the_sequence(sequence, tiny_checkpoint, tmp_path):
    np.save(tmp_path / "depth.npy", np.full((32, 64), 7.0, np.float32))
    common = ("--checkpoint", tiny_checkpoint, "--depth", tmp_path / "depth.npy")
    pair = ("--left", sequence / "image_2" / "000000.png", "--right", sequence / "image_3" / "000000.png")
    result = scanssc("predict", *pair, "--calib", sequence / "calib.txt", *common, tmp_path / "pair")
    assert result.status == 0, result.err
    assert scanssc("predict", sequence, tmp_path / "whole", "--frames", 1, *common).status == 0
    ours, theirs = (np.load(tmp_path / folder / "000000.npz") for folder in ("pair", "whole"))
    np.testing.assert_array_equal(ours["labels"], theirs["labels"])
    assert "building" in ours["class_names"]
    raw_ids = np.fromfile(tmp_path / "pair" / "000000.label", "<u2")
    is_unknown = ours["labels"].reshape(-1) == UNKNOWN
    assert is_unknown.any() and not is_unknown.all()
    np.testing.assert_array_equal(raw_ids == UNKNOWN_RAW_ID, is_unknown)
    assert sorted(path.name for path in (tmp_path / "pair").iterdir()) == [
        *("000000.label", "000000.npz", "000000.png", "predict.txt")
    ]
    assert "None" not in (tmp_path / "pair" / "predict.txt").read_text()


def test_pairs_of_another_right_camera_are_not_mixed_in(sequence, tmp_path):
    left, calib = sequence / "image_2" / "000000.png", sequence / "calib.txt"
    for folder in ("image_3", "image_2"):
        pair = ("--left", left, "--right", sequence / folder / "000000.png", "--calib", calib)
        result = scanssc("predict", *pair, tmp_path, "--model", "stereo")
    assert result.status == 1 and f"asked for: right images: {(sequence / 'image_2').resolve()}" in result.err


def test_a_file_in_the_place_of_the_output_folder_is_named(sequence, tmp_path):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        result = scanssc("predict", sequence, out, "--model", "stereo")
        assert result.status == 1 and f"cannot write {out / 'predict.txt'}: " in result.err


def test_predict_shows_the_ground_truth_that_lies_beside_the_images(sequence, tmp_path):
    own = shutil.copytree(sequence, tmp_path / "own")
    house = np.zeros((256, 256, 32), np.uint8)
    house[40:60, 100:156, 2:12] = SEMANTIC_KITTI.id_of("building")
    write_voxel_labels(own / "voxels" / "000000.label", house)
    pair = ("--left", sequence / "image_2" / "000000.png", "--right", sequence / "image_3" / "000000.png")
    options = (*pair, "--calib", sequence / "calib.txt", "--truth", own / "voxels" / "000000.label")
    for arguments in ((own, tmp_path / "found", "--frames", 1), (*options, tmp_path / "given")):
        result = scanssc("predict", "--model", "stereo", *arguments)
        assert result.status == 0, result.err
    found, given = (cv2.imread(str(tmp_path / name / "000000.png")) for name in ("found", "given"))
    np.testing.assert_array_equal(found, given)
    yellow = SEMANTIC_KITTI.colors[SEMANTIC_KITTI.id_of("building")][::-1]
    assert (found == yellow).all(axis=2).sum() > 100, "the prediction is of geometry and has no building"


def test_predict_labels_by_the_lite_model_if_nothing_else_is_asked_for(sequence, tmp_path):
    result = scanssc("predict", sequence, tmp_path / "out", "--frames", 1)
    assert result.status == 0, result.err
    assert tuple(np.load(tmp_path / "out" / "000000.npz")["class_names"]) == SEMANTIC_KITTI.names
    assert result.err.count("non-commercial use only") == 1


def test_only_weights_with_terms_are_spoken_of(sequence, tiny_checkpoint, tmp_path):
    for index, options in enumerate((("--model", "stereo"), ("--checkpoint", tiny_checkpoint))):
        result = scanssc("predict", sequence, tmp_path / str(index), "--frames", 1, *options)
        assert result.status == 0 and "non-commercial" not in result.err


def test_gallery_shows_labelled_frames_and_hides_what_has_no_label(sequence, tmp_path):
    own = shutil.copytree(sequence, tmp_path / "00")
    for path in own.glob("image_?/*.png"):
        path.rename(path.with_suffix(".PNG"))
    road = np.zeros((256, 256, 32), np.uint8)
    road[:, :, 1] = SEMANTIC_KITTI.id_of("road")
    write_voxel_labels(own / "voxels" / "000001.label", road)
    result = scanssc("gallery", tmp_path / "gallery.png", own)
    assert result.status == 0, result.err
    assert "1 frames" in result.out
    page = cv2.imread(str(tmp_path / "gallery.png"))
    purple = SEMANTIC_KITTI.colors[SEMANTIC_KITTI.id_of("road")][::-1]
    assert (page == purple).all(axis=2).sum() > 100  # the others are shaded
    missing = scanssc("gallery", tmp_path / "none.png", sequence)
    assert missing.status == 1 and "no voxels/NNNNNN.label in" in missing.err


@pytest.mark.parametrize("options", [(), ("--left", "a.png"), ("SOURCE", "--calib", "c.txt")])
def test_predict_wants_a_source_or_a_whole_pair(tmp_path, options):
    result = scanssc("predict", *options, tmp_path / "out")
    assert result.status == 1 and "expected SOURCE OUT, or --left" in result.err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--model", "semantic_kitti"), "needs weights"),
        (("--model", "semantic_kitti", "--checkpoint", "nothing.ckpt"), "no checkpoint at nothing.ckpt"),
        (("--model", "magic"), "expected one of"),
        (("--model", "lite", "--checkpoint", "my.safetensors"), "my.safetensors was given, but model is lite"),
        (("--device", "abacus"), "expected auto, cpu or cuda"),
    ],
)
def test_predict_without_what_it_needs_says_so(sequence, tmp_path, options, reason):
    result = scanssc("predict", sequence, tmp_path / "out", *options)
    assert result.status == 1
    assert reason in result.err and "Traceback" not in result.err


def test_weights_of_another_data_set_are_refused(sequence, tiny_checkpoint, tmp_path):
    result = scanssc("predict", sequence, tmp_path, "--model", "kitti360", "--checkpoint", tiny_checkpoint)
    assert result.status == 1 and "another data set" in result.err


def test_view_writes_a_recording(sequence, tmp_path):
    result = scanssc("view", sequence, "--save", tmp_path / "out.rrd", "--frames", 1)
    assert result.status == 0, result.err
    assert (tmp_path / "out.rrd").stat().st_size > 1000


def test_view_opens_a_saved_map_and_refuses_what_is_none(tmp_path):
    grid = VoxelGridSpec((8, 8, 8), 0.5, (0.0, -2.0, -2.0))
    semantic_map = SemanticMap(0.5, ("empty", "car", "yeti"), MapConfig(window_m=(8.0, 8.0, 4.0)))
    semantic_map.update(Observation(grid, Occupancy(np.full(grid.shape, 2, np.uint8)), np.eye(4), 0))
    save_map(tmp_path / "map.npz", semantic_map, "odom")
    result = scanssc("view", tmp_path / "map.npz", "--save", tmp_path / "map.rrd")
    assert result.status == 0, result.err
    assert (tmp_path / "map.rrd").stat().st_size > 1000
    (tmp_path / "map.npz").write_bytes(b"PK")
    result = scanssc("view", tmp_path / "map.npz")
    assert result.status == 1 and "no map that can be loaded" in result.err


def test_view_without_a_display_says_what_to_use_instead(sequence, tmp_path, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "seen.rrd").touch()
    for source, remedy in (
        (sequence, "use --save FILE.rrd"),
        (tmp_path / "seen.rrd", f"open {tmp_path / 'seen.rrd'} on"),
    ):
        result = scanssc("view", source, "--model", "stereo")
        assert result.status == 1 and result.err.count("\n") == 1
        assert result.err.startswith("error: no display") and remedy in result.err


def test_a_recording_that_cannot_be_written_is_named(sequence, tmp_path):
    for path in (tmp_path, tmp_path / "no\udcffutf8.rrd"):
        result = scanssc("view", sequence, "--save", path, "--model", "stereo")
        assert result.status == 1 and result.err.splitlines()[-1].startswith(f"error: cannot write {path}: ")


def test_info_counts_the_parameters_of_the_published_model_and_of_a_checkpoint(tiny_checkpoint):
    shown = scanssc("info").out
    assert "142,979,902" in shown and "145.56 M" in shown
    of_tiny = scanssc("info", tiny_checkpoint).out
    assert "16, 8, 8" in of_tiny and "Published as" not in of_tiny
