"""What each part of the model costs: parameters, arithmetic and memory, counted on tensors without content."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from scanssc_core.network.config import ScanSSCConfig
from scanssc_core.network.lift.cross_attention import SeenVoxels
from scanssc_core.network.measured.fine_geometry import NUM_MEASURES
from scanssc_core.network.scanssc import ScanSSC

_PROPOSED = 0.035  # of the voxels, on a street of KITTI: about 9,000 of 262,144
_CAMERA_NUMBERS = 33


@dataclass(frozen=True)
class PartCost:
    """Cost of a part for one frame.

    Attributes:
        num_parameters: that are learned.
        num_flops: of convolutions and matrix products, two for a multiply-add; samples and norms are not counted.
        result_bytes: of what the part hands on, in float32.
    """

    num_parameters: int
    num_flops: int
    result_bytes: int


def num_published_constants(config: ScanSSCConfig) -> int:
    """Constants that the published code counts as parameters: the frustum's nodes, and three of each of three triples.

    They are 2,580,489 for SemanticKITTI: 142,979,902 learned parameters and these are its 145.56 million.
    """
    height, width = (size // config.stride for size in config.image_size)
    return config.num_bins * height * width * 3 + 9


def cost_by_part(config: ScanSSCConfig) -> dict[str, PartCost]:
    """Cost of every part, in the order of the data; the cross-attention for a usual number of proposals."""
    with torch.device("meta"):
        model = ScanSSC(config).eval()
        height, width = config.image_size
        count = _Counter()
        with torch.inference_mode():
            levels = count.run("backbone", model.backbone, torch.empty(1, 3, height, width))
            features = count.run("neck", model.neck, levels)
            if config.has_segmentation:
                count.run("segmentation", model.segmentation, features)
            camera = torch.empty(1, _CAMERA_NUMBERS)
            context, prob = count.run("depth_net", model.depth_net, features, camera, torch.empty(1, 1, height, width))
            if config.has_fine_geometry:
                measures = torch.empty(1, config.num_voxels, NUM_MEASURES * config.label_scale**3)
                told = {
                    name: count.run(f"fine_geometry.{name}", part, measures)
                    for name, part in model.fine_geometry.items()
                }
            count.run("volume_embedding", model.volume_embedding, torch.zeros(config.num_voxels, dtype=torch.int64))
            voxels = torch.empty(1, config.num_voxels, config.channels)
            count.run("prior_mlp", model.prior_mlp, voxels)
            N = round(_PROPOSED * config.num_voxels)
            seen = SeenVoxels(torch.zeros(N, dtype=torch.int64), torch.empty(N, 3), torch.ones(N, dtype=torch.bool))
            count.run("cross_attention", model.cross_attention, voxels[0, :N], context, prob, seen)
            voxels = count.run("self_attention", model.self_attention, voxels)
            volume = voxels.unflatten(1, config.grid.shape)
            fused = volume.permute(0, 4, 1, 2, 3)
            if model.scan is not None and model.fusion is not None:
                scanned = {
                    axis: lines.permute(0, 4, 1, 2, 3) for axis, lines in count.run("scan", model.scan, volume).items()
                }
                for axis, mixing in model.mixing.items():
                    scanned[axis] = count.run(f"mixing.{axis}", mixing, scanned[axis])
                fused = count.run("fusion", model.fusion, *scanned.values())
            if config.has_fine_geometry:
                fused = torch.cat([fused, told["head"].mT.unflatten(2, config.grid.shape)], dim=1)
            bins = torch.empty(1, config.label_scale**3, config.num_voxels, dtype=torch.uint8)
            count.run("head", model.head, fused, bins)
    return count.costs


class _Counter:
    """Runs parts and keeps what they cost."""

    def __init__(self) -> None:
        self.costs: dict[str, PartCost] = {}

    def run(self, name: str, part: nn.Module, *inputs: object) -> Any:
        """Call a part; what it gives is whatever it gives."""
        with FlopCounterMode(display=False) as counter:
            result = part(*inputs)
        self.costs[name] = PartCost(
            sum(parameter.numel() for parameter in part.parameters()), counter.get_total_flops(), _num_bytes(result)
        )
        return result


def _num_bytes(result: Tensor | Iterable[Tensor] | Mapping[str, Tensor]) -> int:
    if isinstance(result, Tensor):
        return result.numel() * result.element_size()
    return sum(_num_bytes(value) for value in (result.values() if isinstance(result, Mapping) else result))
