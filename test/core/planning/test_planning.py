"""scanssc_core.planning against its naive twin, and what must hold for any grid."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reference.planning import Planner
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import KITTI_360, LABEL_SETS, SEMANTIC_KITTI, STEREO_GEOMETRY, UNKNOWN
from scanssc_core.planning import (
    PlanningClasses,
    RobotBody,
    check_costs,
    clearing_ends,
    cost_of_columns,
    find_columns,
    snapped_origin,
)

COSTS = yaml.safe_load((Path(__file__).resolve().parents[3] / "config" / "class_costs.yaml").read_text())
CLASSES = PlanningClasses.of(SEMANTIC_KITTI.names, COSTS)
BODY = RobotBody(step_height_m=0.15, clearance_m=1.0)
ROAD, TERRAIN, CAR, PERSON, BUILDING = map(SEMANTIC_KITTI.id_of, ("road", "terrain", "car", "person", "building"))
GRID = VoxelGridSpec(shape=(30, 23, 9), voxel_size_m=0.2, origin_m=(0.0, -2.2, -1.0))


def planner(labels, grid, body=BODY, ground_z_m=-1.0):
    return Planner(
        labels,
        grid.origin_m,
        grid.voxel_size_m,
        SEMANTIC_KITTI.names,
        COSTS,
        body.step_height_m,
        body.clearance_m,
        ground_z_m,
    )


def flat_road(grid=GRID):
    """One layer of road, free air above."""
    labels = np.zeros(grid.shape, np.uint8)
    labels[..., 0] = ROAD
    return labels


def costmap(labels, grid=GRID, body=BODY, ground_z_m=-1.0, person_margin_m=0.0):
    columns = find_columns(labels, grid, CLASSES, body, ground_z_m)
    return cost_of_columns(labels, columns, grid, CLASSES, person_margin_m)


@st.composite
def grids(draw):
    """Labels and grid of odd, non-cubic sizes: any mixture of free, unknown, ground and obstacles, even none."""
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 8), st.integers(1, 7)))
    kinds = draw(st.lists(st.sampled_from([0, UNKNOWN, ROAD, TERRAIN, CAR, PERSON, 77]), min_size=1, max_size=6))
    seed = draw(st.integers(0, 2**32 - 1))
    labels = np.random.default_rng(seed).choice(kinds, size=shape).astype(np.uint8)
    origin_m = (
        draw(st.sampled_from([0.0, -1.3])),
        draw(st.sampled_from([0.0, -0.8])),
        draw(st.sampled_from([-2.0, 0.0])),
    )
    return labels, VoxelGridSpec(shape, draw(st.sampled_from([0.2, 0.5])), origin_m)


bodies = st.builds(RobotBody, st.sampled_from([0.0, 0.1, 0.2, 0.6]), st.sampled_from([0.2, 0.6, 1.0, 1.7]))


@settings(max_examples=150, deadline=None)
@given(grids(), bodies, st.sampled_from([-3.0, -1.73, 0.3]), st.sampled_from([0.0, 0.3, 0.4, 1.0]))
def test_costmap_and_obstacles_agree_with_the_naive_twin(made, body, ground_z_m, person_margin_m):
    labels, grid = made
    columns = find_columns(labels, grid, CLASSES, body, ground_z_m)
    naive = planner(labels, grid, body, ground_z_m)
    cost = cost_of_columns(labels, columns, grid, CLASSES, person_margin_m)
    expected = naive.costmap(person_margin_m)
    assert {cell: int(cost[cell]) for cell in expected} == expected
    assert list(map(tuple, columns.obstacle_voxels(labels, CLASSES).tolist())) == naive.obstacles()


GROUND_OVER_THE_LAYER = (np.array([[[9, 9, 0, 9]]], np.uint8), VoxelGridSpec((1, 1, 4), 0.2, (0.0, 0.0, 0.0)))


@settings(max_examples=150, deadline=None)
@given(grids(), bodies, st.tuples(*[st.floats(-2.5, 4.0)] * 3))
@example(GROUND_OVER_THE_LAYER, RobotBody(0.0, 0.2), (0.0, 0.0, 0.0))
def test_ends_of_rays_agree_with_the_naive_twin(made, body, sensor_m):
    labels, grid = made
    columns = find_columns(labels, grid, CLASSES, body, -1.73)
    found = clearing_ends(labels, columns, grid, CLASSES, np.array(sensor_m))
    expected = planner(labels, grid, body, -1.73).clearing_ends(sensor_m)
    assert [list(map(tuple, indices.tolist())) for indices in found] == [list(indices) for indices in expected]


def test_all_unknown_says_nothing():
    labels = np.full(GRID.shape, UNKNOWN, np.uint8)
    assert (costmap(labels) == -1).all()
    columns = find_columns(labels, GRID, CLASSES, BODY, -1.0)
    ground, ends = clearing_ends(labels, columns, GRID, CLASSES, np.array([0.5, 0.0, 0.0]))
    assert ground.shape == ends.shape == (0, 3)


def test_flat_road_costs_what_road_costs_and_terrain_what_terrain_costs():
    labels = flat_road()
    labels[:, 10:, 0] = TERRAIN
    cost = costmap(labels)
    assert (cost[:, :10] == COSTS["road"]).all() and (cost[:, 10:] == COSTS["terrain"]).all()


def test_seen_air_frees_a_column_only_from_its_bottom():
    labels = flat_road()
    labels[5, 5, :] = 0
    labels[6, 6, :] = 0
    labels[6, 6, :3] = UNKNOWN
    cost = costmap(labels)
    assert cost[5, 5] == 0
    assert cost[6, 6] == -1  # the robot's band begins with what nobody saw


@pytest.mark.parametrize("slope", [-0.25, 0.1, 0.2])
def test_a_slope_is_no_obstacle_and_an_obstacle_on_it_is_one(slope):
    grid = VoxelGridSpec(shape=(40, 11, 32), voxel_size_m=0.2, origin_m=(0.0, -1.1, -2.0))
    labels = np.zeros(grid.shape, np.uint8)
    surface = np.floor(12 + slope * np.arange(40)).astype(int)
    for x in range(40):
        labels[x, :, : surface[x] + 1] = TERRAIN
    labels[30, 5, surface[30] + 1] = CAR  # 0.2 m high
    labels[20, 5, surface[20] + 8] = CAR  # begins 1.4 m over the ground: driven under
    cost = costmap(labels, grid)
    assert cost[30, 5] == 100
    cost[30, 5] = COSTS["terrain"]
    assert (cost == COSTS["terrain"]).all()


def test_what_is_lower_than_the_step_is_driven_over():
    labels = flat_road()
    labels[8, 8, 1] = CAR  # ends 0.2 m over the road
    assert costmap(labels, body=RobotBody(0.15, 1.0))[8, 8] == 100
    assert costmap(labels, body=RobotBody(0.2, 1.0))[8, 8] == 0


def test_an_obstacle_without_ground_below_stands_on_the_ground_around_it():
    labels = flat_road()
    labels[10:14, 8:12, :] = UNKNOWN
    labels[10:14, 8:12, 2:5] = BUILDING
    labels[20:24, 8:12, :] = UNKNOWN
    labels[20:24, 8:12, 6:] = BUILDING  # its lowest voxel begins 1 m over the road
    cost = costmap(labels)
    assert (cost[10:14, 8:12] == 100).all()
    assert (cost[20:24, 8:12] == -1).all()


def test_a_grid_without_ground_is_taken_for_level_at_the_height_given():
    labels = np.full(GRID.shape, UNKNOWN, np.uint8)
    labels[4, 4, 3] = CAR
    assert costmap(labels, ground_z_m=-0.6)[4, 4] == 100
    assert costmap(labels, ground_z_m=0.2)[4, 4] == -1  # below that ground


def test_person_margin_is_round_and_leaves_other_obstacles_as_they_are():
    labels = flat_road()
    labels[10, 10, 1:9] = PERSON
    labels[20, 15, 1:9] = CAR
    is_lethal = costmap(labels, person_margin_m=0.6) == 100
    x, y = np.indices(is_lethal.shape)
    expected = np.hypot(x - 10, y - 10) * 0.2 <= 0.6 + 1e-6
    expected[20, 15] = True
    np.testing.assert_array_equal(is_lethal, expected)


@settings(max_examples=60, deadline=None)
@given(grids(), bodies)
def test_adding_an_obstacle_or_forgetting_a_voxel_never_frees(made, body):
    labels, grid = made
    before = costmap(labels, grid, body)
    rng = np.random.default_rng(labels.size)
    x, y, z = (rng.integers(size) for size in labels.shape)
    if CLASSES.is_ground[labels[x, y, z]]:
        return  # then the ground, from which all heights count, is another
    labels[x, y, z] = CAR
    assert (costmap(labels, grid, body) >= before).all()
    labels[x, y, z] = UNKNOWN
    after = costmap(labels, grid, body)
    assert not ((before == -1) & (after >= 0)).any()


def test_no_line_to_an_end_goes_through_an_obstacle():
    """Lines as a consumer draws them, from the sensor to the centre, in tenths of a voxel."""
    labels = flat_road()
    labels[12:14, 5:15, :4] = CAR
    labels[14:, 5:15, :4] = UNKNOWN
    labels[14:, 8:12, 2] = 0  # completed behind the car: free, but not seen
    is_inside_shadow = np.zeros(GRID.shape, bool)  # corners may be cut, a voxel deep
    is_inside_shadow[13:20, 6:14, :2] = True
    sensor_m = np.array([0.3, 0.05, 0.35])
    columns = find_columns(labels, GRID, CLASSES, BODY, -1.0)
    ground, ends = clearing_ends(labels, columns, GRID, CLASSES, sensor_m)
    assert len(ground) > 200 and len(ends) > 50
    sensor = (sensor_m - GRID.origin_m) / 0.2
    for end in np.concatenate([ground, ends]) + 0.5:
        steps = np.linspace(0, 1, int(10 * np.abs(end - sensor).max()))[:, None]
        x, y, z = np.floor(sensor + steps * (end - sensor)).astype(int).T
        assert not is_inside_shadow[x, y, z].any()


def test_every_class_of_every_label_set_has_a_cost():
    for label_set in (*LABEL_SETS.values(), STEREO_GEOMETRY, KITTI_360):
        classes = PlanningClasses.of(label_set.names, COSTS)
        for label, name in enumerate(label_set.names[1:], start=1):
            assert classes.cost[label] == COSTS[name]
            assert classes.is_ground[label] != classes.is_obstacle[label]
        assert classes.is_obstacle[254] and classes.cost[254] == 100


def test_costs_that_are_unknown_missing_or_out_of_range_are_refused_by_name():
    with pytest.raises(ValueError) as error:
        check_costs({**COSTS, "vegitation": 100, "road": 101, "car": True, "pole": 1.5})
    for name in ("vegitation: no label set", "road: ", "car: ", "pole: "):
        assert name in str(error.value)
    costs = {name: cost for name, cost in COSTS.items() if name != "vegetation"}
    with pytest.raises(ValueError, match="vegetation: this class has no cost"):
        PlanningClasses.of(SEMANTIC_KITTI.names, costs)


def test_labels_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="expected labels of the grid's shape"):
        find_columns(np.zeros((2, 3, 4), np.uint8), GRID, CLASSES, BODY, -1.0)


def test_origin_is_a_multiple_of_the_resolution_and_near():
    for origin_m in ((0.0, -25.6, -2.0), (12.4, 7.2, 0.0), (0.07, -0.31, 0.0)):
        snapped = np.array(snapped_origin(VoxelGridSpec((3, 4, 5), 0.2, origin_m)))
        np.testing.assert_allclose(np.round(snapped / 0.2), snapped / 0.2, atol=1e-9)
        assert (np.abs(snapped - origin_m[:2]) <= 0.1 + 1e-9).all()
