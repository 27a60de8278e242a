"""Training learns, and what it learned is what is exported."""

from dataclasses import replace

import pytest
import torch

from core.train.small import MICRO, MICRO_LITE, SCANNING_LITE, Street, run, run_config
from scanssc_core.checkpoint.files import save_checkpoint
from scanssc_core.checkpoint.load import load_model
from scanssc_core.datasets.dataset import camera_of, collate
from scanssc_core.evaluation.metrics import SSCMetrics
from scanssc_core.losses.segmentation import segmentation_loss
from scanssc_core.losses.total import LossConfig
from scanssc_core.network.lite import Lite, LiteConfig
from scanssc_core.network.scanssc import ScanSSC
from scanssc_core.train.config import RunConfig
from scanssc_core.train.initial_weights import initialize
from scanssc_core.train.module import TrainingModule
from scanssc_core.train.norms import batch_norms
from scanssc_core.train.objectives import losses_of
from scanssc_core.train.run import train
from scanssc_core.train.run_log import read_log


@pytest.fixture(scope="module")
def overfitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("overfitted")
    config = run_config(steps=60, batch_size=1, learning_rate=1e-2, validate_every=0, checkpoint_every=100)
    return folder, train(config, folder, [Street(1)], Street(1), torch.device("cpu"))


def test_one_frame_is_overfitted(overfitted):
    folder, _ = overfitted
    log = read_log(folder / "log.jsonl")
    first, last = (line["loss/total"] for line in (log[0], log[-2]))
    assert last < 0.4 * first
    assert log[-1]["val/iou"] > 0.8
    assert log[-1]["val/class_iou/road"] > 0.8


def test_exported_weights_score_as_the_validation_said(overfitted):
    folder, _ = overfitted
    model = load_model(folder / "best.safetensors")
    metrics, batch = SSCMetrics(MICRO.num_classes), collate([Street(1)[0]])
    with torch.inference_mode():
        logits = model(batch["image"], batch["depth_m"], camera_of(batch)).logits
    metrics.update(logits.argmax(dim=1), batch["labels"])
    expected = read_log(folder / "log.jsonl")[-1]
    assert metrics.compute().iou == pytest.approx(expected["val/iou"], abs=1e-6)
    assert metrics.compute().miou == pytest.approx(expected["val/miou"], abs=1e-6)


def test_weight_of_a_sample_multiplies_its_loss(overfitted):
    _, module = overfitted
    batch = collate([Street(2)[0], Street(2)[1]])
    with torch.no_grad():
        arguments = (module.config.loss, module.class_weights)
        both = losses_of(module.model, batch | {"weight": torch.tensor([2.0, 0.5])}, *arguments)["total"]
        alone = [
            losses_of(module.model, batch | {"weight": torch.tensor(w)}, *arguments)["total"]
            for w in ([1.0, 0], [0, 1.0])
        ]
    torch.testing.assert_close(both, 2 * alone[0] + 0.5 * alone[1])


def test_the_average_is_what_is_validated_and_exported(tmp_path):
    module = run(tmp_path, ema_decay=0.9, steps=2, validate_every=0)
    exported = load_model(tmp_path / "last.safetensors").state_dict()
    averaged, trained = module.averaged.model.state_dict(), module.model.state_dict()
    assert all(torch.equal(exported[name], averaged[name]) for name in exported)
    assert not torch.equal(exported["head.layers.0.weight"], trained["head.layers.0.weight"])


def test_training_starts_from_a_checkpoint_and_says_what_was_loaded(tmp_path):
    source = ScanSSC(MICRO)
    state = source.state_dict()
    save_checkpoint(tmp_path / "start.safetensors", state, MICRO)
    model = ScanSSC(MICRO)
    message = initialize(model, str(tmp_path / "start.safetensors"))
    assert f"loaded {len(state)} entries of backbone, " in message
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_a_start_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no .* at .*missing\.safetensors"):
        initialize(ScanSSC(MICRO), str(tmp_path / "missing.safetensors"))


def lite_module(num_voxels: int, model: LiteConfig = MICRO_LITE) -> TrainingModule:
    loss = LossConfig(depth=0.0, occupancy=1.0, sampled_voxels=num_voxels)
    torch.manual_seed(0)
    return TrainingModule(Lite(model).eval(), RunConfig(model=model, loss=loss), num_steps=1)


def test_lite_losses_of_all_occupied_voxels_drawn_are_those_without_a_draw():
    batch = collate([Street(2)[0], Street(2)[1]])
    terms = []
    for num_voxels in (0, 10_000):
        module = lite_module(num_voxels)
        module.log_losses = terms.append
        torch.manual_seed(0)
        module.training_step(batch, 0)
    assert set(terms[0]) > {"occupancy", "cross_entropy", "scan_depth"}
    for name in terms[0]:
        torch.testing.assert_close(terms[1][name], terms[0][name], rtol=1e-5, atol=1e-6)


def test_one_frame_is_overfitted_by_the_lite_model(tmp_path):
    loss = LossConfig(depth=0.0, occupancy=1.0, teacher=0.6)
    settings = run_config(steps=80, batch_size=2, learning_rate=1e-2, validate_every=0, checkpoint_every=100).train
    config = RunConfig(model=MICRO_LITE, loss=loss, train=settings)
    train(config, tmp_path, [Street(1)], Street(1), torch.device("cpu"))
    log = read_log(tmp_path / "log.jsonl")
    assert log[-2]["loss/total"] < 0.4 * log[0]["loss/total"]
    assert log[-1]["val/iou"] > 0.8
    assert log[-1]["val/class_iou/road"] > 0.8
    assert load_model(tmp_path / "best.safetensors").config == MICRO_LITE


@pytest.mark.parametrize(
    "loss", [LossConfig(sampled_voxels=8), LossConfig(segmentation=1.0), LossConfig(occupancy=1.0)]
)
def test_losses_of_the_lite_model_alone_are_refused_for_the_published_one(loss):
    with pytest.raises(ValueError, match="only the lite model"):
        RunConfig(model=MICRO, loss=replace(loss, depth=0.0))


def test_losses_of_the_published_model_alone_are_refused_for_lite():
    of_others = {"is_distance_weighted": True}, {"depth_target": "metric"}
    for loss in (LossConfig(), *(LossConfig(depth=0.0, **change) for change in of_others)):
        with pytest.raises(ValueError, match="the lite model does not have"):
            RunConfig(model=MICRO_LITE, loss=loss)


def test_segmentation_loss_is_the_cross_entropy_of_the_known_pixels():
    torch.manual_seed(0)
    logits, classes = torch.randn(1, 5, 4, 6), torch.full((1, 4, 6), 255, dtype=torch.uint8)
    classes[0, 1, 2], classes[0, 3, 5] = 4, 0
    expected = -(logits[0, :, 1, 2].log_softmax(0)[4] + logits[0, :, 3, 5].log_softmax(0)[0]) / 2
    torch.testing.assert_close(segmentation_loss(logits, classes), expected)
    assert segmentation_loss(logits, torch.full_like(classes, 255)) == 0


def test_frozen_norms_keep_their_statistics(tmp_path):
    module = run(tmp_path, steps=2, frozen_norms=True)
    norms = batch_norms(module.model)
    assert norms and all(norm.num_batches_tracked == 0 and not norm.training for norm in norms)


@pytest.mark.parametrize(("precision", "is_fused"), [("bfloat16", False), ("float32", True)])
def test_the_fused_attention_is_left_out_where_its_gradient_is_slow(precision, is_fused):
    batch = collate([Street(1)[0]])
    module = lite_module(10, SCANNING_LITE)
    module.config = replace(module.config, train=replace(module.config.train, precision=precision))
    module.log_losses = lambda losses: None
    with (
        torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"),
        torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile,
    ):
        module.training_step(batch, 0)
    names = {event.name for event in profile.events()}
    assert any("scaled_dot_product" in name for name in names)
    assert any("flash_attention" in name for name in names) == is_fused
