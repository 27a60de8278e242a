"""Files of a run that are not what a run has written."""

import pytest
import torch

from scanssc_core.train.checkpoints import step_of
from scanssc_core.train.run_log import read_log


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no checkpoint"])
def test_a_checkpoint_that_cannot_be_read_is_named_in_one_line(tmp_path, content):
    path = tmp_path / "last.ckpt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"last\.ckpt is damaged or no checkpoint of a run") as caught:
        step_of(path)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_something_else_is_named(tmp_path):
    path = tmp_path / "last.ckpt"
    for content in ({"weights": torch.ones(2)}, [1], {"global_step": "three"}):
        torch.save(content, path)
        with pytest.raises(ValueError, match=r"last\.ckpt is damaged or no checkpoint of a run"):
            step_of(path)
    torch.save({"global_step": 3}, path)
    assert step_of(path) == 3


@pytest.mark.parametrize("content", [b"{\n", b"\xff\n", b"[" * 100_000 + b"\n"])
def test_a_log_that_cannot_be_read_is_named(tmp_path, content):
    (tmp_path / "log.jsonl").write_bytes(content)
    with pytest.raises(ValueError, match=r"log\.jsonl is not what a run has written"):
        read_log(tmp_path / "log.jsonl")
