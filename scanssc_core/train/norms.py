"""Batch norms in training: over all processes, and where a batch holds a single value.

Two norms of the depth net see one value a sample: that of the camera vector and that of the pooled branch of the ASPP.
Batch statistics of one value do not exist, so with one sample in all they stay in evaluation mode.
"""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm

from scanssc_core.network.camera_inputs import CameraInputs
from scanssc_core.network.kinds import OccupancyNetwork
from scanssc_core.network.lite import Lite
from scanssc_core.network.scanssc import ScanSSC
from scanssc_core.train.config import TrainConfig


class CpuSyncBatchNorm(_BatchNorm):
    """Batch norm over all processes on the CPU, where torch's own SyncBatchNorm refuses to work."""

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        dims = [0, *range(2, input.dim())]
        shape = [1, -1] + [1] * (input.dim() - 2)
        count = input.numel() // input.shape[1] * dist.get_world_size()
        mean = all_reduce(input.sum(dims)) / count
        centered = input - mean.view(shape)
        variance = all_reduce(centered.square().sum(dims)) / count
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        with torch.no_grad():
            self.running_mean.lerp_(mean.detach(), self.momentum)
            self.running_var.lerp_(variance.detach() * count / (count - 1), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return centered * scale.view(shape) + self.bias.view(shape)


def synchronize_norms(model: nn.Module, device: torch.device) -> None:
    """Replace every batch norm by one that sees the samples of all processes; weights and names stay."""
    for name, child in model.named_children():
        if isinstance(child, _BatchNorm):
            setattr(model, name, _synchronized(child, device))
        else:
            synchronize_norms(child, device)


def _synchronized(norm: _BatchNorm, device: torch.device) -> nn.Module:
    if device.type != "cpu":
        return nn.SyncBatchNorm.convert_sync_batchnorm(norm)
    synchronized = CpuSyncBatchNorm(norm.num_features, norm.eps, norm.momentum)
    synchronized.load_state_dict(norm.state_dict())
    return synchronized


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """All batch norms of a model."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


def is_single_value(config: TrainConfig, num_processes: int) -> bool:
    """Whether the two norms that see one value a sample stay in evaluation mode."""
    num_values = config.batch_size * (num_processes if config.sync_norms else 1)
    return config.single_value_norms == "eval" or (config.single_value_norms == "auto" and num_values == 1)


def single_value_norms(model: OccupancyNetwork) -> tuple[_BatchNorm, ...]:
    """The norms of the camera vector and of the pooled branch; the lite network has neither."""
    if isinstance(model, Lite):
        return ()
    camera_norm: _BatchNorm = model.get_submodule("depth_net.mono.bn")  # type: ignore[assignment]
    pooled_norm: _BatchNorm = model.get_submodule("depth_net.mono.depth_conv.3.pooled.2")  # type: ignore[assignment]
    return camera_norm, pooled_norm


def fill_camera_statistics(model: ScanSSC, cameras: Iterable[CameraInputs]) -> None:
    """Give the norm of the camera vector the statistics of these cameras, if it has none yet.

    In evaluation mode it never learns any, and without them focal lengths of 700 would saturate the gates behind it.
    Entries that are the same for all cameras get variance 1.
    """
    norm, *_ = single_value_norms(model)
    assert norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None
    if bool((norm.running_var != 1).any()) or bool((norm.running_mean != 0).any()):
        return
    vectors = torch.cat([camera.vector() for camera in cameras]).double()
    variance = vectors.var(dim=0, correction=0)
    norm.running_mean.copy_(vectors.mean(dim=0))
    norm.running_var.copy_(torch.where(variance > 1e-12, variance, 1.0))
