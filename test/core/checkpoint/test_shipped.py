"""The weights in the package: small, whole, and as good as their card says."""

import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from typer.testing import CliRunner

from core.train.small import MICRO, MICRO_LITE
from scanssc_core.checkpoint.edit import extract_parts, halve_checkpoint, lower_empty
from scanssc_core.checkpoint.files import save_checkpoint
from scanssc_core.checkpoint.load import load_model
from scanssc_core.checkpoint.shipped import LITE_WEIGHTS
from scanssc_core.cli.app import app
from scanssc_core.datasets.dataset import read_labels
from scanssc_core.datasets.layout import Layout
from scanssc_core.evaluation.metrics import SSCMetrics
from scanssc_core.labels import SEMANTIC_KITTI
from scanssc_core.network.lite import Lite, LiteConfig
from scanssc_core.network.scanssc import ScanSSC
from scanssc_core.runtime.backends import make_occupancy_backend, make_stereo_backend
from scanssc_core.runtime.pipeline import OccupancyPipeline
from scanssc_core.sources.kitti import open_sequence
from scanssc_core.train.initial_weights import initialize


def test_shipped_weights_are_the_lite_model_in_at_most_20_mb():
    assert LITE_WEIGHTS.stat().st_size <= 20_000_000
    assert load_model(LITE_WEIGHTS).config == LiteConfig()
    for beside in ("LICENSE", "README.md"):
        assert "NonCommercial" in (LITE_WEIGHTS.parent / beside).read_text()


def test_halved_weights_are_those_of_the_run_to_float16(tmp_path):
    torch.manual_seed(0)
    model = ScanSSC(MICRO)
    save_checkpoint(tmp_path / "run.safetensors", model.state_dict(), MICRO)
    halve_checkpoint(tmp_path / "run.safetensors", tmp_path / "half.safetensors")
    half = load_model(tmp_path / "half.safetensors")
    assert half.config == MICRO
    for name, value in model.state_dict().items():
        torch.testing.assert_close(half.state_dict()[name], value, rtol=1e-3 if value.ndim > 1 else 0, atol=1e-7)
    with safe_open(tmp_path / "half.safetensors", framework="pt") as file:
        assert file.get_tensor("head.layers.0.weight").dtype == torch.float16


def test_weights_beyond_float16_are_refused(tmp_path):
    state = ScanSSC(MICRO).state_dict()
    state["head.layers.0.weight"][0, 0, 0, 0, 0] = 1e6
    save_checkpoint(tmp_path / "run.safetensors", state, MICRO)
    with pytest.raises(ValueError, match=r"head\.layers\.0\.weight holds a weight beyond float16"):
        halve_checkpoint(tmp_path / "run.safetensors", tmp_path / "half.safetensors")
    assert not (tmp_path / "half.safetensors").exists()


def test_lower_empty_lowers_the_logit_of_empty_and_of_nothing_else(tmp_path):
    torch.manual_seed(0)
    model = Lite(MICRO_LITE)
    save_checkpoint(tmp_path / "run.safetensors", model.state_dict(), model.config)
    files = [str(tmp_path / name) for name in ("run.safetensors", "target.safetensors")]
    result = CliRunner().invoke(app, ["checkpoint", "lower-empty", *files, "--by", "0.75"])
    assert result.exit_code == 0 and "empty lowered by 0.75" in result.output
    before, after = model.state_dict(), load_model(tmp_path / "target.safetensors").state_dict()
    assert [name for name in before if not torch.equal(before[name], after[name])] == ["head.occupancy.bias"]
    torch.testing.assert_close(after["head.occupancy.bias"], before["head.occupancy.bias"] + 0.75)


def test_a_head_without_bias_cannot_be_changed(tmp_path):
    save_checkpoint(tmp_path / "run.safetensors", ScanSSC(MICRO).state_dict(), MICRO)
    with pytest.raises(ValueError, match=r"run\.safetensors: expected a lite model"):
        lower_empty(tmp_path / "run.safetensors", tmp_path / "target.safetensors", 0.75)
    assert not (tmp_path / "target.safetensors").exists()


def test_extracted_parts_are_those_that_training_starts_from_and_the_rest_is_random(tmp_path):
    torch.manual_seed(0)
    source, model = ScanSSC(MICRO), ScanSSC(MICRO)
    save_checkpoint(tmp_path / "run.safetensors", source.state_dict(), MICRO)
    files = [str(tmp_path / name) for name in ("run.safetensors", "parts.safetensors")]
    result = CliRunner().invoke(app, ["checkpoint", "extract", *files, "neck", "depth_net"])
    assert result.exit_code == 0 and "only neck, depth_net" in result.output
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert "neck" in initialize(model, files[1])
    for name, value in model.state_dict().items():
        is_extracted = name.startswith(("neck.", "depth_net."))
        assert torch.equal(value, (source.state_dict() if is_extracted else before)[name]), name


def test_a_part_that_is_not_there_cannot_be_extracted(tmp_path):
    save_checkpoint(tmp_path / "run.safetensors", ScanSSC(MICRO).state_dict(), MICRO)
    with pytest.raises(ValueError, match=r"run\.safetensors: no part nose in it; there are backbone, .*head"):
        extract_parts(tmp_path / "run.safetensors", tmp_path / "parts.safetensors", ["neck", "nose"])
    assert not (tmp_path / "parts.safetensors").exists()


def card_scores() -> list[float]:
    """IoU, precision, recall, mIoU, road, car on sequence 08, per cent."""
    card = (LITE_WEIGHTS.parent / "README.md").read_text()
    row = next(line for line in card.splitlines() if line.startswith("| real | **lite** |"))
    return [float(cell) for cell in row.split("|")[3:-1]]


def test_held_out_real_frames_score_as_the_card_says(kitti_mini, tmp_path):
    subprocess.run(
        [sys.executable, kitti_mini / "unpack.py", tmp_path, "--only", "08"], check=True, capture_output=True
    )
    pipeline = OccupancyPipeline(make_stereo_backend("sgm"), make_occupancy_backend("lite"), keep_unseen=True)
    metrics = SSCMetrics(SEMANTIC_KITTI.num_classes)
    labelled = Layout(tmp_path, "semantic_kitti").frames(["08"])
    for files, frame in zip(labelled, open_sequence(tmp_path / "sequences" / "08"), strict=True):
        assert frame.left_file == files.left
        labels = pipeline.run(frame.left_rgb, frame.right_rgb, frame.rig, frame.T_cam_velo).occupancy.labels
        metrics.update(torch.from_numpy(labels), torch.from_numpy(read_labels(files, "semantic_kitti")))
    scores = metrics.compute()
    road, car = (scores.class_iou[SEMANTIC_KITTI.id_of(name)] for name in ("road", "car"))
    columns = (scores.iou, scores.precision, scores.recall, scores.miou, road, car)
    assert [100 * float(score) for score in columns] == pytest.approx(card_scores(), abs=0.3)
    assert 100 * scores.iou > 51.5


def test_labelling_with_lite_leaves_the_compiler_of_pytorch_unloaded():
    program = (
        "import sys; from scanssc_core.runtime.backends import make_occupancy_backend\n"
        "from scanssc_core.runtime.pipeline import OccupancyPipeline\n"
        "OccupancyPipeline(None, make_occupancy_backend('lite', precision='auto')).warm_up()\n"
        "print([name for name in ('torch._dynamo', 'sympy') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"  # a second and 70 MB of every start
