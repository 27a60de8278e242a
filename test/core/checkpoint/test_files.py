"""Our files: what they say of themselves is taken or refused by name, and files of before are read."""

import json

import pytest
import torch
from peak_memory import at_most_mib
from safetensors import safe_open
from safetensors.torch import save

from core.network.tiny import TINY, TINY_LITE
from core.train.small import MICRO
from scanssc_core.checkpoint.files import read_calibration, save_checkpoint
from scanssc_core.checkpoint.load import load_model, read_weights
from scanssc_core.checkpoint.shipped import LITE_WEIGHTS
from scanssc_core.network.kinds import make_network
from scanssc_core.network.lite import Lite

SWITCHES = ("has_fine_geometry", "has_segmentation", "is_subvoxel_head", "has_ground_elevation")


def write(path, config, change=lambda values: values, **metadata):
    """A file of this configuration's random weights, with changes to what it says of itself."""
    save_checkpoint(path, make_network(config).state_dict(), config)
    with safe_open(path, framework="pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        content = file.metadata()
    content["config"] = json.dumps(change(json.loads(content["config"])))
    content = {name: text for name, text in (content | metadata).items() if text is not None}
    path.write_bytes(save(state, content))
    return path


@pytest.mark.parametrize("config", [TINY, TINY_LITE])
def test_a_file_says_which_kind_of_network_it_holds(config, tmp_path):
    model = load_model(write(tmp_path / "some.safetensors", config))
    assert model.config == config and isinstance(model, Lite) == (config is TINY_LITE)


def test_a_file_of_before_holds_the_network_of_the_paper(tmp_path):
    switches = dict.fromkeys(SWITCHES, False)
    former = write(tmp_path / "some.safetensors", MICRO, lambda values: values | switches, kind=None)
    assert load_model(former).config == MICRO


def test_the_shipped_file_says_its_kind_and_how_its_confidence_is_calibrated():
    with safe_open(LITE_WEIGHTS, framework="pt") as file:
        assert file.metadata()["kind"] == "lite"
    calibration = read_calibration(LITE_WEIGHTS)
    assert calibration is not None and all(band.temperature > 1 for band in calibration.occupied)


@pytest.mark.parametrize(("kind", "fields"), [(None, dict.fromkeys(SWITCHES, True)), ("lite", {})])
def test_a_lite_model_of_before_is_refused_with_the_version_that_reads_it(kind, fields, tmp_path):
    path = write(tmp_path / "some.safetensors", MICRO, lambda values: values | fields, kind=kind)
    with pytest.raises(ValueError, match=r"some\.safetensors: a lite model of scanssc 0\.1; .*Read the file with 0\.1"):
        read_weights(path)


@pytest.mark.parametrize(
    ("change", "metadata", "reason"),
    [
        (lambda values: values | {"novel": 3}, {}, "ScanSSCConfig has no field novel in scanssc .*newer version"),
        (
            lambda values: values | {"scan": values["scan"] | {"spiral": True}},
            {},
            "ScanRules has no field spiral in scanssc .*newer version",
        ),
        (lambda values: values, {"kind": "great"}, "kind 'great'; scanssc .* knows scanssc, lite, mobilestereonet"),
        (lambda values: values, {"format": "other-1"}, "expected format 'scanssc-1' .*got 'other-1'"),
        (lambda values: [1], {}, "expected a configuration of named values"),
        (lambda values: values | {"image_size": [100, 320]}, {}, "image_size divisible by 32"),
        (lambda values: values | {"image_size": 7}, {}, "configuration in its metadata"),
        (lambda values: values | {"depth_step_m": 0.0}, {}, "configuration in its metadata: .*zero"),
        (
            lambda values: values | {"dataset": "none"},
            {},
            "dataset: expected one of semantic_kitti, kitti360, got 'none'",
        ),
    ],
)
def test_what_a_file_says_and_this_version_does_not_know_is_named_in_one_line(change, metadata, reason, tmp_path):
    path = write(tmp_path / "some.safetensors", MICRO, change, **metadata)
    with pytest.raises(ValueError, match=rf"some\.safetensors: .*{reason}") as caught:
        read_weights(path)
    assert "\n" not in str(caught.value)


HUGE_GRID = {"grid": {"shape": [5000, 5000, 64], "voxel_size_m": 0.8, "origin_m": [0.0, -25.6, -2.0]}}


@pytest.mark.parametrize("change", [{"channels": 10**6}, {"head_channels": 10**7}, {"grid": 5}, HUGE_GRID])
def test_a_configuration_larger_than_the_weights_takes_no_memory(change, tmp_path):
    path = write(tmp_path / "some.safetensors", MICRO, lambda values: values | change)
    with at_most_mib(256), pytest.raises(ValueError, match=r"some\.safetensors: "):
        load_model(path)


def test_json_of_endless_depth_is_named(tmp_path):
    state = make_network(MICRO).state_dict()
    path = tmp_path / "some.safetensors"
    path.write_bytes(save(state, {"format": "scanssc-1", "config": "[" * 100_000}))
    with pytest.raises(ValueError, match=r"some\.safetensors: the configuration in its metadata is no JSON"):
        read_weights(path)


def test_broken_json_is_named(tmp_path):
    path = write(tmp_path / "some.safetensors", MICRO)
    path.write_bytes(path.read_bytes().replace(b'{\\"image_size', b'[\\"image_size'))
    with pytest.raises(ValueError, match=r"some\.safetensors: the configuration in its metadata is no JSON"):
        read_weights(path)


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
def test_a_cut_file_is_damaged_or_incomplete(kept, tmp_path):
    path = write(tmp_path / "some.safetensors", MICRO)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"some\.safetensors is damaged or incomplete"):
        read_weights(path)


def test_a_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"weights\.ckpt is a folder"):
        (tmp_path / "weights.ckpt").mkdir()
        read_weights(tmp_path / "weights.ckpt")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html>", "it begins with b'<!DOCTYPE html>"),
        (b"version https://git-lfs.github.com/spec/v1", "it begins with b'version https://git-lfs"),
    ],
)
def test_what_came_in_place_of_a_checkpoint_is_shown(content, found, tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} is neither a scanssc checkpoint nor a published one: {found}"):
        load_model(path)


def test_weights_that_are_not_finite_are_refused_by_name(tmp_path):
    state = make_network(TINY).state_dict()
    name = next(name for name in state if name.startswith("head."))
    state[name] = torch.full_like(state[name], float("nan"))
    save_checkpoint(tmp_path / "nan.safetensors", state, TINY)
    with pytest.raises(
        ValueError, match=rf"nan\.safetensors: 1 entries do not fit the model:\n  {name}: NaN or infinity"
    ):
        load_model(tmp_path / "nan.safetensors")
