"""The model as a graph: torch.export gives the same numbers on real inputs, and takes the full size without data."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from core.network.test_model_golden import inputs, small_camera
from core.network.tiny import TINY
from scanssc_core.network.camera_inputs import CameraInputs
from scanssc_core.network.config import semantic_kitti
from scanssc_core.network.scanssc import ScanSSC


class OfTensors(nn.Module):
    """The model with the camera as plain tensors, as exported graphs want it."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, image, depth_m, *camera):
        return self.model(image, depth_m, CameraInputs(*camera)).logits


@pytest.mark.slow
def test_small_model_exports_and_computes_the_same():
    torch.manual_seed(0)
    model = OfTensors(ScanSSC(TINY).eval())
    arguments = (*inputs("kitti", (96, 320)), *vars(small_camera()).values())
    with torch.no_grad():
        exported = torch.export.export(model, arguments, strict=False)
        torch.testing.assert_close(exported.module()(*arguments), model(*arguments), rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_full_model_exports_without_data():
    with torch.device("meta"):
        model = OfTensors(ScanSSC(semantic_kitti()).eval())
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        model.to_empty(device="cpu")
        camera = (torch.eye(4)[None], torch.eye(4)[None], torch.eye(3)[None], torch.zeros(1, 3))
        exported = torch.export.export(
            model, (torch.zeros(1, 3, 384, 1280), torch.ones(1, 1, 384, 1280), *camera), strict=False
        )
    (output,) = (node for node in exported.graph.nodes if node.op == "output")
    assert output.args[0][0].meta["val"].shape == (1, 20, 256, 256, 32)
