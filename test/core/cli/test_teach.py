"""`scanssc data teach`: what a network says of the occupancy, in files to learn from."""

from dataclasses import replace

import pytest
import torch
from cases.command import scanssc

from core.cli.conftest import CONFIG
from core.train.small import MICRO, MICRO_LITE
from scanssc_core.checkpoint.files import save_checkpoint
from scanssc_core.checkpoint.load import load_model
from scanssc_core.datasets.dataset import camera_of, collate, open_dataset
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.network.kinds import make_network

LITE = replace(MICRO_LITE, label_grid=VoxelGridSpec.semantic_kitti())


@pytest.fixture
def root(data, tmp_path):
    """The data set with folders of its own to write into."""
    for sequence in ("00", "08", "11"):
        folder = tmp_path / "sequences" / sequence
        folder.mkdir(parents=True)
        for path in (data / "sequences" / sequence).iterdir():
            (folder / path.name).symlink_to(path)
    (tmp_path / "depth").symlink_to(data / "depth")
    return tmp_path


@pytest.mark.parametrize("config", [LITE, CONFIG], ids=["lite", "scanssc"])
def test_probabilities_of_labelled_frames_are_those_of_the_network(config, root):
    torch.manual_seed(0)
    checkpoint = root / "weights.safetensors"
    save_checkpoint(checkpoint, make_network(config).state_dict(), config)
    result = scanssc("data", "teach", root, "--model", checkpoint, "--device", "cpu")
    assert not result.status and "2 files of probabilities written, 0 were there" in result.out
    assert not (root / "sequences" / "11" / "occupancy_prob").exists()
    network = load_model(checkpoint)
    options = {"corrections": config.corrections, "with_occupancy_prob": True}
    sample = open_dataset(root, "semantic_kitti", ["00"], config.image_size, **options)[0]
    batch = collate([sample])
    with torch.no_grad():
        output = network(batch["image"], batch["depth_m"], camera_of(batch))
    if config is LITE:
        expected = output.occupancy.sigmoid()[0].permute(0, 2, 1, 3, 4).reshape(256, 256, 32)
    else:
        expected = output.logits.softmax(dim=1)[0, 1:].sum(dim=0)
    assert (sample["occupancy_prob"] / 254 - expected).abs().max() < 0.51 / 254 + 1e-3


def test_an_interrupted_run_goes_on_and_shards_share_the_frames(root):
    torch.manual_seed(0)
    checkpoint = root / "weights.safetensors"
    save_checkpoint(checkpoint, make_network(LITE).state_dict(), LITE)
    arguments = ("data", "teach", root, "--model", checkpoint, "--device", "cpu")
    for shard in ("0/2", "1/2"):
        assert "1 files of probabilities written" in scanssc(*arguments, "--shard", shard).out
    (root / "sequences" / "08" / "occupancy_prob" / "000000.npz").unlink()
    assert "1 files of probabilities written, 1 were there" in scanssc(*arguments).out
    result = scanssc(*arguments, "--precision", "bfloat16")
    assert result.status and "made otherwise (precision: float32); asked for: precision: bfloat16" in result.err


def test_a_network_of_another_grid_is_refused(root):
    checkpoint = root / "weights.safetensors"
    save_checkpoint(checkpoint, make_network(MICRO).state_dict(), MICRO)
    result = scanssc("data", "teach", root, "--model", checkpoint, "--device", "cpu")
    assert result.status and "expected a network that labels VoxelGridSpec(shape=(256, 256, 32)" in result.err
