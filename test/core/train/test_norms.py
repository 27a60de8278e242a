import pytest
import torch
from torch import nn

from core.train.small import MICRO, Street, run
from scanssc_core.datasets.dataset import camera_of, collate
from scanssc_core.network.scanssc import ScanSSC
from scanssc_core.train.config import TrainConfig
from scanssc_core.train.norms import fill_camera_statistics, is_single_value, single_value_norms, synchronize_norms


@pytest.mark.parametrize(
    ("mode", "batch_size", "processes", "sync", "expected"),
    [
        ("auto", 1, 1, True, True),
        ("auto", 1, 4, True, False),
        ("auto", 1, 4, False, True),
        ("auto", 2, 1, True, False),
        ("eval", 2, 1, True, True),
        ("train", 1, 1, True, False),
    ],
)
def test_norms_of_a_single_value_stay_in_evaluation_mode(mode, batch_size, processes, sync, expected):
    config = TrainConfig(single_value_norms=mode, batch_size=batch_size, sync_norms=sync)
    assert is_single_value(config, processes) is expected


def test_batch_of_one_on_one_process_trains_and_says_what_it_does(tmp_path, caplog):
    caplog.set_level("INFO", logger="scanssc_core")
    module = run(tmp_path, batch_size=1, steps=2)
    assert "are kept in evaluation mode" in caplog.text
    for norm in single_value_norms(module.model):
        assert not norm.training and norm.num_batches_tracked == 0
    others = [norm for norm in module.model.modules() if isinstance(norm, nn.BatchNorm3d)]
    assert all(norm.num_batches_tracked == 2 for norm in others)


def test_batch_of_one_fails_where_the_norms_are_told_to_train(tmp_path):
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        run(tmp_path, batch_size=1, steps=2, single_value_norms="train")


def test_camera_statistics_center_the_cameras_of_the_data():
    model = ScanSSC(MICRO)
    cameras = [camera_of(collate([Street(5)[index]])) for index in range(5)]
    fill_camera_statistics(model, cameras)
    norm, _ = single_value_norms(model)
    vectors = torch.cat([norm.eval()(camera.vector()) for camera in cameras])
    assert torch.allclose(vectors.mean(dim=0), torch.zeros(33), atol=1e-4)
    assert torch.allclose(vectors[:, :2].std(dim=0, correction=0), torch.ones(2), atol=1e-4)
    assert bool(vectors[:, 2:].abs().max() < 1e-4)


def test_statistics_that_were_loaded_are_kept():
    model = ScanSSC(MICRO)
    norm, _ = single_value_norms(model)
    norm.running_mean += 3
    fill_camera_statistics(model, [camera_of(collate([Street(5)[0]]))])
    assert bool((norm.running_mean == 3).all() and (norm.running_var == 1).all())


def test_synchronized_norms_keep_the_state():
    model = ScanSSC(MICRO)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    synchronize_norms(model, torch.device("cpu"))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
