import os

import pytest
import torch
from cases.command import scanssc
from safetensors import safe_open
from safetensors.torch import save
from typer.testing import CliRunner

from core.stereo.msnet_golden import check_disparity, image_pair, published_state
from core.stereo.msnet_golden import load as load_golden
from core.train.small import MICRO
from scanssc_core.checkpoint import load
from scanssc_core.checkpoint.files import save_checkpoint
from scanssc_core.checkpoint.load import convert_checkpoint, load_model, load_stereo_network
from scanssc_core.checkpoint.torch_file import read_state_dict
from scanssc_core.cli.checkpoint import checkpoint_app
from scanssc_core.network.scanssc import ScanSSC
from scanssc_core.runtime.backends import make_stereo_backend


def write_published(path, dims: int, change=lambda state: state):
    """A file as MobileStereoNet's training writes it, with formula weights."""
    state = {f"module.{name}": value for name, value in published_state(dims).items()}
    optimizer = {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]}
    torch.save({"epoch": 19, "model": change(state), "optimizer": optimizer}, path)
    return path


@pytest.mark.parametrize("dims", [2, 3])
def test_published_file_converts_loads_and_gives_the_golden_disparity(dims, tmp_path):
    published = write_published(tmp_path / "published.ckpt", dims)
    assert convert_checkpoint(published, tmp_path / "ours.safetensors").config.dims == dims
    left, right, _ = image_pair(96, 320)
    expected = load_golden(f"msnet{dims}d_96x320")["disparity"]
    backend = make_stereo_backend(f"msnet{dims}d", tmp_path / "ours.safetensors")
    backend._padded_to = (96, 320)
    check_disparity(backend.estimate(left, right).disparity_px[0].numpy(), expected)


@pytest.mark.parametrize("dims", [2, 3])
def test_published_file_and_converted_one_hold_the_same_weights(dims, tmp_path):
    published = write_published(tmp_path / "published.ckpt", dims)
    convert_checkpoint(published, tmp_path / "ours.safetensors")
    first, second = load_stereo_network(published), load_stereo_network(tmp_path / "ours.safetensors")
    assert first.config == second.config
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    assert len(first.state_dict()) == len(published_state(dims))


def test_converted_file_says_what_it_is(tmp_path):
    convert_checkpoint(write_published(tmp_path / "published.ckpt", 2), tmp_path / "ours.safetensors")
    with safe_open(tmp_path / "ours.safetensors", framework="pt") as file:
        assert file.metadata()["kind"] == "mobilestereonet"
        assert '"dims": 2' in file.metadata()["config"]


def test_the_command_says_which_backend_the_file_is_for(tmp_path):
    published, target = write_published(tmp_path / "published.ckpt", 3), tmp_path / "ours.safetensors"
    result = CliRunner().invoke(checkpoint_app, ["convert", str(published), str(target)])
    assert result.exit_code == 0 and "backend msnet3d" in result.stdout
    assert load_stereo_network(target).config.dims == 3
    assert "backend msnet3d" in scanssc("info", target).out


def test_networks_are_not_taken_for_each_other(tmp_path):
    save_checkpoint(tmp_path / "scanssc.safetensors", ScanSSC(MICRO).state_dict(), MICRO)
    with pytest.raises(ValueError, match=r"scanssc\.safetensors holds weights of ScanSSC .*expected .*MobileStereoNet"):
        load_stereo_network(tmp_path / "scanssc.safetensors")
    published = write_published(tmp_path / "published.ckpt", 2)
    with pytest.raises(ValueError, match=r"published\.ckpt holds weights of the stereo network msnet2d"):
        load_model(published)


def test_converted_files_of_before_are_read(tmp_path):
    convert_checkpoint(write_published(tmp_path / "published.ckpt", 2), tmp_path / "ours.safetensors")
    with safe_open(tmp_path / "ours.safetensors", framework="pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        metadata = file.metadata() | {"format": "scanssc-stereo-1"}
    (tmp_path / "former.safetensors").write_bytes(save(state, metadata))
    assert load_stereo_network(tmp_path / "former.safetensors").config.dims == 2


def test_published_file_is_read_once(tmp_path, monkeypatch):
    published = write_published(tmp_path / "published.ckpt", 2)
    reads = []
    monkeypatch.setattr(load, "read_state_dict", lambda path: reads.append(path) or read_state_dict(path))
    convert_checkpoint(published, tmp_path / "ours.safetensors")
    load_stereo_network(published)
    assert reads == [published, published]


def without(name):
    return lambda state: {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without("module.dres0.0.conv.0.weight"), "missing entry.0.expand.0.weight"),
        (lambda state: state | {"module.extra.weight": torch.zeros(1)}, "unknown extra.weight"),
        (lambda state: state | {"module.classif3.2.weight": torch.zeros(1, 32, 3, 3, 1)}, "heads.3.2.weight: expected"),
    ],
)
def test_weights_that_do_not_fit_are_named(change, reason, tmp_path):
    path = write_published(tmp_path / "published.ckpt", 3, change)
    with pytest.raises(ValueError, match=f"published.ckpt: 1 entries(.|\n)*{reason}"):
        convert_checkpoint(path, tmp_path / "ours.safetensors")
    assert not (tmp_path / "ours.safetensors").exists()


class _RunsCode:
    def __reduce__(self):
        return os.mkdir, ("should_not_be_made",)


def test_a_file_that_carries_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_published(tmp_path / "hostile.ckpt", 3, lambda state: {**state, "module.x": _RunsCode()})
    with pytest.raises(ValueError, match="hostile.ckpt.*x is no plain tensor"):
        load_stereo_network(path)
    assert not (tmp_path / "should_not_be_made").exists()


@pytest.mark.parametrize("content", [b"", b"no torch file"])
def test_a_file_that_is_none_is_refused(content, tmp_path):
    path = tmp_path / "some.ckpt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="some.ckpt"):
        load_stereo_network(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere.ckpt"):
        load_stereo_network(tmp_path / "nowhere.ckpt")


def test_the_parameter_that_lacks_weights_is_named():
    with pytest.raises(ValueError, match="msnet3d needs weights: set stereo_checkpoint"):
        make_stereo_backend("msnet3d")


def test_weights_of_the_other_network_are_refused(tmp_path):
    with pytest.raises(ValueError, match="msnet3d was asked for, but stereo_checkpoint .* holds weights of msnet2d"):
        make_stereo_backend("msnet3d", write_published(tmp_path / "published.ckpt", 2))
