"""Fixed numbers of places for the voxels that are looked at closely: the results of as many as there are, or none."""

from functools import partial

import pytest
import torch

from core.network.test_model_golden import inputs, small_camera
from core.network.tiny import TINY, TINY_LITE
from scanssc_core.inference.optimize import optimized_for_inference
from scanssc_core.labels import UNKNOWN
from scanssc_core.network.kinds import make_network
from scanssc_core.network.layers.places import choose
from scanssc_core.network.lift.depth_points import depth_to_points
from scanssc_core.network.lift.proposal import propose_voxels
from scanssc_core.network.lite import Lite


@pytest.mark.parametrize("num_places", [1, 15, 16, 17, 40, 60])
def test_chosen_voxels_get_places_in_their_order(num_places):
    is_chosen = torch.zeros(40, dtype=torch.bool)
    is_chosen[torch.randperm(40, generator=torch.Generator().manual_seed(0))[:16]] = True
    expected = [index for index in range(40) if is_chosen[index]]
    chosen = choose(is_chosen, num_places)
    assert chosen.voxel.shape == (num_places,)
    assert chosen.voxel.tolist()[:16] == expected[:num_places]
    assert chosen.has_place[expected].tolist() == [place < num_places for place in range(16)]
    assert chosen.has_place[-1] == (num_places >= 16)
    for place, voxel in enumerate(expected[:num_places]):
        assert chosen.place[voxel] == place
    assert all(place < num_places for place in chosen.place.tolist())


@pytest.fixture(scope="module", params=[TINY, TINY_LITE])
def network(request):
    torch.manual_seed(0)
    network = make_network(request.param)
    if isinstance(network, Lite):
        torch.nn.init.normal_(network.head.class_weight)
    return optimized_for_inference(network)


@pytest.fixture
def frame():
    image, depth_m = inputs("kitti", (96, 320))
    depth_m[..., ::2] = 0
    return image, depth_m, small_camera()


@torch.inference_mode()
@pytest.mark.parametrize("spare", [0, 1, 200])
def test_results_with_places_are_those_without(network, frame, spare):
    image, depth_m, camera = frame
    tables = network.tables_of(camera)
    label = partial(network.label, image, depth_m, tables)
    labels, confidence = label(num_places=number_looked_at(network, *frame) + spare)
    expected, expected_confidence = label()
    assert torch.equal(labels, expected) and len(labels.unique()) > 1
    torch.testing.assert_close(confidence, expected_confidence, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_without_enough_places_labels_are_unknown_and_made_again(network, frame, monkeypatch):
    image, depth_m, camera = frame
    num_places = number_looked_at(network, *frame) - 1
    labels, _ = network.label(image, depth_m, network.tables_of(camera), num_places=num_places)
    expected, _ = network.predict_labels(*frame)
    is_unknown = labels == UNKNOWN
    if isinstance(network, Lite):  # only what lacks a place: the last coarse voxel
        assert 1 <= is_unknown.sum() <= 4 and torch.equal(labels[~is_unknown], expected[~is_unknown])
    else:
        assert is_unknown.all()
    monkeypatch.setattr(network, "num_places", num_places)
    labels, _ = network.predict_labels(*frame)
    assert torch.equal(labels, expected) and (labels != UNKNOWN).all()


@torch.inference_mode()
def test_frame_without_depth_is_labelled_with_places(network, frame, monkeypatch):
    _, depth_m, _ = frame
    depth_m.zero_()
    expected, _ = network.predict_labels(*frame)
    monkeypatch.setattr(network, "num_places", 10)
    labels, _ = network.predict_labels(*frame)
    assert torch.equal(labels, expected) and (labels != UNKNOWN).all()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_only_a_copy_for_cuda_has_places(device):
    copy = optimized_for_inference(make_network(TINY_LITE), torch.device(device))
    assert (copy.num_places is not None) == (device == "cuda")


def number_looked_at(network, image, depth_m, camera):
    config = network.config
    if isinstance(network, Lite):
        return int((network(image, depth_m, camera).occupancy.amax(dim=(3, 4)) > 0).sum())
    points = depth_to_points(depth_m, camera)
    return int(propose_voxels(points, config.grid, config.corrections.drop_zero_depth).sum())
