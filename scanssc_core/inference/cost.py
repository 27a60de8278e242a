"""What each part of a network costs: parameters, arithmetic and memory."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from scanssc_core.network.camera_inputs import CameraInputs
from scanssc_core.network.config import ScanSSCConfig
from scanssc_core.network.kinds import OccupancyConfig, OccupancyNetwork, make_network


@dataclass(frozen=True)
class PartCost:
    """Cost of a part for one frame.

    Attributes:
        num_parameters: that are learned.
        num_flops: of convolutions and matrix products, two for a multiply-add; samples and norms are not counted.
        result_bytes: of what the part hands on.
        traffic_bytes: that its operators read and write, each for itself: what no cache holds and no compiler fuses.
    """

    num_parameters: int
    num_flops: int
    result_bytes: int
    traffic_bytes: int


def num_published_constants(config: ScanSSCConfig) -> int:
    """Constants that the published code counts as parameters: the frustum's nodes, and three of each of three triples.

    They are 2,580,489 for SemanticKITTI: 142,979,902 learned parameters and these are its 145.56 million.
    """
    height, width = (size // config.stride for size in config.image_size)
    return config.num_bins * height * width * 3 + 9


def usual_cost(config: OccupancyConfig) -> dict[str, PartCost]:
    """Cost of every part of a network for a usual frame, counted on tensors without content."""
    height, width = config.image_size
    with torch.device("meta"):
        network = make_network(config).eval().to("meta")
        camera = CameraInputs(torch.empty(1, 4, 4), torch.empty(1, 4, 4), torch.empty(1, 3, 3), torch.empty(1, 3))
        return cost_by_part(network, torch.empty(1, 3, height, width), torch.empty(1, 1, height, width), camera)


def cost_by_part(
    network: OccupancyNetwork, image: Tensor, depth_m: Tensor, camera: CameraInputs
) -> dict[str, PartCost]:
    """Cost of every part for these inputs, in the order in which they run.

    Args:
        network: plain, or optimised for inference; on `meta` nothing is computed, and the cross-attention is counted
            for a usual number of proposed voxels. Of lite without the classes, which are asked where something is.
        image, depth_m, camera: see ScanSSC.forward.
    """
    parts = {name: part for name, part in _parts(network) if any(True for _ in part.parameters())}
    result_bytes: dict[str, int] = {}
    traffic = _Traffic()
    hooks = [
        part.register_forward_hook(
            lambda _, __, result, name=name: result_bytes.update({name: result_bytes.get(name, 0) + _num_bytes(result)})
        )
        for name, part in parts.items()
    ]
    for name, part in parts.items():
        hooks += [
            part.register_forward_pre_hook(lambda *_, name=name: traffic.begin(name)),
            part.register_forward_hook(lambda *_: traffic.end()),
        ]
    one_dnn = torch.ops.mkldnn._convolution_pointwise
    counter = FlopCounterMode(display=False, custom_mapping={one_dnn: _convolution_flops})
    try:
        with torch.no_grad(), _UsualProposals(), counter, traffic:  # inference mode would hide steps of an operator
            network(image, depth_m, camera)
    finally:
        for hook in hooks:
            hook.remove()
    flops = {name: sum(counts.values()) for name, counts in counter.get_flop_counts().items()}
    root = type(network).__name__
    return {
        name: PartCost(
            sum(p.numel() for p in parts[name].parameters()),
            flops.get(f"{root}.{name}", 0),
            num_bytes,
            traffic.num_bytes.get(name, 0),
        )
        for name, num_bytes in result_bytes.items()
    }


def _parts(network: nn.Module) -> Iterable[tuple[str, nn.Module]]:
    """The parts of a network by name; of a dictionary of parts each for itself."""
    for name, child in network.named_children():
        if isinstance(child, nn.ModuleDict):
            yield from ((f"{name}.{key}", part) for key, part in child.items())
        else:
            yield name, child


class _UsualProposals(TorchDispatchMode):
    """Says of tensors without content that a usual share is not zero: of all voxels, those that are proposed."""

    _SHARE = 0.035  # on a street of KITTI: about 9,000 of 262,144 voxels

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.nonzero.default and args[0].device.type == "meta":
            return args[0].new_empty(round(self._SHARE * args[0].numel()), args[0].ndim, dtype=torch.int64)
        return func(*args, **(kwargs or {}))


class _Traffic(TorchDispatchMode):
    """Adds up what the operators of the part that runs read and write; views cost nothing.

    Attributes:
        num_bytes: by part; of what runs between the parts under the empty name.
    """

    def __init__(self) -> None:
        super().__init__()
        self.num_bytes: dict[str, int] = {}
        self._parts = [""]

    def begin(self, name: str) -> None:
        """A part begins."""
        self._parts.append(name)

    def end(self) -> None:
        """The part that runs ends."""
        self._parts.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        returned = func._schema.returns
        is_view = any(entry.alias_info is not None and not entry.alias_info.is_write for entry in returned)
        if not is_view:
            tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
            part = self._parts[-1]
            self.num_bytes[part] = self.num_bytes.get(part, 0) + sum(map(_num_bytes, tensors))
        return result


def _convolution_flops(x_shape: Any, weight_shape: Any, *_: object, out_shape: Any = None, **__: object) -> int:
    """Of oneDNN's own convolutions, which torch's counter does not know."""
    return conv_flop_count(x_shape, weight_shape, out_shape)


def _num_bytes(result: Tensor | Iterable[Tensor] | Mapping[str, Tensor]) -> int:
    if isinstance(result, Tensor):
        return result.numel() * result.element_size()
    return sum(_num_bytes(value) for value in (result.values() if isinstance(result, Mapping) else result))
