"""Learning rate over the run, as a factor of the highest one."""

import math

from scanssc_core.train.config import TrainConfig

_DROP = 0.1


def rate_factor(step: int, num_steps: int, config: TrainConfig) -> float:
    """Factor of the learning rate for the step-th of num_steps steps, counted from 0.

    drop: as published, constant and then a tenth. one_cycle: linear rise, then a cosine to zero.
    """
    if config.schedule == "drop":
        return _DROP if step >= round(config.drop_at * num_steps) else 1.0
    num_rising = max(1, round(config.warmup * num_steps))
    if step < num_rising:
        return (step + 1) / num_rising
    share = (step - num_rising) / max(1, num_steps - num_rising)
    return 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
