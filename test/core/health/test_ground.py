import numpy as np
import pytest

from scanssc_core.geometry import PinholeCamera, invert_transform
from scanssc_core.health.ground import GroundOffset, measure_ground

CAMERA = PinholeCamera(400.0, 400.0, 311.5, 187.5, width=624, height=376)


def pose(height_m, pitch_deg=0.0, roll_deg=0.0):
    """T_grid_cam of a camera so high over a ground at z = -1.73, looking up by so much."""
    p, r = np.radians([pitch_deg, roll_deg])
    level = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    pitch = np.array([[np.cos(p), 0, -np.sin(p)], [0, 1, 0], [np.sin(p), 0, np.cos(p)]])
    roll = np.array([[1, 0, 0], [0, np.cos(r), -np.sin(r)], [0, np.sin(r), np.cos(r)]])
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = pitch @ roll @ level, (0.3, 0.1, height_m - 1.73)
    return T


def depth_of(T_grid_cam, walls=True, seed=0):
    """Depth of a level ground, a wall on the left, one far ahead and the sky; disparity is 0.2 px off."""
    v, u = np.mgrid[0 : CAMERA.height, 0 : CAMERA.width]
    rays = np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, np.ones_like(u, float)], axis=-1)
    x, y, z = np.moveaxis(rays @ T_grid_cam[:3, :3].T, -1, 0)
    start = T_grid_cam[:3, 3]
    with np.errstate(divide="ignore"):
        hits = [(-1.73 - start[2]) / z]
        if walls:
            hits += [(5.0 - start[1]) / y, (25.0 - start[0]) / x]
    depth = np.min([np.where(hit > 0, hit, np.inf) for hit in hits], axis=0)
    noise_px = np.random.default_rng(seed).normal(0, 0.2, depth.shape)
    return np.where(np.isfinite(depth), 1 / (1 / depth + noise_px / (CAMERA.fx * 0.3)), 0).astype(np.float32)


@pytest.mark.parametrize("height_m", [0.4, 1.0, 1.65])
@pytest.mark.parametrize("pitch_deg", [-8.0, 0.0, 3.0])
@pytest.mark.parametrize("roll_deg", [0.0, 2.0])
def test_ground_is_found_wherever_it_is(height_m, pitch_deg, roll_deg):
    depth_m = depth_of(pose(height_m, pitch_deg, roll_deg))
    offset = measure_ground(depth_m, CAMERA, invert_transform(pose(1.65)))
    assert offset.expected_height_m == pytest.approx(1.65)
    assert offset.height_m == pytest.approx(height_m, abs=0.08)
    assert offset.pitch_deg == pytest.approx(-pitch_deg, abs=0.6)
    assert offset.roll_deg == pytest.approx(-roll_deg, abs=0.6)


def test_right_pose_has_no_offset():
    T_grid_cam = pose(0.8, -5.0, 1.0)
    offset = measure_ground(depth_of(T_grid_cam), CAMERA, invert_transform(T_grid_cam))
    assert offset.worst_m() < 0.1


def test_depth_twice_too_large_shows_as_a_camera_twice_as_high():
    T_grid_cam = pose(0.8)
    offset = measure_ground(2 * depth_of(T_grid_cam), CAMERA, invert_transform(T_grid_cam))
    assert offset.height_m == pytest.approx(1.6, abs=0.1) and offset.expected_height_m == pytest.approx(0.8)
    assert offset.worst_m() > 0.7


@pytest.mark.parametrize("depth_m", [np.zeros((376, 624), np.float32), np.full((376, 624), 6.0, np.float32)])
def test_no_ground_is_none(depth_m):
    assert measure_ground(depth_m, CAMERA, invert_transform(pose(1.65))) is None


def test_worst_is_under_the_camera_or_ahead():
    assert GroundOffset(1.0, 1.5, 0.0, 0.0).worst_m() == pytest.approx(0.5)
    assert GroundOffset(1.5, 1.5, 3.0, 0.0).worst_m() == pytest.approx(10 * np.tan(np.radians(3)))
