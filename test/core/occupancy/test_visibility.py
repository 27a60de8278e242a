import numpy as np

from scanssc_core.geometry import PinholeCamera, VoxelGridSpec
from scanssc_core.labels import UNKNOWN
from scanssc_core.occupancy.visibility import visible_voxels
from scanssc_core.synthetic.rigs import T_CAM_VELO

CAMERA = PinholeCamera(40.0, 40.0, 31.5, 15.5, width=64, height=32)
GRID = VoxelGridSpec(shape=(20, 14, 6), voxel_size_m=0.5, origin_m=(-2.0, -3.5, -1.5))


def test_only_voxels_in_front_and_inside_the_image_are_visible():
    visible = visible_voxels(GRID, CAMERA, T_CAM_VELO)
    expected, depths_m, pixels = [], [], []
    for flat, center in enumerate(GRID.centers().reshape(-1, 3)):
        x, y, z = T_CAM_VELO[:3, :3] @ center + T_CAM_VELO[:3, 3]
        if z > 0 and -0.5 <= 40 * x / z + 31.5 < 63.5 and -0.5 <= 40 * y / z + 15.5 < 31.5:
            expected.append(flat)
            depths_m.append(z)
            pixels.append((40 * x / z + 31.5, 40 * y / z + 15.5))
    np.testing.assert_array_equal(visible.voxel_index, expected)
    np.testing.assert_allclose(visible.depth_m, depths_m, rtol=1e-5)
    nearest = np.stack([visible.pixel_index % 64, visible.pixel_index // 64], axis=1)
    assert np.abs(nearest - pixels).max() <= 0.5 + 1e-4
    hidden = visible.hidden.reshape(-1)
    assert not hidden[expected].any() and (np.delete(hidden, expected) == UNKNOWN).all()


def test_another_pose_gives_another_table():
    T_moved = T_CAM_VELO.copy()
    T_moved[0, 3] += 1.0
    first, moved = visible_voxels(GRID, CAMERA, T_CAM_VELO), visible_voxels(GRID, CAMERA, T_moved)
    assert not np.array_equal(first.pixel_index, moved.pixel_index)
    assert visible_voxels(GRID, CAMERA, T_moved) is moved
