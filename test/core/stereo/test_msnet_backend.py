import numpy as np
import pytest
import torch

from core.stereo.msnet_golden import check_disparity, golden_network, image_pair, load
from scanssc_core.geometry import PinholeCamera, StereoRig
from scanssc_core.stereo.mobilestereonet.backend import MobileStereoNetBackend, disparity_to_depth
from scanssc_core.stereo.mobilestereonet.preprocess import crop_bottom_left, pad_top_right, padded_size

CPU = torch.device("cpu")


def rig(height: int, width: int, focal_px: float = 100.0, baseline_m: float = 0.5) -> StereoRig:
    return StereoRig(PinholeCamera(focal_px, focal_px, 50.0, 30.0, width, height), baseline_m, right_cx=50.0)


@pytest.mark.parametrize("size", [(376, 1241), (375, 1242), (370, 1226), (374, 1238), (384, 1248)])
def test_kitti_images_are_padded_to_the_published_size(size):
    assert padded_size(*size, min_width=192) == (384, 1248)


def test_padding_is_above_and_to_the_right_and_comes_off_again():
    image = torch.rand(1, 3, 5, 7) + 1
    padded = pad_top_right(image, (8, 9))
    assert padded.shape == (1, 3, 8, 9)
    assert (padded[:, :, :3] == 0).all() and (padded[..., 7:] == 0).all()
    torch.testing.assert_close(crop_bottom_left(padded, 5, 7), image)


def test_a_size_too_small_to_pad_to_is_refused():
    with pytest.raises(ValueError, match="48x192.*49x192"):
        pad_top_right(torch.zeros(1, 3, 49, 192), (48, 192))


@pytest.mark.parametrize("size", [(50, 130), (37, 201)])
def test_images_of_any_size_get_a_depth_everywhere(size):
    left, right, _ = image_pair(*size)
    depth_m = MobileStereoNetBackend(golden_network(2), CPU).compute_depth(left, right, rig(*size))
    assert depth_m.shape == size and depth_m.dtype == np.float32
    assert np.isfinite(depth_m).all() and (depth_m > 0).all()


def test_images_that_do_not_fit_the_calibration_are_refused():
    left, right, _ = image_pair(48, 192)
    with pytest.raises(ValueError, match="left image of shape.*48, 200"):
        MobileStereoNetBackend(golden_network(2), CPU).compute_depth(left, right, rig(48, 200))


def test_depth_is_focal_length_times_baseline_over_disparity_and_never_infinite():
    disparity_px = np.array([[10.0, 0.5, 0.0]], np.float32)
    np.testing.assert_allclose(disparity_to_depth(disparity_px, rig(1, 3)), [[5.0, 100.0, 5e9]])


def test_principal_points_that_differ_shift_the_disparity():
    shifted = StereoRig(rig(1, 1).left, 0.5, right_cx=48.0)
    np.testing.assert_allclose(disparity_to_depth(np.full((1, 1), 12.0, np.float32), shifted), 5.0)


@pytest.mark.slow
@pytest.mark.parametrize("dims", [2, 3])
def test_full_size_and_the_kitti_pipeline(dims):
    data = load(f"msnet{dims}d_full")
    backend = MobileStereoNetBackend(golden_network(dims), CPU, padded_to=(384, 1280))
    left, right, _ = image_pair(384, 1280)
    disparity_px = backend.estimate(left, right).disparity_px[0].numpy()
    sampled = disparity_px.reshape(-1)[data["disparity_384x1280/index"]]
    check_disparity(sampled, data["disparity_384x1280/values"])
    check_disparity(disparity_px[200], data["disparity_384x1280/row_200"])

    backend = MobileStereoNetBackend(golden_network(dims), CPU)
    left, right, _ = image_pair(376, 1241)
    disparity_px = backend.estimate(left, right).disparity_px[0].numpy()
    sampled = disparity_px.reshape(-1)[data["kitti_disparity_376x1241/index"]]
    check_disparity(sampled, data["kitti_disparity_376x1241/values"])
    published = rig(376, 1241, focal_px=388.1823, baseline_m=1.0)
    depth_m = disparity_to_depth(disparity_px, published).reshape(-1)[data["kitti_depth_376x1241/index"]]
    np.testing.assert_allclose(depth_m, data["kitti_depth_376x1241/values"], rtol=1e-3)
