"""The map against one voxel after the other, and what it promises: what stays, what goes, what makes it begin anew."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.mapping import between, change_of, forgotten, fused, label_of, voxel_holding
from scanssc_core.geometry import VoxelGridSpec, make_transform, transform_points
from scanssc_core.labels import FREE, SEMANTIC_KITTI, STEREO_GEOMETRY, UNKNOWN
from scanssc_core.mapping.forgetting import HalfLives, movable_classes
from scanssc_core.mapping.hits import Hits
from scanssc_core.mapping.semantic_map import (
    ODOMETRY_JUMP,
    TIME_BACK,
    TIME_GAP,
    MapConfig,
    Observation,
    SemanticMap,
)
from scanssc_core.occupancy.interface import Occupancy

NAMES = SEMANTIC_KITTI.names
CAR, PERSON, ROAD, BUILDING = map(SEMANTIC_KITTI.id_of, ("car", "person", "road", "building"))
GRID = VoxelGridSpec((9, 7, 5), 0.5, (0.0, -1.5, -1.0))
CONFIG = MapConfig(window_m=(6.0, 5.0, 3.0))


def pose(x=0.0, y=0.0, yaw_rad=0.0, pitch_rad=0.0):
    T_odom_grid = make_transform((0, 0, np.sin(yaw_rad / 2), np.cos(yaw_rad / 2)), (x, y, 0.0))
    return T_odom_grid @ make_transform((0, np.sin(pitch_rad / 2), 0, np.cos(pitch_rad / 2)), (0, 0, 0))


def observation(labels, time_s=0.0, T_odom_grid=None, confidence=None, **kwargs):
    T_odom_grid = pose() if T_odom_grid is None else T_odom_grid
    return Observation(GRID, Occupancy(labels, confidence), T_odom_grid, round(time_s * 1e9), **kwargs)


def filled(label):
    return np.full(GRID.shape, label, np.uint8)


def single(label, others=UNKNOWN, index=(4, 3, 2)):
    labels = filled(others)
    labels[index] = label
    return labels


def at(semantic_map, index=(4, 3, 2)):
    """Label of the map at a voxel of the grid at the origin."""
    return int(semantic_map.sample(GRID, pose()).labels[index])


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_map_equals_the_voxel_by_voxel_reference(seed):
    rng = np.random.default_rng(seed)
    semantic_map, naive = SemanticMap(0.5, NAMES, CONFIG), {}
    half_life_s, hits = CONFIG.half_lives.of_classes(NAMES), CONFIG.hits.of_classes(NAMES)
    x, y, yaw_rad, time_s = 0.0, 0.0, rng.uniform(-3, 3), 0.0
    for _ in range(4):
        labels = rng.choice([FREE, UNKNOWN, CAR, PERSON, ROAD], GRID.shape).astype(np.uint8)
        confidence = rng.integers(0, 256, GRID.shape, np.uint8) if rng.random() < 0.7 else None
        is_seen_through = rng.random(GRID.shape) < 0.2 if rng.random() < 0.5 else None
        dt_s = float(rng.uniform(0.05, 2.0))
        x, y, yaw_rad, time_s = (
            x + rng.uniform(-1, 1),
            y + rng.uniform(-1, 1),
            yaw_rad + rng.uniform(-1, 1),
            time_s + dt_s,
        )
        T_odom_grid = pose(x, y, yaw_rad, rng.uniform(-0.2, 0.2))
        told = observation(labels, time_s, T_odom_grid, confidence, is_seen_through=is_seen_through)
        is_first = semantic_map.stamp_ns is None
        before_ns = semantic_map.stamp_ns or 0
        assert semantic_map.update(told) is None
        window, place = semantic_map.window, semantic_map.place()
        moved = {}
        for world in np.ndindex(window.shape):
            key = tuple(int(i) for i in world + window.low)
            state = naive.get(key, (0.0, 0, 0.0))
            news = 1.0
            if not is_first:
                news = 1 - 0.5 ** ((told.stamp_ns - before_ns) / 1e9 / CONFIG.correlation_s)
                state = forgotten(state, (told.stamp_ns - before_ns) / 1e9, half_life_s)
            index = voxel_holding(place.indices_to_points(np.array(world)), T_odom_grid, GRID)
            if index is not None:
                certainty = 255 if confidence is None else int(confidence[index])
                is_free = is_seen_through is not None and is_seen_through[index]
                change = news * change_of(labels[index], certainty, is_free, CONFIG, hits)
                state = fused(state, int(labels[index]), change, CONFIG, hits, {CAR, PERSON})
            moved[key] = state
        naive = moved
        log_odds = window.in_world_order(window.layers["log_odds"])
        expected = np.array([state[0] for state in naive.values()]).reshape(window.shape)
        # A centre that lies on the border of two voxels may fall into either.
        is_equal = np.isclose(log_odds, expected, atol=1e-4)
        assert is_equal.mean() > 0.995
        found, _ = semantic_map.read()
        expected_labels = np.array([label_of(state, CONFIG.threshold) for state in naive.values()])
        is_clear = is_equal & (np.abs(np.abs(expected) - CONFIG.threshold) > 1e-3)
        share = np.mean(found.labels[is_clear] == expected_labels.reshape(window.shape)[is_clear])
        assert share > 0.995
        naive = {
            key: (float(value), *state[1:]) for (key, state), value in zip(naive.items(), log_odds.flat, strict=True)
        }


def test_unknown_never_becomes_free_without_a_free_voxel_or_a_ray():
    semantic_map = SemanticMap(0.5, NAMES, CONFIG)
    for step in range(30):
        labels = filled(UNKNOWN)
        if step < 3:
            labels[4:, 3:5] = PERSON
        semantic_map.update(observation(labels, 0.3 * step, pose(0.01 * step, yaw_rad=0.02 * step)))
        occupancy, _ = semantic_map.read()
        assert not (occupancy.labels == FREE).any()
        assert (occupancy.confidence[occupancy.labels == UNKNOWN] == 0).all()
    assert (occupancy.labels == UNKNOWN).all()


def test_a_ray_frees_what_the_grid_does_not_know_but_not_what_it_calls_occupied():
    is_seen_through = np.ones(GRID.shape, bool)
    semantic_map = SemanticMap(0.5, NAMES, CONFIG)
    semantic_map.update(observation(single(CAR), is_seen_through=is_seen_through))
    labels = semantic_map.sample(GRID, pose()).labels
    assert labels[4, 3, 2] == CAR
    assert labels[5, 3, 2] == FREE


@pytest.mark.parametrize("rate_hz", [2, 10])
@pytest.mark.parametrize(
    ("class_id", "behind", "limit_s"), [(PERSON, FREE, 1.5), (PERSON, UNKNOWN, 1.5), (CAR, FREE, 3.0)]
)
def test_ghost_is_gone_in_time(rate_hz, class_id, behind, limit_s):
    semantic_map = SemanticMap(0.5, NAMES, CONFIG)
    confidence = np.full(GRID.shape, 200, np.uint8)
    num_frames = 5 * rate_hz
    for step in range(num_frames):
        semantic_map.update(observation(single(class_id, others=FREE), step / rate_hz, confidence=confidence))
    assert at(semantic_map) == class_id
    for step in range(num_frames, num_frames + int(limit_s * rate_hz)):
        semantic_map.update(observation(filled(behind), step / rate_hz, confidence=confidence))
    assert at(semantic_map) in (FREE, UNKNOWN)


def test_wall_that_left_the_view_two_seconds_ago_is_still_there():
    semantic_map = SemanticMap(0.5, NAMES, CONFIG)
    for step in range(10):
        semantic_map.update(observation(single(BUILDING), step / 10))
    for step in range(10, 32):
        semantic_map.update(observation(filled(FREE), step / 10, pose(yaw_rad=np.pi)))
    assert at(semantic_map) == BUILDING


@pytest.mark.parametrize(("class_id", "num_grids"), [(PERSON, 1), (CAR, 1), (BUILDING, 4)])
def test_what_may_move_is_there_at_once_where_it_was_free_and_what_stays_in_half_a_second(class_id, num_grids):
    semantic_map = SemanticMap(0.5, NAMES, CONFIG)
    confidence = np.full(GRID.shape, 200, np.uint8)
    for step in range(20):
        semantic_map.update(observation(filled(FREE), step / 10, confidence=confidence))
    for step in range(20, 20 + num_grids):
        semantic_map.update(observation(filled(class_id), step / 10, confidence=confidence))
    assert at(semantic_map) == class_id


@pytest.mark.parametrize("names", [NAMES, STEREO_GEOMETRY.names])
def test_only_what_stands_on_its_own_ground_is_fixed(names):
    movable = {name for name, may_move in zip(names, movable_classes(names), strict=False) if may_move}
    assert {"person", "car", "bicyclist"} & set(names) <= movable
    assert movable & {"empty", "road", "building", "vegetation", "pole"} == set()
    assert ("obstacle" in movable) == ("obstacle" in names)


def test_class_is_that_of_most_grids_and_does_not_flicker():
    rng = np.random.default_rng(0)
    semantic_map = SemanticMap(0.5, NAMES, CONFIG)
    told, seen = [], []
    for step in range(60):
        told.append(int(rng.choice([BUILDING, BUILDING, BUILDING, CAR])))
        semantic_map.update(observation(single(told[-1]), step / 10))
        seen.append(at(semantic_map))
    changes = [np.count_nonzero(np.diff(values[10:])) for values in (told, seen)]
    assert seen[-1] == BUILDING
    assert changes[1] <= changes[0] / 3


def test_nothing_becomes_unmovable():
    semantic_map = SemanticMap(0.5, NAMES, CONFIG)
    for step in range(200):
        semantic_map.update(observation(single(BUILDING), step / 10))
    for step in range(200, 208):
        semantic_map.update(observation(single(FREE), step / 10))
    assert at(semantic_map) == FREE
    for step in range(208, 211):
        semantic_map.update(observation(single(ROAD), step / 10))
    assert at(semantic_map) == ROAD


def test_confident_grids_outweigh_unsure_ones():
    semantic_map = SemanticMap(0.5, NAMES, CONFIG)
    unsure, sure = (np.full(GRID.shape, value, np.uint8) for value in (40, 250))
    for step in range(3):
        semantic_map.update(observation(single(FREE), step / 10, confidence=unsure))
    semantic_map.update(observation(single(CAR), 0.3, confidence=sure))
    assert at(semantic_map) == CAR


def test_grids_in_quick_succession_tell_no_more_than_seldom_ones():
    strength = []
    for rate_hz in (10, 40):
        semantic_map = SemanticMap(0.5, NAMES, dataclasses.replace(CONFIG, highest=100.0))
        for step in range(3 * rate_hz):
            semantic_map.update(observation(single(BUILDING), step / rate_hz))
        strength.append(float(semantic_map.window.layers["log_odds"].max()))
    assert strength[1] == pytest.approx(strength[0], rel=0.5)
    before = semantic_map.window.layers["log_odds"].copy()
    semantic_map.update(observation(single(FREE), (3 * rate_hz - 1) / rate_hz))  # the same stamp again
    np.testing.assert_allclose(semantic_map.window.layers["log_odds"], before)


JUMPS = {
    "back": (0.5, pose(), TIME_BACK, "went back by 0.500 s"),
    "gap": (30.0, pose(), TIME_GAP, "no grid for 29.0 s"),
    "odometry": (1.1, pose(x=20.0), ODOMETRY_JUMP, "moved 20.00 m in 0.100 s"),
}


@pytest.mark.parametrize("name", JUMPS)
def test_jump_begins_the_map_anew_by_name(name):
    time_s, T_odom_grid, cause, reason = JUMPS[name]
    semantic_map = SemanticMap(0.5, NAMES, CONFIG)
    semantic_map.update(observation(single(BUILDING), 1.0))
    reset = semantic_map.update(observation(filled(UNKNOWN), time_s, T_odom_grid))
    assert reset.cause == cause
    assert reason in reset.reason
    assert (semantic_map.read()[0].labels == UNKNOWN).all()
    assert semantic_map.update(observation(filled(UNKNOWN), time_s + 0.1, T_odom_grid)) is None


def test_grid_that_does_not_fit_is_refused_and_changes_nothing():
    semantic_map = SemanticMap(0.5, NAMES[:5], CONFIG)
    semantic_map.update(observation(single(CAR)))
    fine = VoxelGridSpec(GRID.shape, 0.2, GRID.origin_m)
    cases = {
        "resolution": dataclasses.replace(observation(filled(FREE), 1.0), grid=fine),
        "class ids below 5 or 255, got 13": observation(single(BUILDING), 1.0),
        "labels of the grid's shape": dataclasses.replace(
            observation(filled(FREE), 1.0), occupancy=Occupancy(np.zeros((2, 2, 2), np.uint8))
        ),
        "finite pose": observation(filled(FREE), 1.0, np.full((4, 4), np.nan)),
    }
    for reason, told in cases.items():
        with pytest.raises(ValueError, match=reason):
            semantic_map.update(told)
    assert (semantic_map.stamp_ns, at(semantic_map)) == (0, CAR)


def test_map_is_the_same_wherever_in_the_world_it_lies():
    rng = np.random.default_rng(3)
    labels = rng.choice([FREE, UNKNOWN, CAR], GRID.shape).astype(np.uint8)
    found = []
    for x in (0.0, 20_000.0):
        semantic_map = SemanticMap(0.5, NAMES, CONFIG)
        semantic_map.update(observation(labels, 0.0, pose(x=x + 0.1, yaw_rad=0.7)))
        found.append(semantic_map.read()[0].labels)
    np.testing.assert_array_equal(*found)


def test_sample_of_an_unturned_grid_gives_its_labels_back():
    rng = np.random.default_rng(4)
    grid = VoxelGridSpec((6, 5, 4), 0.5, (0.0, -1.0, -1.0))
    labels = rng.choice([FREE, UNKNOWN, CAR], grid.shape).astype(np.uint8)
    semantic_map = SemanticMap(0.5, NAMES, MapConfig(window_m=(8.0, 8.0, 4.0)))
    semantic_map.update(Observation(grid, Occupancy(labels), np.eye(4), 0))
    np.testing.assert_array_equal(semantic_map.sample(grid, np.eye(4)).labels, labels)


def test_sample_of_a_turned_grid_equals_the_point_by_point_reference():
    rng = np.random.default_rng(5)
    semantic_map = SemanticMap(0.5, NAMES, CONFIG)
    for step in range(3):
        labels = rng.choice([FREE, UNKNOWN, CAR, ROAD], GRID.shape).astype(np.uint8)
        semantic_map.update(observation(labels, 0.1 * step, pose(0.1 * step, yaw_rad=0.3)))
    T_odom_grid = pose(0.33, -0.21, yaw_rad=-0.4, pitch_rad=0.1)
    window, place = semantic_map.window, semantic_map.place()
    layers = [window.in_world_order(window.layers[name]) for name in ("log_odds", "class_id")]
    found = semantic_map.sample(GRID, T_odom_grid)
    is_equal = []
    for index in np.ndindex(GRID.shape):
        point_odom = transform_points(T_odom_grid, GRID.indices_to_points(np.array(index)))
        log_odds, class_id = between(*layers, point_odom, place)
        if abs(abs(log_odds) - CONFIG.threshold) > 1e-3:
            is_equal.append(found.labels[index] == label_of((log_odds, class_id, 0.0), CONFIG.threshold))
    assert np.mean(is_equal) > 0.99  # two classes may count alike


@pytest.mark.parametrize(("z_m", "pitch_rad"), [(0.0, 0.0), (0.3, 0.0), (-0.3, 0.02), (0.3, -0.02)])
def test_ground_stays_in_the_window_where_the_street_rises_or_the_vehicle_nods(z_m, pitch_rad):
    grid = VoxelGridSpec((64, 64, 8), 0.8, (0.0, -25.6, -2.4))  # of the size of SemanticKITTI's
    labels = np.full(grid.shape, FREE, np.uint8)
    labels[:, :, 0] = ROAD
    T_odom_grid = pose(pitch_rad=pitch_rad)
    T_odom_grid[2, 3] = z_m
    semantic_map = SemanticMap(0.8, NAMES)
    semantic_map.update(Observation(grid, Occupancy(labels), T_odom_grid, 0))
    occupancy, place = semantic_map.read()
    road_odom = transform_points(T_odom_grid, grid.indices_to_points(np.argwhere(labels == ROAD)))
    indices, is_inside = place.points_to_indices(road_odom)
    assert is_inside.all()
    assert np.mean(occupancy.labels[tuple(indices.T)] == ROAD) > 0.7  # some centres change their layer on a slope
    found = semantic_map.sample(grid, T_odom_grid).labels
    assert np.mean((found == ROAD).any(2)) > 0.9


def test_box_is_counted_by_class_and_cleared():
    semantic_map = SemanticMap(0.5, NAMES, CONFIG)
    labels = single(CAR, others=FREE)
    labels[5, 3, 2] = BUILDING
    semantic_map.update(observation(labels))
    low_m, high_m = [1.6, 0.1, 0.1], [3.6, 0.4, 0.4]  # 4 voxels along x, one along y and z
    content = semantic_map.query_box(low_m, high_m)
    expected = {"car": 1, "building": 1, "empty": 1}
    assert content.num_unknown == 1  # outside the window
    assert {name: count for name, count in content.num_voxels.items() if count} == expected
    np.testing.assert_allclose(content.nearest_m, [2.25, 0.0, 0.25], atol=0.26)
    assert content.nearest_class == "car"
    assert semantic_map.clear_box(low_m, high_m) == 3
    cleared = semantic_map.query_box(low_m, high_m)
    assert cleared.num_unknown == 4
    assert cleared.nearest_m is None
    with pytest.raises(ValueError, match="lowest to its highest"):
        semantic_map.query_box(high_m, low_m)


def test_half_life_is_that_of_the_group_of_a_class():
    half_life_s = HalfLives(human_s=1.0, other_s=7.0, free_s=3.0).of_classes(("empty", "person", "yeti", "road"))
    assert half_life_s[:4].tolist() == [3.0, 1.0, 7.0, HalfLives().ground_s]
    with pytest.raises(ValueError, match="vehicle_s"):
        HalfLives(vehicle_s=0.0)


def test_hits_are_those_of_the_group_of_a_class():
    hits = Hits(human=1.0, other=7.0).of_classes(("empty", "person", "yeti", "road"))
    assert hits[1:4].tolist() == [1.0, 7.0, Hits().ground]
    with pytest.raises(ValueError, match=r"vehicle: expected log-odds above zero, got 0\.0"):
        Hits(vehicle=0.0)
