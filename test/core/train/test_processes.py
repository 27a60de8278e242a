"""Two processes see what one process with twice the batch sees."""

import os
import socket
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import nn

from core.train.small import run
from scanssc_core.checkpoint.load import load_model
from scanssc_core.train.module import TrainingModule
from scanssc_core.train.run_log import read_log


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def become_process(rank: int, num_processes: int, port: int) -> None:
    """What torchrun sets."""
    torch.set_num_threads(1)
    torch.backends.mkldnn.enabled = False  # its kernels round a sample differently in batches of two and of four
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(num_processes),
        "LOCAL_WORLD_SIZE": str(num_processes),
        "GROUP_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "test",
    }
    rank_zero_only.rank = rank


def run_process(rank: int, num_processes: int, port: int, folder: Path, **train: object) -> None:
    """A run; gradients of the first step go to a file."""
    become_process(rank, num_processes, port)

    def keep_gradients(self: TrainingModule, optimizer: object) -> None:
        path = folder / f"gradients{rank}.pt"
        if not path.exists():
            torch.save({name: value.grad.clone() for name, value in self.model.named_parameters()}, path)

    TrainingModule.on_before_optimizer_step = keep_gradients
    nn.Dropout.forward = lambda self, x: x  # drawn for each process on its own
    run(folder, **train)


def in_processes(num_processes: int, task: Callable[[int, int, int], None]) -> None:
    """Run task(rank, num_processes, port) in each of so many processes."""
    fork, port = get_context("fork"), free_port()
    children = [fork.Process(target=task, args=(rank, num_processes, port)) for rank in range(num_processes)]
    for child in children:
        child.start()
    for child in children:
        child.join(timeout=100)
    assert [child.exitcode for child in children] == [0] * num_processes


def run_processes(num_processes: int, folder: Path, **train: object) -> None:
    folder.mkdir()
    in_processes(num_processes, partial(run_process, folder=folder, **train))


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("processes")
    run_processes(2, root / "two", batch_size=2, steps=3, validate_every=2)
    run_processes(1, root / "one", batch_size=4, steps=3, validate_every=2)
    return root / "two", root / "one"


def test_gradients_of_the_first_step_are_the_same(runs):
    two, one = (torch.load(folder / "gradients0.pt") for folder in runs)
    other = torch.load(runs[0] / "gradients1.pt")
    largest = max(float(gradient.abs().max()) for gradient in one.values())
    for name, gradient in one.items():
        assert torch.equal(two[name], other[name]), name
        assert torch.allclose(two[name], gradient, rtol=1e-3, atol=1e-5 * largest), name


def test_losses_and_scores_are_the_same(runs):
    two, one = (read_log(folder / "log.jsonl") for folder in runs)
    assert [line["step"] for line in two] == [1, 2, 2, 3, 3]
    for ours, theirs in zip(two, one, strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            assert ours[name] == pytest.approx(value, rel=2e-3), (name, ours["step"])
    assert two[0] == pytest.approx(one[0], rel=1e-5)


def test_running_statistics_are_those_of_the_global_batch(runs):
    two, one = (load_model(folder / "last.safetensors").state_dict() for folder in runs)
    for name, value in one.items():
        if name.endswith(("running_mean", "running_var")):
            assert torch.allclose(two[name], value, rtol=1e-2, atol=1e-3), name
