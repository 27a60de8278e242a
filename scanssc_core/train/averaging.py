"""Moving average of a model's weights and running statistics.

Lightning's WeightAveraging would not do: it averages the whole training module, the counts of its metrics among it, and
stores other names, which no interrupted run could go on from.
"""

from copy import deepcopy

import torch

from scanssc_core.network.kinds import OccupancyNetwork


class AveragedWeights(torch.nn.Module):
    """A copy of a model that follows it slowly; early in a run faster, so that it forgets the start.

    Args:
        decay: kept of the average in each step, once it is long.
    """

    num_updates: torch.Tensor

    def __init__(self, model: OccupancyNetwork, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.model: OccupancyNetwork = deepcopy(model).requires_grad_(False).eval()
        self.register_buffer("num_updates", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update(self, model: OccupancyNetwork) -> None:
        """Move the average towards the model, after each of its steps."""
        self.num_updates += 1
        count = int(self.num_updates)
        weight = 1 - min(self.decay, (1 + count) / (10 + count))
        current = model.state_dict()
        for name, average in self.model.state_dict().items():
            if average.is_floating_point():
                average.lerp_(current[name], weight)
            else:
                average.copy_(current[name])
