"""The switches of the paper's ablations: every variant runs, trains all its parameters, and is told apart."""

from dataclasses import replace

import pytest
import torch

from core.network.tiny import part_config
from core.train.small import MICRO, Street
from scanssc_core.checkpoint.files import save_checkpoint
from scanssc_core.checkpoint.load import load_model
from scanssc_core.datasets.dataset import camera_of, collate
from scanssc_core.network.config import ScanRules
from scanssc_core.network.scan.fusion import AverageFusion, LearnedVolumeFusion, LinearFusion, make_fusion
from scanssc_core.network.scan.scan_module import ScanModule
from scanssc_core.network.scanssc import ScanSSC

CONFIGS = {
    "no axis": replace(MICRO, scan=ScanRules(axes=())),
    "one axis": replace(MICRO, scan=ScanRules(axes=("width",))),
    "two axes": replace(MICRO, scan=ScanRules(axes=("depth", "width"))),
    "reversed": replace(MICRO, scan=ScanRules(reversed_axes=("height",))),
    "no mixing": replace(MICRO, has_mixing=False),
    "linear": replace(MICRO, fusion="linear"),
    "average": replace(MICRO, fusion="average"),
    "learned volume": replace(MICRO, fusion="learned_volume"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_parameter_of_a_variant_gets_a_gradient_and_its_file_is_read(name, tmp_path):
    torch.manual_seed(0)
    model = ScanSSC(CONFIGS[name]).train()
    batch = collate([Street(2)[0], Street(2)[1]])
    logits, depth_prob = model(batch["image"], batch["depth_m"], camera_of(batch))
    assert logits.shape == (2, 20, *MICRO.label_grid.shape)
    (logits.square().sum() + depth_prob.square().sum()).backward()
    assert [key for key, value in model.named_parameters() if value.grad is None] == []
    save_checkpoint(tmp_path / "variant.safetensors", model.state_dict(), model.config)
    assert load_model(tmp_path / "variant.safetensors").config == CONFIGS[name]


def test_a_reversed_scan_shows_near_voxels_what_is_far():
    torch.manual_seed(0)
    rules = ScanRules(axes=("depth",), reversed_axes=("depth",), depth_margin=0.0)
    module = ScanModule(part_config((8, 6, 4), channels=16, num_heads=4, scan=rules)).double().eval()
    volume = torch.randn(1, 8, 6, 4, 16, dtype=torch.float64)
    moved = volume.clone()
    moved[0, 3] += torch.randn(6, 4, 16)
    before, after = module(volume)["depth"], module(moved)["depth"]
    torch.testing.assert_close(after[:, 4:], before[:, 4:], rtol=0, atol=1e-12)
    assert not torch.allclose(after[:, :3], before[:, :3])


def test_fusions_do_what_their_names_say():
    first, second = torch.randn(2, 1, 4, 3, 2, 5).unbind(0)
    assert torch.allclose(AverageFusion()(first, second), (first + second) / 2)
    assert torch.allclose(LearnedVolumeFusion(2, (3, 2, 5))(first, second), (first + second) / 2)
    linear = LinearFusion(4, 2)
    voxel = torch.cat([first, second], dim=1)[0, :, 1, 1, 3]
    expected = linear.linear.weight[:, :, 0, 0, 0] @ voxel + linear.linear.bias
    assert torch.allclose(linear(first, second)[0, :, 1, 1, 3], expected, atol=1e-6)
    assert torch.equal(make_fusion(part_config(scan=ScanRules(axes=("depth",))))(first), first)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"axes": ("width", "depth")}, "in this order"),
        ({"axes": ("depth",), "reversed_axes": ("width",)}, "reversed_axes"),
        ({"width_margin": 1.5}, "width_margin"),
    ],
)
def test_rules_without_sense_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        ScanRules(**wrong)


def test_an_unknown_fusion_is_refused():
    with pytest.raises(ValueError, match="expected tri_feature, linear"):
        make_fusion(part_config(fusion="sum"))
