from dataclasses import replace

import pytest

from scanssc_core.train.config import RUN_CONFIGS, TrainConfig
from scanssc_core.train.schedule import rate_factor


@pytest.mark.parametrize(("name", "steps", "drop"), [("semantic_kitti", 25_000, 20_000), ("kitti360", 54_000, 44_000)])
def test_published_schedule_is_constant_and_then_a_tenth(name, steps, drop):
    train = RUN_CONFIGS[name]().train
    assert (train.steps, train.learning_rate, train.weight_decay) == (steps, 3e-4, 0.01)
    factors = [rate_factor(step, steps, train) for step in (0, drop - 1, drop, steps - 1)]
    assert factors == [1.0, 1.0, 0.1, 0.1]


def test_one_cycle_rises_to_the_highest_rate_and_falls_to_zero():
    train = replace(TrainConfig(), schedule="one_cycle", warmup=0.1)
    factors = [rate_factor(step, 100, train) for step in range(101)]
    assert factors[9] == factors[10] == 1.0
    assert factors[:10] == sorted(factors[:10])
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[55] == pytest.approx(0.5)
    assert factors[100] == pytest.approx(0)


@pytest.mark.parametrize("changes", [{"steps": 0}, {"warmup": 0.0}, {"ema_decay": 1.0}, {"gradient_clip": -1.0}])
def test_values_without_sense_are_refused(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        replace(TrainConfig(), **changes)
