"""Checkpoints of ../shared/cases: what index.tsv calls right."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cases.command import scanssc

from scanssc_core.runtime.backends import make_occupancy_backend


def refused(path: Path) -> str:
    """What `scanssc info` says, once: a refusal with the file's name."""
    result = scanssc("info", path)
    assert result.status == 1 and result.err.startswith("error: ") and str(path) in result.err
    return result.err


def module_prefix(path: Path, _: Path) -> None:
    """Its only entry is recognised, as an entry of another size than the neck's."""
    assert "neck.levels.0.0.weight: expected (128, " in refused(path)


def truncated(path: Path, _: Path) -> None:
    assert "is damaged or incomplete" in refused(path)


def folder(path: Path, _: Path) -> None:
    assert "is a folder" in refused(path)
    with pytest.raises(ValueError, match="is a folder; expected a checkpoint file"):  # what the node lists
        make_occupancy_backend("semantic_kitti", path)


def newer_metadata(path: Path, _: Path) -> None:
    text = refused(path)
    assert "new_field" in text and text.count("\n") == 1


def broken_metadata(path: Path, _: Path) -> None:
    assert "metadata is no JSON" in refused(path)


CASES: dict[str, Callable[[Path, Path], None]] = {
    "checkpoints/module_prefix.ckpt": module_prefix,
    "checkpoints/truncated.ckpt": truncated,
    "checkpoints/folder.ckpt": folder,
    "checkpoints/meta_future.safetensors": newer_metadata,
    "checkpoints/meta_broken.safetensors": broken_metadata,
}
