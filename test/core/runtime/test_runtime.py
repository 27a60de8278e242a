import numpy as np
import pytest
import torch

from scanssc_core.labels import UNKNOWN
from scanssc_core.occupancy.visibility import visible_voxels
from scanssc_core.runtime.backends import make_occupancy_backend, make_stereo_backend
from scanssc_core.runtime.device import format_named, formats_of_precision, resolve_device
from scanssc_core.runtime.pipeline import OccupancyPipeline
from scanssc_core.synthetic.scene import wall_scene
from scanssc_core.synthetic.sequence import SyntheticSequence


@pytest.fixture(scope="module")
def frame():
    return SyntheticSequence(wall_scene(10.0), num_frames=1).frame(0)[0]


def run(frame, model="dummy", **options):
    pipeline = OccupancyPipeline(make_stereo_backend("sgm"), make_occupancy_backend(model), **options)
    return pipeline, pipeline.run(frame.left_rgb, frame.right_rgb, frame.rig, frame.T_cam_velo)


@pytest.mark.parametrize("model", ["dummy", "lite"])
def test_voxels_out_of_view_are_unknown_unless_kept(frame, model):
    pipeline, masked = run(frame, model)
    _, kept = run(frame, model, keep_unseen=True)
    is_visible = np.zeros(masked.occupancy.labels.size, bool)
    is_visible[visible_voxels(pipeline.occupancy.grid, frame.rig.left, frame.T_cam_velo).voxel_index] = True
    labels, all_labels = masked.occupancy.labels.reshape(-1), kept.occupancy.labels.reshape(-1)
    assert (labels[~is_visible] == UNKNOWN).all()
    np.testing.assert_array_equal(labels[is_visible], all_labels[is_visible])
    assert not (all_labels == UNKNOWN).any()
    confidence, all_confidence = masked.occupancy.confidence.reshape(-1), kept.occupancy.confidence.reshape(-1)
    assert (confidence[~is_visible] == 0).all() and all_confidence[~is_visible].all()
    np.testing.assert_array_equal(confidence[is_visible], all_confidence[is_visible])


@pytest.mark.parametrize("model", ["stereo"])
@pytest.mark.parametrize("missing_m", [-1.0, np.nan, np.inf])
def test_depth_that_is_no_measurement_counts_as_none(frame, model, missing_m):
    depth_m = np.full(frame.left_rgb.shape[:2], 9.0, np.float32)
    results = []
    for value in (0.0, missing_m):
        depth_m[:, ::3] = value
        pipeline = OccupancyPipeline(None, make_occupancy_backend(model))
        results.append(pipeline.label(frame.left_rgb, depth_m, frame.rig.left, frame.T_cam_velo))
    np.testing.assert_array_equal(*(result.occupancy.labels for result in results))
    assert (results[1].depth_m[:, ::3] == 0).all() and (results[1].depth_m[:, 1::3] == 9).all()


def test_image_and_depth_of_another_size_than_the_calibration_are_refused(frame):
    pipeline = OccupancyPipeline(None, make_occupancy_backend("stereo"))
    width, height = frame.rig.left.width, frame.rig.left.height
    depth_m = np.ones((height, width), np.float32)
    with pytest.raises(ValueError, match=f"expected the depth to be {width}x{height} .* got {width // 2}x{height}"):
        pipeline.label(frame.left_rgb, depth_m[:, ::2], frame.rig.left, frame.T_cam_velo)
    with pytest.raises(ValueError, match=f"expected the image to be {width}x{height} .* got {width}x{height // 2}"):
        pipeline.label(frame.left_rgb[::2], depth_m, frame.rig.left, frame.T_cam_velo)


def test_every_stage_is_timed(frame):
    _, result = run(frame)
    assert set(result.stage_s) == {"depth", "occupancy"}
    assert all(seconds > 0 for seconds in result.stage_s.values())


@pytest.mark.parametrize(("make", "reason"), [(make_stereo_backend, "sgm"), (make_occupancy_backend, "stereo, dummy")])
def test_an_unknown_backend_is_refused_with_the_list(make, reason):
    with pytest.raises(ValueError, match=f"{reason}.*got 'magic'"):
        make("magic")


def test_device_auto_is_what_there_is():
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert resolve_device("cpu").type == "cpu"


def test_cuda_where_there_is_none_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="cuda was asked for"):
        resolve_device("cuda")
    with pytest.raises(ValueError, match="'tpu'"):
        resolve_device("tpu")


def test_precision_is_asked_for_by_name():
    cpu = torch.device("cpu")
    assert formats_of_precision("float32", cpu) == (torch.float32,)
    assert formats_of_precision("bfloat16", cpu) == (torch.bfloat16,)
    with pytest.raises(ValueError, match="precision: expected one of auto, .* got 'double'"):
        formats_of_precision("double", cpu)
    with pytest.raises(ValueError, match="precision: expected one of float32, .* got 'auto'"):
        format_named("auto")  # where nothing is to depend on what is faster


@pytest.mark.parametrize("has_bfloat16", [True, False])
def test_precision_auto_on_cuda_follows_the_hardware(monkeypatch, has_bfloat16):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bfloat16)
    expected = torch.bfloat16 if has_bfloat16 else torch.float32
    assert formats_of_precision("auto", torch.device("cuda")) == (expected,)


@pytest.mark.parametrize(
    ("capabilities", "has_bfloat16"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"avx512_bf16": False, "amx_bf16": False}, False),
        ({"architecture": "aarch64"}, False),
    ],
)
def test_precision_auto_on_a_cpu_leaves_what_the_hardware_has(monkeypatch, capabilities, has_bfloat16):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    expected = (torch.float32, torch.bfloat16) if has_bfloat16 else (torch.float32,)
    assert formats_of_precision("auto", torch.device("cpu")) == expected
