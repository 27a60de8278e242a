"""Trades time for memory: activations inside the blocks are computed again in the backward pass."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from scanssc_core.network.kinds import OccupancyNetwork
from scanssc_core.network.lite import Lite


def checkpoint_activations(model: OccupancyNetwork) -> None:
    """Make the blocks of a model forget their activations. Weights and their names stay; results too."""
    if isinstance(model, Lite):
        raise ValueError("activation_checkpointing: the lite network has no use for it; leave it out")
    blocks: list[nn.Module] = [
        *(block for stage in model.backbone.stages for block in stage.children()),
        model.depth_net,
        *model.cross_attention.layers,
        *model.self_attention.layers,
        *(model.scan.blocks.values() if model.scan else ()),
        *model.mixing.values(),
        model.head,
    ]
    for block in blocks:
        plain = block.forward
        context = partial(_contexts, block)
        block.forward = partial(checkpoint, plain, use_reentrant=False, context_fn=context)


def _contexts(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """For the first computation and for the second, which must not count for the running statistics again."""
    return nullcontext(), _statistics_kept(block)


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
