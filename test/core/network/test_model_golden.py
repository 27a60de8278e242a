"""The whole model against the published code, and the checkpoint that gets the weights there."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.network.golden import camera, check_sampled, fill_model, load, published_state
from core.network.tiny import TINY
from golden.formula import depth_input, image_input, positions
from scanssc_core.checkpoint.load import convert_checkpoint, load_model
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.inference.optimize import optimized_for_inference
from scanssc_core.inference.precision import inference_in
from scanssc_core.network.camera_inputs import CameraInputs
from scanssc_core.network.config import kitti360, semantic_kitti
from scanssc_core.network.corrections import Corrections
from scanssc_core.network.lift.cross_attention import project_references
from scanssc_core.network.lift.depth_points import depth_to_points
from scanssc_core.network.lift.proposal import propose_voxels
from scanssc_core.network.scanssc import ScanSSC

SMALL_GRID = VoxelGridSpec((32, 32, 4), 1.6, (0.0, -25.6, -2.0))
SMALL = replace(semantic_kitti(), image_size=(96, 320), grid=SMALL_GRID)
# stage: largest and root-mean-square noise of the small model
SMALL_NOISE = {
    "neck": (5.6e-6, 4.0e-7),
    "context": (3.9e-6, 8.0e-7),
    "depth.prob": (8.7e-6, 1.9e-7),
    "self": (1.5e-4, 2.1e-6),
    "scan.depth": (1.8e-4, 5.5e-6),
    "scan.height": (4.4e-4, 5.4e-6),
    "scan.width": (2.3e-4, 5.7e-6),
    "fused": (2.7e-5, 2.0e-6),
    "logits": (4.6e-5, 5.2e-6),
}
FULL_NOISE = {
    "neck": (5.7e-5, 6.4e-6),
    "context": (3.7e-5, 8.2e-6),
    "depth.prob": (3.6e-5, 1.0e-6),
    "scan.depth": (7.3e-4, 3.5e-5),
    "scan.height": (8.0e-4, 2.6e-5),
    "scan.width": (9.2e-4, 4.4e-5),
    "fused": (1.8e-4, 1.3e-5),
    "logits": (4.5e-4, 3.7e-5),
}


def tapped(model):
    """Collects the stages of the next forward passes."""
    stages = {}
    model.neck.register_forward_hook(lambda module, args, out: stages.update(neck=out))
    model.depth_net.register_forward_hook(
        lambda module, args, out: stages.update({"context": out[0], "depth.prob": out[1]})
    )
    model.self_attention.register_forward_hook(lambda module, args, out: stages.update(self=out))
    model.scan.register_forward_hook(
        lambda module, args, out: stages.update({f"scan.{axis}": volume for axis, volume in out.items()})
    )
    model.fusion.register_forward_hook(lambda module, args, out: stages.update(fused=out))
    model.register_forward_hook(lambda module, args, out: stages.update(logits=out.logits))
    return stages


def inputs(name, size, batch=1):
    image, depth = torch.from_numpy(image_input(*size)), torch.from_numpy(depth_input(name, *size))
    return image.repeat(batch, 1, 1, 1), depth.repeat(batch, 1, 1, 1)


def small_camera():
    """KITTI's camera on the small image: scaled, not cropped."""
    full = camera(load("geometry"), "kitti.")
    scale = torch.diag(torch.tensor([320 / 1226, 320 / 1226, 1.0]))[None]
    crop = int(370 * 320 / 1226) - 96
    return CameraInputs(full.projection, full.T_grid_cam, scale, torch.tensor([[0.0, -crop, 0.0]]))


def repeat(one, batch):
    fields = (one.projection, one.T_grid_cam, one.image_rotation, one.image_translation)
    return CameraInputs(*(value.repeat(batch, *[1] * (value.ndim - 1)) for value in fields))


def test_small_model_equals_the_published_one_at_every_stage():
    data = load("small_train_step")
    model = fill_model(ScanSSC(SMALL))
    stages = tapped(model)
    with torch.no_grad():
        model(*inputs("kitti", (96, 320)), small_camera())
    for stage, (noise, rms) in SMALL_NOISE.items():
        check_sampled(stages[stage], data, stage, 20 * noise, 10 * rms)


@pytest.mark.slow
def test_full_model_with_a_published_checkpoint_gives_the_published_logits(tmp_path):
    """A Lightning file by formula -> converted -> loaded -> the golden logits."""
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in ScanSSC(semantic_kitti()).state_dict().items()}
    lightning = {"state_dict": {f"model.{name}": value for name, value in published_state(shapes).items()}}
    lightning["state_dict"]["model.img_view_transformer.dx"] = torch.full((3,), 0.4)
    torch.save({**lightning, "epoch": 3, "optimizer_states": []}, tmp_path / "published.ckpt")
    weights = convert_checkpoint(tmp_path / "published.ckpt", tmp_path / "ours.safetensors")
    assert weights.config == semantic_kitti() and weights.left_out == ("img_view_transformer.dx",)
    model = optimized_for_inference(load_model(tmp_path / "ours.safetensors"))  # the form that node and commands run

    data = load("full_semantic_kitti")
    the_camera = camera(load("geometry"), "kitti.")
    image, depth = inputs("kitti", (384, 1280))
    proposals = propose_voxels(depth_to_points(depth, the_camera), semantic_kitti().grid)
    np.testing.assert_array_equal(torch.nonzero(proposals[0]).squeeze(1).numpy(), data["proposal.index"])
    stages = tapped(model)
    with torch.inference_mode():
        logits = model(image, depth, the_camera).logits
    for stage, (noise, rms) in FULL_NOISE.items():
        check_sampled(stages[stage], data, stage, 10 * noise, 5 * rms)
    labels = logits[0].argmax(dim=0).numpy()
    differs = labels != data["argmax"]
    assert np.count_nonzero(differs) <= 100  # 26 measured; 20 between two correct orders of summation
    best, second = logits[0].topk(2, dim=0).values.numpy()
    assert (best - second)[differs].max(initial=0.0) < 1e-2
    rows = logits[0].flatten(1).T[positions(len(data["logits.rows"]), labels.size)].numpy()
    assert np.abs(rows - data["logits.rows"]).max() < 1e-2


@pytest.mark.cuda
@pytest.mark.parametrize(("precision", "most"), [(torch.float32, 100), (torch.bfloat16, 40_000)])
def test_full_model_on_a_gpu_gives_the_published_labels(precision, most):
    """In bfloat16 2 % of the labels may differ: the weights by formula are as good as random."""
    device = torch.device("cuda")
    model = optimized_for_inference(fill_model(ScanSSC(semantic_kitti())), device, precision).to(device)
    image, depth = (values.to(device) for values in inputs("kitti", (384, 1280)))
    with inference_in(precision, device):
        labels, _ = model.predict_labels(image, depth, camera(load("geometry"), "kitti."))
    assert np.count_nonzero(labels[0].cpu().numpy() != load("full_semantic_kitti")["argmax"]) <= most


@pytest.mark.slow
def test_full_kitti360_model_equals_the_published_one_within_the_noise_of_its_golden_run():
    """Wider than SemanticKITTI's: this input amplifies float32 rounding in the backbone some fifteen times more.

    Level 5 against float64, rms: 3.0e-4 by oneDNN, 3.1e-4 by the native kernels, where two correct runs of
    SemanticKITTI are 1.9e-5 apart. Its largest value: float64 47.7765, ours 47.7769 to 47.7786 by kernel and layout,
    golden 47.7801. Of the labels 574 to 636 differ, all with less than 0.021 between the two best logits. Our model in
    float64 differs from the golden run at 1,035 labels (gap up to 0.085, rms 1.8e-3): the golden run is further from
    the exact result than from ours.
    """
    data = load("golden_full_kitti360")
    model = fill_model(ScanSSC(kitti360()))
    with torch.inference_mode():
        logits = model(*inputs("kitti360", (384, 1408)), camera(load("geometry"), "kitti360.")).logits
    labels = logits[0].argmax(dim=0).numpy()
    differs = labels != data["argmax"]
    assert np.count_nonzero(differs) <= 1000
    best, second = logits[0].topk(2, dim=0).values.numpy()
    assert (best - second)[differs].max() < 5e-2
    rows = logits[0].flatten(1).T[positions(len(data["logits.rows"]), labels.size)].numpy()
    assert np.sqrt(np.mean((rows - data["logits.rows"]) ** 2)) < 2e-3


@pytest.mark.parametrize(("name", "config"), [("kitti", semantic_kitti()), ("kitti360", kitti360())])
def test_visibility_and_reference_points_are_equal_bit_by_bit(name, config):
    data = load("geometry")
    centers = torch.from_numpy(config.grid.centers().reshape(-1, 3)).float()
    references = project_references(
        centers, camera(data, f"{name}."), config.image_size, config.depth_range_m, Corrections()
    )
    expected = np.unpackbits(data[f"{name}.valid_packed"])[: len(centers)].astype(bool)
    np.testing.assert_array_equal(references.is_visible[0].numpy(), expected)
    rows = data[f"{name}.reference_rows"]
    sampled = references.points[0].numpy()[positions(len(rows), len(centers))]
    in_front = rows[:, 2] > 0
    np.testing.assert_allclose(sampled[in_front], rows[in_front], rtol=1e-4, atol=1e-4)


def test_number_of_parameters_is_the_published_one():
    with torch.device("meta"):
        model = ScanSSC(semantic_kitti())
    assert sum(parameter.numel() for parameter in model.parameters()) == 142_979_902


def test_batch_of_two_equals_two_batches_of_one():
    torch.manual_seed(0)
    model = ScanSSC(TINY).eval()
    image, depth = inputs("kitti", (96, 320), batch=2)
    image[1] *= 0.5
    depth[1] *= 1.3
    with torch.no_grad():
        both = model(image, depth, repeat(small_camera(), 2)).logits
        one_by_one = [model(image[i : i + 1], depth[i : i + 1], small_camera()).logits for i in range(2)]
    assert both.shape == (2, 20, 32, 16, 16)
    torch.testing.assert_close(both, torch.cat(one_by_one), rtol=1e-4, atol=1e-4)


def test_float64_agrees_with_float32():
    torch.manual_seed(0)
    model = ScanSSC(TINY).eval()
    image, depth = inputs("kitti", (96, 320))
    one = small_camera()
    with torch.no_grad():
        single = model(image, depth, one).logits
        fields = (one.projection, one.T_grid_cam, one.image_rotation, one.image_translation)
        double = model.double()(
            image.double(), depth.double(), CameraInputs(*(value.double() for value in fields))
        ).logits
    torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=1e-3)


def test_bfloat16_by_autocast_agrees_with_float32_up_to_its_few_digits():
    torch.manual_seed(0)
    model = ScanSSC(TINY).eval()
    image, depth = inputs("kitti", (96, 320))
    with torch.no_grad():
        expected = model(image, depth, small_camera()).logits
        with torch.autocast("cpu", torch.bfloat16):
            reduced = model(image, depth, small_camera()).logits.float()
    assert torch.isfinite(reduced).all()
    assert (reduced - expected).square().mean() < 1e-3 * expected.var()
    assert (reduced.argmax(dim=1) == expected.argmax(dim=1)).float().mean() > 0.95


def test_every_parameter_receives_a_finite_gradient():
    torch.manual_seed(0)
    model = ScanSSC(TINY).eval()
    model(*inputs("kitti", (96, 320)), small_camera()).logits.square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="image_size divisible by 32"):
        replace(SMALL, image_size=(100, 320))
