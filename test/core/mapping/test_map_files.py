import json

import numpy as np
import pytest

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import SEMANTIC_KITTI
from scanssc_core.mapping.files import VERSION, load_map, save_map
from scanssc_core.mapping.semantic_map import MapConfig, Observation, SemanticMap
from scanssc_core.occupancy.interface import Occupancy

GRID = VoxelGridSpec((9, 7, 5), 0.5, (0.0, -1.5, -1.0))
CONFIG = MapConfig(window_m=(6.0, 5.0, 3.0))


@pytest.fixture
def semantic_map():
    made = SemanticMap(0.5, SEMANTIC_KITTI.names, CONFIG)
    rng = np.random.default_rng(0)
    for step in range(3):
        labels = rng.choice([0, 255, 1, 6, 9], GRID.shape).astype(np.uint8)
        T_odom_grid = np.eye(4)
        T_odom_grid[:3, 3] = 7.3 + step, -2.2, 0.4
        made.update(Observation(GRID, Occupancy(labels), T_odom_grid, step * 10**8))
    return made


@pytest.fixture
def saved(tmp_path, semantic_map):
    save_map(tmp_path / "map.npz", semantic_map, "odom")
    return tmp_path / "map.npz"


@pytest.mark.parametrize("config", [CONFIG, None])
def test_loaded_map_is_the_saved_one_and_goes_on_as_it_would_have(saved, semantic_map, config):
    loaded, frame_id = load_map(saved, config)
    assert (frame_id, loaded.class_names, loaded.place()) == ("odom", semantic_map.class_names, semantic_map.place())
    for name, values in semantic_map.window.layers.items():
        np.testing.assert_array_equal(loaded.window.layers[name], values)
    T_odom_grid = np.eye(4)
    T_odom_grid[:3, 3] = 10.1, -2.2, 0.4
    semantic_map.stamp_ns = None  # to a loaded map, the next grid is the first
    told = Observation(GRID, Occupancy(np.full(GRID.shape, 1, np.uint8)), T_odom_grid, 2 * 10**8)
    for each in (semantic_map, loaded):
        each.update(told)
    for found, expected in zip(
        loaded.read()[0].__dict__.values(), semantic_map.read()[0].__dict__.values(), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_first_grid_after_loading_is_taken_whatever_its_stamp_and_pose(saved):
    loaded, _ = load_map(saved)
    told = Observation(GRID, Occupancy(np.zeros(GRID.shape, np.uint8)), np.eye(4), 0)
    assert loaded.update(told) is None


def rewritten(path, **changes):
    with np.load(path) as file:
        arrays = dict(file)
    metadata = json.loads(bytes(arrays["metadata"])) | changes
    arrays["metadata"] = np.frombuffer(json.dumps(metadata).encode(), np.uint8)
    np.savez(path, **arrays)


def test_another_version_is_refused_by_number(saved):
    rewritten(saved, version=VERSION + 1)
    with pytest.raises(ValueError, match=rf"map.npz .*version {VERSION + 1}, expected {VERSION}"):
        load_map(saved)


def test_another_window_is_refused(saved):
    with pytest.raises(ValueError, match=r"window has \(12, 10, 6\) voxels, expected \(4, 4, 4\)"):
        load_map(saved, MapConfig(window_m=(2.0, 2.0, 2.0)))


def test_damaged_and_foreign_files_are_refused_by_name(saved, tmp_path):
    content = saved.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 3] ^= 0xFF
    cases = {"cut": content[: len(content) // 2], "flipped": bytes(flipped), "empty": b"", "text": b"not a map"}
    for name, damaged in cases.items():
        path = tmp_path / f"{name}.npz"
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{name}.npz is no map that can be loaded"):
            load_map(path)
    np.savez(tmp_path / "foreign.npz", labels=np.zeros(3))
    with pytest.raises(ValueError, match=r"foreign.npz is no map"):
        load_map(tmp_path / "foreign.npz")
    with pytest.raises(ValueError, match="no such file"):
        load_map(tmp_path / "missing.npz")


def test_map_that_cannot_be_written_leaves_the_old_one(saved, semantic_map, monkeypatch):
    before = saved.read_bytes()

    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", fail)
    with pytest.raises(OSError, match=r"cannot write .*map.npz: No space left"):
        save_map(saved, semantic_map, "odom")
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
