"""Flicker and ghosts, against loops and against small stories whose end is known."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.evaluation import flicker, temporal_miou
from scanssc_core.evaluation.over_time import GhostClock, Moment, OverTime
from scanssc_core.evaluation.sequence import drifted
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import FREE, SEMANTIC_KITTI, STEREO_GEOMETRY, UNKNOWN

GRID = VoxelGridSpec((6, 5, 4), 0.2, (0.0, -0.5, -0.4))
PERSON, CAR, ROAD = (SEMANTIC_KITTI.id_of(name) for name in ("person", "car", "road"))
EVERYWHERE = np.ones(GRID.shape, bool)
NOWHERE = np.zeros(GRID.shape, bool)


def volume(label_of=None):
    labels = np.zeros(GRID.shape, np.uint8)
    for index, label in (label_of or {}).items():
        labels[index] = label
    return labels


def moment(number, labels, truth=None, **more):
    is_moving = None if truth is None else (truth == PERSON) | (truth == CAR)
    values = {
        "stamp_ns": number * 100_000_000,
        "T_world_grid": np.eye(4),
        "in_view": EVERYWHERE,
        "labels": {"frame": labels},
        "labels_before": {},
        "was_in_view": NOWHERE,
        "truth": truth,
        "is_moving": is_moving,
    }
    return Moment(**values | more)


def scores_of(over_time):
    table = over_time.score_table()
    return dict(zip(table.header, table.rows[0], strict=True))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_flicker_and_temporal_miou_are_those_of_every_voxel_alone(seed):
    random = np.random.default_rng(seed)
    now, then = (random.choice([FREE, FREE, 1, 2, 9, UNKNOWN], GRID.shape).astype(np.uint8) for _ in range(2))
    then = np.where(random.random(GRID.shape) < 0.5, now, then)
    in_view, was_in_view = (random.random(GRID.shape) < 0.9 for _ in range(2))
    is_moving, was_moving = (random.random(GRID.shape) < 0.1 for _ in range(2))
    over_time = OverTime(("frame",), SEMANTIC_KITTI, GRID)
    over_time.add(
        moment(
            1,
            now,
            in_view=in_view,
            labels_before={"frame": then},
            was_in_view=was_in_view,
            is_moving=is_moving,
            was_moving=was_moving,
        )
    )
    scores = scores_of(over_time)
    stands = in_view & was_in_view & ~is_moving & ~was_moving
    expected = flicker(now, then, stands)
    assert scores["flicker"] == pytest.approx(100 * expected[0])
    assert scores["flicker of occupied"] == pytest.approx(100 * expected[1])
    assert scores["temporal mIoU"] == pytest.approx(100 * temporal_miou(now, then, in_view & was_in_view), abs=1e-2)
    assert scores["IoU"] is None  # no labels


def test_labels_that_stay_do_not_flicker():
    over_time = OverTime(("frame",), SEMANTIC_KITTI, GRID)
    labels = volume({(1, 1, 1): CAR})
    over_time.add(moment(1, labels, labels_before={"frame": labels}, was_in_view=EVERYWHERE))
    scores = scores_of(over_time)
    assert (scores["flicker"], scores["temporal mIoU"]) == (0, pytest.approx(100, abs=1e-2))


def test_unknown_counts_as_empty_and_geometry_alone_has_no_miou():
    truth = volume({(1, 1, 1): CAR, (2, 1, 1): CAR, (3, 1, 1): UNKNOWN})
    labels = volume({(1, 1, 1): 2, (2, 1, 1): UNKNOWN, (3, 1, 1): 2})
    over_time = OverTime(("frame",), STEREO_GEOMETRY, GRID)
    over_time.add(moment(0, labels, truth))
    scores = scores_of(over_time)
    assert scores["IoU"] == pytest.approx(50) and scores["mIoU"] is None


def ghosts(said, truths, group="human", **more):
    """Seconds of the ghosts of a story: what is said and what is true, frame by frame."""
    clock = GhostClock(SEMANTIC_KITTI, GRID)
    for number, (labels, truth) in enumerate(zip(said, truths, strict=True)):
        here = moment(number, labels, truth)
        for name, values in more.items():
            here = replace(here, **{name: values[number]})
        clock.add(here, labels)
    seconds, is_cut = clock.seconds(group)
    return seconds.round(6).tolist(), is_cut.tolist()


STANDS, GONE = volume({(2, 2, 2): PERSON}), volume()


def test_a_ghost_is_timed_from_the_first_free_frame():
    assert ghosts([STANDS] * 5 + [GONE], [STANDS] * 2 + [GONE] * 4) == ([0.3], [False])


def test_a_place_that_is_free_at_once_is_no_ghost():
    assert ghosts([STANDS, GONE, GONE], [STANDS, GONE, GONE]) == ([0.0], [False])


def test_a_ghost_that_outlives_the_frames_is_cut_short():
    assert ghosts([STANDS] * 4, [STANDS] + [GONE] * 3) == ([0.2], [True])


def test_what_was_never_said_to_be_there_leaves_no_ghost():
    assert ghosts([GONE, STANDS, GONE], [STANDS, GONE, GONE]) == ([], [])


def test_the_clock_stands_still_while_the_place_is_not_seen():
    in_view = [EVERYWHERE, EVERYWHERE, NOWHERE, NOWHERE, EVERYWHERE, EVERYWHERE]
    said, truths = [STANDS] * 5 + [GONE], [STANDS] + [GONE] * 5
    assert ghosts(said, truths, in_view=in_view) == ([0.2], [False])
    assert ghosts(said, truths, is_occluded=[~view for view in in_view]) == ([0.2], [False])


def test_a_place_that_is_taken_again_ends_without_a_time():
    car = volume({(2, 2, 2): CAR})
    truths = [STANDS, GONE, car]
    assert ghosts([STANDS] * 3, truths) == ([], [])


def test_ground_is_no_ghost_and_another_obstacle_is():
    road, fence = volume({(2, 2, 2): ROAD}), volume({(2, 2, 2): SEMANTIC_KITTI.id_of("fence")})
    truths = [STANDS] + [GONE] * 3
    assert ghosts([STANDS, road, road, GONE], truths) == ([0.0], [False])
    assert ghosts([STANDS, fence, fence, GONE], truths) == ([0.2], [False])


def test_ghosts_are_kept_apart_by_what_left_them():
    truths = [volume({(2, 2, 2): CAR})] + [GONE] * 2
    assert ghosts([truths[0], truths[0], GONE], truths, "vehicle") == ([0.1], [False])
    assert ghosts([truths[0], truths[0], GONE], truths, "human") == ([], [])


def test_places_are_of_the_world_and_not_of_the_vehicle():
    """The vehicle drives on by two voxels a frame; the ghost stays where it was."""
    poses = [np.eye(4) for _ in range(3)]
    for number, pose in enumerate(poses):
        pose[0, 3] = 0.4 * number
    at = [volume({(5, 2, 2): PERSON}), volume({(3, 2, 2): PERSON}), volume({(1, 2, 2): PERSON})]
    assert ghosts(at, [at[0], GONE, GONE], T_world_grid=poses) == ([0.1], [True])
    assert ghosts([at[0]] * 3, [at[0], GONE, GONE], T_world_grid=poses) == ([0.0], [False])


def test_a_frame_without_labels_begins_anew():
    truths = [STANDS, None, GONE]
    assert ghosts([STANDS] * 3, truths) == ([], [])


@pytest.mark.parametrize("share", [0.0, 0.01, 0.03])
def test_odometry_drifts_by_its_share_of_the_way(share):
    poses = [np.eye(4) for _ in range(51)]
    for number, pose in enumerate(poses):
        pose[0, 3] = 0.5 * number
    end = drifted(poses, share)[-1]
    assert np.linalg.norm(end[:3, 3] - poses[-1][:3, 3]) == pytest.approx(25 * share, rel=0.15, abs=1e-9)
    assert np.arctan2(end[1, 0], end[0, 0]) == pytest.approx(25 * share * 0.01, abs=1e-9)
    np.testing.assert_allclose(end[:3, :3] @ end[:3, :3].T, np.eye(3), atol=1e-12)
