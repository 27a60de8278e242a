"""Published files of a whole model and of parts, our own files, and starting a training from either."""

import json
from dataclasses import replace
from functools import lru_cache

import pytest
import torch
from safetensors import safe_open

from core.network.golden import published_state, state_rows
from core.network.tiny import TINY
from scanssc_core.checkpoint import published as published_module
from scanssc_core.checkpoint.files import save_checkpoint
from scanssc_core.checkpoint.initial import load_initial_weights
from scanssc_core.checkpoint.load import convert_checkpoint, load_model, read_weights
from scanssc_core.checkpoint.published_names import is_unused
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import LABEL_SETS
from scanssc_core.network.config import semantic_kitti
from scanssc_core.network.scanssc import ScanSSC

# The published image side on a coarse grid: the parts that files of parts hold, in their true shapes.
COARSE = replace(semantic_kitti(), grid=VoxelGridSpec((16, 16, 4), 3.2, (0.0, -25.6, -2.0)))
IMAGE_PARTS = ("img_backbone.", "img_neck.", "depth_net.")


@lru_cache
def empty_state(config):
    with torch.device("meta"):
        return ScanSSC(config).state_dict()


@lru_cache
def image_side():
    """Formula weights of backbone, neck and depth net by their published names."""
    shapes = {name: tuple(value.shape) for name, value in empty_state(COARSE).items()}
    return published_state(shapes, only=IMAGE_PARTS)


@pytest.fixture
def geodepth(tmp_path):
    """As pretrain_geodepth.pth is described: no prefix, counters of batch norm, leftovers of a head."""
    counters = {row[0]: torch.tensor(5) for row in state_rows() if row[0].startswith(IMAGE_PARTS) and "num_b" in row[0]}
    leftovers = {"img_view_transformer.dx": torch.ones(3), "seg_head.3.weight": torch.ones(20, 32, 1, 1)}
    path = tmp_path / "pretrain_geodepth.pth"
    torch.save({"state_dict": image_side() | counters | leftovers, "epoch": 3}, path)
    return path


@pytest.fixture
def mmcls(tmp_path):
    """The EfficientNet-B7 as mmcls names it, in the layout before zip archives, with its classifier."""
    names = {name: name.replace("img_backbone.", "backbone.") for name in image_side() if "img_backbone" in name}
    state = {ours: image_side()[name] for name, ours in names.items()}
    state |= {"head.fc.weight": torch.ones(1000, 4), "head.fc.bias": torch.ones(1000)}
    path = tmp_path / "efficientnet-b7.pth"
    torch.save({"meta": {}, "state_dict": state}, path, _use_new_zipfile_serialization=False)
    return path


def metadata(path):
    with safe_open(path, framework="pt") as file:
        return file.metadata()


def test_depth_checkpoint_is_three_whole_parts(geodepth, tmp_path):
    weights = convert_checkpoint(geodepth, tmp_path / "parts.safetensors")
    assert set(weights.parts) == {"backbone", "neck", "depth_net"} and weights.config is None
    assert weights.left_out == ("img_view_transformer.dx", "seg_head.3.weight")
    assert set(json.loads(metadata(tmp_path / "parts.safetensors")["parts"])) == set(weights.parts)
    expected = {name for name in empty_state(COARSE) if name.startswith(("backbone.", "neck.", "depth_net."))}
    assert set(weights.state) == expected


def test_mmcls_file_is_the_backbone(mmcls, tmp_path):
    weights = convert_checkpoint(mmcls, tmp_path / "backbone.safetensors")
    assert weights.parts == ("backbone",)
    assert weights.left_out == ("head.fc.weight", "head.fc.bias")
    stem = image_side()["img_backbone.layers.0.conv.weight"]
    torch.testing.assert_close(weights.state["backbone.stem.conv.weight"], stem, rtol=0, atol=0)


def test_part_with_an_entry_missing_or_too_many_is_refused(tmp_path):
    state = dict(image_side())
    del state["img_neck.deblocks.0.0.weight"]
    state["depth_net.novel"] = torch.ones(1)
    state["img_backbone.layers.0.conv.weight"] = torch.ones(8, 3, 3, 3)
    torch.save({"state_dict": state}, tmp_path / "torn.pth")
    with pytest.raises(ValueError) as caught:
        read_weights(tmp_path / "torn.pth")
    for part in ("missing neck.levels.0.0.weight", "unknown depth_net.novel", "backbone.stem.conv.weight: expected"):
        assert part in str(caught.value)


def test_parts_are_no_model(geodepth, tmp_path):
    convert_checkpoint(geodepth, tmp_path / "parts.safetensors")
    for path in (geodepth, tmp_path / "parts.safetensors"):
        with pytest.raises(ValueError, match="holds only backbone, .*--init"):
            load_model(path)


@pytest.mark.parametrize("is_converted", [False, True])
def test_training_starts_from_parts(geodepth, tmp_path, is_converted):
    if is_converted:
        convert_checkpoint(geodepth, tmp_path / "parts.safetensors")
    torch.manual_seed(0)
    model = ScanSSC(COARSE)
    fusion = model.fusion.coefficients.weight.detach().clone()
    report = load_initial_weights(model, tmp_path / "parts.safetensors" if is_converted else geodepth)
    stem = image_side()["img_backbone.layers.0.conv.weight"]
    torch.testing.assert_close(model.backbone.stem.conv.weight.detach(), stem, rtol=0, atol=0)
    torch.testing.assert_close(model.fusion.coefficients.weight.detach(), fusion, rtol=0, atol=0)
    assert "fusion.coefficients.weight" in report.kept and "backbone.stem.conv.weight" in report.loaded
    assert set(report.loaded) | set(report.kept) == set(model.state_dict())
    assert ("seg_head.3.weight" in report.left_out) != is_converted
    assert "depth_net" in report.summary() and "mixing" in report.summary()


def test_training_starts_from_a_model_of_ours_and_says_what_differs(tmp_path):
    torch.manual_seed(0)
    source = ScanSSC(TINY)
    save_checkpoint(tmp_path / "tiny.safetensors", source.state_dict(), TINY)
    report = load_initial_weights(target := ScanSSC(TINY), tmp_path / "tiny.safetensors")
    assert not report.kept and not report.left_out
    torch.testing.assert_close(target.volume_embedding.weight, source.volume_embedding.weight)
    shallow = ScanSSC(replace(TINY, num_cross_layers=1, num_self_layers=3))
    report = load_initial_weights(shallow, tmp_path / "tiny.safetensors")
    assert all(name.startswith("self_attention.layers.2.") for name in report.kept) and report.kept
    assert all(name.startswith("cross_attention.layers.") for name in report.left_out) and report.left_out
    with pytest.raises(ValueError, match=r"head\.layers\.3\.weight: expected \(7, "):
        load_initial_weights(ScanSSC(replace(TINY, num_classes=7)), tmp_path / "tiny.safetensors")


def test_every_published_entry_is_mapped_or_named_as_unused(tmp_path, monkeypatch):
    """A file with all 1,889 entries, volume and pictures cut down, is taken whole; only the tables are left out."""
    monkeypatch.setattr(published_module, "_CONFIGS", {20: lambda: COARSE})
    shapes = {name: tuple(value.shape) for name, value in empty_state(COARSE).items()}
    names = [row[0] for row in state_rows() if not row[0].startswith("kitti360:")]
    state = {name: torch.zeros(1) for name in names if is_unused(name)} | published_state(shapes)
    assert len(names) == 1889 and set(state) == set(names)
    torch.save({"state_dict": {f"model.{name}": value for name, value in state.items()}}, tmp_path / "whole.ckpt")
    weights = convert_checkpoint(tmp_path / "whole.ckpt", tmp_path / "whole.safetensors")
    tables = {"img_view_transformer": 4, "proposal_layer": 1, "VoxFormer_head": 3}
    assert {part: sum(name.startswith(part) for name in weights.left_out) for part in tables} == tables
    assert len(weights.left_out) == 8
    model = load_model(tmp_path / "whole.safetensors")
    assert model.config == COARSE
    torch.testing.assert_close(load_model(tmp_path / "whole.ckpt").state_dict(), model.state_dict(), rtol=0, atol=0)


def test_own_file_keeps_weights_and_says_what_they_are(tmp_path):
    model = ScanSSC(TINY).eval()
    save_checkpoint(tmp_path / "tiny.safetensors", model.state_dict(), TINY)
    loaded = load_model(tmp_path / "tiny.safetensors")
    assert loaded.config == TINY
    torch.testing.assert_close(loaded.state_dict(), model.state_dict(), rtol=0, atol=0)
    content = metadata(tmp_path / "tiny.safetensors")
    names, label_map = json.loads(content["class_names"]), json.loads(content["label_map"])
    assert tuple(names) == LABEL_SETS["semantic_kitti"].names
    assert {raw_id: names[label] for raw_id, label in label_map.items()}["50"] == "building"


def test_weights_that_do_not_fit_are_all_listed(tmp_path):
    state = ScanSSC(TINY).state_dict()
    del state["fusion.coefficients.weight"]
    state["surplus"] = torch.zeros(1)
    state["head.layers.3.weight"] = torch.zeros(3, 3)
    save_checkpoint(tmp_path / "bad.safetensors", state, TINY)
    with pytest.raises(ValueError) as caught:
        load_model(tmp_path / "bad.safetensors")
    for part in (
        "3 entries",
        "missing fusion.coefficients.weight",
        "unknown surplus",
        "head.layers.3.weight: expected",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"state_dict": {"model.stem.weight": torch.zeros(1)}}, "no weights of ScanSSC"),
        ({"state_dict": {"model.pts_bbox_head.occ_convs.0.3.weight": torch.zeros(7, 64, 1, 1, 1)}}, "7 classes"),
        ({"state_dict": 7}, "expected a dict of tensors"),
        ([1, 2], "expected a dict"),
    ],
)
def test_file_of_something_else_is_refused(tmp_path, content, reason):
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=reason):
        load_model(tmp_path / "other.ckpt")


def test_file_that_is_no_checkpoint_is_refused_by_name(tmp_path):
    (tmp_path / "file.ckpt").write_bytes(b"rubbish")
    with pytest.raises(ValueError, match=r"file\.ckpt is neither"):
        load_model(tmp_path / "file.ckpt")
    with pytest.raises(ValueError, match="no checkpoint at"):
        load_model(tmp_path / "nothing")
