"""A run that was killed goes on as if nothing had happened; a disk that is full loses nothing."""

import errno
import os
import signal
from pathlib import Path

import pytest
import torch

from core.train.small import in_child, run
from scanssc_core.checkpoint.load import load_model
from scanssc_core.train.module import TrainingModule
from scanssc_core.train.run_log import read_log


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # forked children have no other
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, one_thread) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    run(folder, ema_decay=0.9, accumulate=2, batch_size=1, schedule="one_cycle")
    return folder


def interrupted_run(folder: Path) -> TrainingModule:
    return run(folder, ema_decay=0.9, accumulate=2, batch_size=1, schedule="one_cycle")


def kill_now() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def assert_same(folder: Path, reference: Path) -> None:
    assert read_log(folder / "log.jsonl") == read_log(reference / "log.jsonl")
    for name in ("last.safetensors", "best.safetensors"):
        ours, theirs = (load_model(path / name).state_dict() for path in (folder, reference))
        for key, value in theirs.items():
            assert torch.equal(ours[key], value), f"{name}: {key}"


@pytest.mark.parametrize("batch", [3, 8, 11])
def test_killed_in_mid_epoch_reaches_the_same_weights(tmp_path, uninterrupted, monkeypatch, batch):
    step = TrainingModule.training_step

    def killed_step(self, batch_, batch_idx):
        if self.num_batches == batch:
            kill_now()
        return step(self, batch_, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", killed_step)
        assert in_child(lambda: interrupted_run(tmp_path)) == -signal.SIGKILL
    interrupted_run(tmp_path)
    assert_same(tmp_path, uninterrupted)


def test_killed_in_mid_checkpoint_reaches_the_same_weights(tmp_path, uninterrupted, monkeypatch):
    save, num_saved = torch.save, []

    def killed_save(content, path):
        save(content, path)
        num_saved.append(path)
        if len(num_saved) == 4:
            with Path(path).open("r+b") as file:
                file.truncate(1000)
            kill_now()

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", killed_save)
        assert in_child(lambda: interrupted_run(tmp_path)) == -signal.SIGKILL
    assert list(tmp_path.glob(".*.ckpt.*"))
    interrupted_run(tmp_path)
    assert_same(tmp_path, uninterrupted)
    assert not list(tmp_path.glob(".*"))


def test_full_disk_names_the_file_and_loses_nothing(tmp_path, uninterrupted, monkeypatch):
    save, num_saved = torch.save, []

    def full_disk(content, path):
        num_saved.append(path)
        if len(num_saved) == 3:
            Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(content, path)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full_disk)
        with pytest.raises(OSError, match="cannot write .*ckpt: No space left"):
            interrupted_run(tmp_path)
    assert not list(tmp_path.glob(".*"))
    interrupted_run(tmp_path)
    assert_same(tmp_path, uninterrupted)


def test_another_configuration_is_refused(tmp_path, uninterrupted):
    with pytest.raises(ValueError, match="another configuration(.|\n)*train.learning_rate: was 0.0003, now 0.1"):
        run(uninterrupted, ema_decay=0.9, accumulate=2, batch_size=1, schedule="one_cycle", learning_rate=0.1)
