"""Right on CUDA, shown without a GPU: nothing is left on the host, and the host waits only where a reason is given."""

from contextlib import ExitStack

import numpy as np
import pytest
import torch
from cases.fake_cuda import CUDA, WaitRecorder, fake_cuda, on_cuda
from torch.optim import AdamW
from torch.utils.data import default_collate

from core.network.test_model_golden import small_camera
from core.network.tiny import TINY, TINY_LITE
from core.train.small import MICRO, MICRO_LITE, Street
from scanssc_core.checkpoint.files import save_checkpoint
from scanssc_core.evaluation.metrics import confusion_matrix
from scanssc_core.geometry import PinholeCamera, StereoRig
from scanssc_core.inference.optimize import optimized_for_inference
from scanssc_core.inference.precision import inference_in
from scanssc_core.losses.total import LossConfig
from scanssc_core.network.config import ScanSSCConfig
from scanssc_core.network.kinds import KINDS, make_network
from scanssc_core.network.lite import LiteConfig
from scanssc_core.occupancy.scanssc import ScanSSCBackend
from scanssc_core.stereo.mobilestereonet.backend import MobileStereoNetBackend
from scanssc_core.stereo.mobilestereonet.network import MobileStereoNet, MSNetConfig
from scanssc_core.train.config import RunConfig
from scanssc_core.train.module import TrainingModule

CONFIGS = {"scanssc": TINY, "lite": TINY_LITE}
CAMERA = PinholeCamera(353.5, 353.5, 301.0, 91.5, width=613, height=185)
T_CAM_GRID = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])

# Where the host waits for the device in every frame, and why it may.
WAITS_OF_A_FRAME = {
    ("network/labelling.py", "predict_labels", "item"): "whether all voxels had a place, when all is queued",
    ("inference/transfer.py", "to_host", "copy_"): "the labels go out: the end of the frame",
}
# ... and once for each new camera.
WAITS_OF_A_CAMERA = {
    ("network/camera_inputs.py", "to", "to"): "four small matrices",
    ("network/camera_inputs.py", "unprojection", "inverse"): "a singular projection must raise",
    ("network/camera_inputs.py", "_project", "inverse"): "a singular pose must raise",
    ("network/camera_inputs.py", "pixel_matrix", "inverse"): "the same",
    ("network/lift/lift_splat.py", "voxel_index", "to"): "corners of the grid",
    ("occupancy/scanssc.py", "_coarse_voxels", "to"): "voxels in view",
}
# What a frame waits for without places.
WAITS_WITHOUT_PLACES = {
    ScanSSCConfig: {("network/scanssc.py", "refine", "nonzero")},
    LiteConfig: {("network/lite.py", "_classes", "nonzero"), ("network/lite.py", "label", "item")},
}
# In a training step too, as the cameras of a batch are new, and:
WAITS_OF_A_TRAINING_STEP = WAITS_OF_A_CAMERA | {
    ("network/scanssc.py", "refine", "nonzero"): "places for the worst of a batch would cost more than the wait",
    ("losses/voxel_statistics.py", "voxel_statistics", "bincount"): "counts the labels ...",
    ("losses/voxel_statistics.py", "voxel_statistics", "item"): "... and refuses those that are no class",
    ("losses/depth_loss.py", "depth_loss", "index"): "cells with a LiDAR depth",
    ("losses/scan_loss.py", "forward", "to"): "order of a walk",
    ("losses/lite.py", "draw_voxels", "nonzero"): "occupied voxels to draw from ...",
    ("losses/lite.py", "draw_voxels", "index"): "... those of a teacher by chance",
}


def test_every_kind_of_network_is_tried():
    assert {name: type(config) for name, config in CONFIGS.items()} == KINDS


@pytest.fixture(params=list(CONFIGS))
def config(request):
    return CONFIGS[request.param]


@pytest.fixture(params=[torch.float32, torch.bfloat16, torch.float16])
def backend(request, config, tmp_path):
    """A backend on a fake CUDA device, optimised for it."""
    checkpoint = tmp_path / "weights.safetensors"
    network = make_network(config)
    save_checkpoint(checkpoint, network.state_dict(), config)
    backend = ScanSSCBackend(checkpoint, torch.device("cpu"), request.param)
    backend._model, backend._device = optimized_for_inference(network, CUDA, request.param), CUDA
    return backend


def run_frame(backend, wanted):
    """Label a frame; what waited for the device."""
    image, depth_m = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8), np.ones((CAMERA.height, CAMERA.width))
    with WaitRecorder() as recorder:
        occupancy = backend.predict(image, depth_m, CAMERA, T_CAM_GRID, wanted=wanted)
    assert occupancy.labels.shape == occupancy.confidence.shape == backend.grid.shape
    return recorder.waits


def test_a_frame_runs_on_the_device_and_waits_only_where_listed(backend):
    wanted = np.zeros(backend.grid.shape, bool)
    wanted[:10, :10, 0] = True
    with fake_cuda():
        on_cuda(backend._model)
        first, second = (run_frame(backend, wanted) for _ in range(2))
    assert second == WAITS_OF_A_FRAME.keys()
    assert first <= WAITS_OF_A_FRAME.keys() | WAITS_OF_A_CAMERA.keys()


def test_a_network_with_places_for_proposals_waits_for_nothing_and_has_fixed_shapes(config):
    network = optimized_for_inference(make_network(config), CUDA, torch.bfloat16)
    waits = {}
    with fake_cuda(), inference_in(torch.bfloat16, CUDA):
        tables = on_cuda(network).tables_of(small_camera())
        image, depth_m = (torch.ones(1, channels, *config.image_size, device=CUDA) for channels in (3, 1))
        for num_places in (network.num_places, None):
            with WaitRecorder() as recorder:
                network.label(image, depth_m, tables, num_places=num_places)
            waits[num_places] = recorder.waits
    assert waits == {network.num_places: set(), None: WAITS_WITHOUT_PLACES[type(config)]}


@pytest.mark.parametrize(("dims", "precision"), [(2, torch.float32), (3, torch.bfloat16)])
def test_depth_by_a_network_waits_for_its_result_alone(dims, precision):
    network = MobileStereoNet(MSNetConfig(dims=dims, max_disparity=64)).eval()
    backend = MobileStereoNetBackend(network, torch.device("cpu"), precision)
    backend._device = backend._inference._device = CUDA
    image, rig = np.zeros((45, 90, 3), np.uint8), StereoRig(PinholeCamera(50.0, 50.0, 45.0, 22.0, 90, 45), 0.54, 45.0)
    with fake_cuda():
        on_cuda(backend._inference._network)
        with WaitRecorder() as recorder:
            depth = backend.compute(image, image, rig)
    assert depth.depth_m.shape == image.shape[:2]
    assert recorder.waits == {("inference/transfer.py", "to_host", "copy_")}


@pytest.mark.parametrize("small", [MICRO, MICRO_LITE])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_training_step_runs_on_the_device_and_waits_only_where_listed(small, precision):
    is_lite = isinstance(small, LiteConfig)
    of_lite = LossConfig(depth=0.0, occupancy=1.0, sampled_voxels=50, segmentation=1.0, soft_teacher=0.5)
    loss = of_lite if is_lite else LossConfig()
    module = TrainingModule(make_network(small).train(), RunConfig(model=small, loss=loss), num_steps=10)
    module.log_losses = lambda losses: None  # it asks Lightning's trainer
    maps = {"segmentation": torch.zeros(small.image_size).byte()}
    maps["occupancy_prob"] = torch.zeros(small.label_grid.shape).byte()
    samples = [{**Street(2)[index], **maps} for index in range(2)]
    with fake_cuda(), ExitStack() as stack:
        on_cuda(module)
        batch = default_collate(samples)
        batch |= {name: value.to(CUDA) for name, value in batch.items() if torch.is_tensor(value)}
        recorder = stack.enter_context(WaitRecorder())
        optimizer = AdamW(module.parameters())
        with torch.autocast("cuda", precision, enabled=precision != torch.float32):
            total = module.training_step(batch, 0)
        assert total.device == CUDA
        # Autograd's engine wants a real device; the formulas that are ours are called by hand.
        nodes = own_gradients(total.grad_fn)
        assert nodes
        for node in nodes:
            outputs = [torch.empty(m.shape, dtype=m.dtype, device=CUDA) for m in node._input_metadata]
            gradient, *_ = node._forward_cls.backward(node, *outputs)
            assert gradient.device == CUDA
        for parameter in module.parameters():
            parameter.grad = torch.empty_like(parameter)
        optimizer.step()
    assert recorder.waits <= WAITS_OF_A_TRAINING_STEP.keys()


def own_gradients(root):
    """The nodes of a graph of gradients whose formulas are written in the package."""
    seen, waiting = set(), [root]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [following for following, _ in node.next_functions]
    return [node for node in seen if hasattr(node, "_forward_cls")]


def test_scores_are_counted_on_the_device():
    with fake_cuda(), WaitRecorder():
        predicted, labels = (torch.zeros(1, 4, 4, 4, dtype=torch.uint8, device=CUDA) for _ in range(2))
        assert confusion_matrix(predicted, labels, 20).device == CUDA
