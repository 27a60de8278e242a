"""What moves on a street, against a scene in which it stands."""

from dataclasses import replace

import numpy as np
import pytest

from scanssc_core.datasets.semantic_kitti import read_moving_mask, read_voxel_labels, write_voxel_labels
from scanssc_core.geometry import PinholeCamera, StereoRig, VoxelGridSpec
from scanssc_core.labels import FREE, MOVING_RAW_IDS, SEMANTIC_KITTI
from scanssc_core.synthetic import sequence as sequence_module
from scanssc_core.synthetic.lidar import survey_sweep, with_movers
from scanssc_core.synthetic.movers import Mover
from scanssc_core.synthetic.scene import wall_scene
from scanssc_core.synthetic.sequence import SyntheticSequence
from scanssc_core.synthetic.solids import Box
from scanssc_core.synthetic.street import Drive, make_street
from scanssc_core.synthetic.writer import SynthSpec

GRID = VoxelGridSpec.semantic_kitti()
SMALL_RIG = StereoRig(PinholeCamera(180.0, 180.0, 79.5, 44.0, width=160, height=90), 0.5, 79.5)
PERSON = SEMANTIC_KITTI.id_of("person")
BODY = Box("person", "plain", (0.0, 0.0, 0.9), (0.6, 0.6, 1.8), (0.8, 0.1, 0.1))
#: Crosses ten metres ahead of the first frame, from the right to the left.
WALKER = Mover((BODY,), (10.0, -2.0), (0.0, 2.0), (0.6, 0.6))
DURATION_S = 3.0


@pytest.fixture(scope="module")
def drive():
    return SyntheticSequence(wall_scene(20.0), 11, rig=SMALL_RIG, speed_m_s=1.0, movers=(WALKER,))


@pytest.fixture
def short_labels(monkeypatch):
    monkeypatch.setattr(sequence_module, "LABEL_AHEAD_M", 6.0)


def test_labels_have_what_moves_where_it_is_at_that_frame_and_nowhere_else(drive, short_labels):
    for index in (0, 10):
        truth = drive.truth(index, GRID)
        centers = GRID.centers()[truth.is_moving]
        assert len(centers) > 10
        left_m = -2.0 + 2.0 * index / 10
        assert np.abs(centers[:, 1] - left_m).max() < 0.3 + 0.2
        assert np.abs(centers[:, 0] - (10.0 - index / 10)).max() < 0.3 + 0.2
        np.testing.assert_array_equal(truth.is_moving, truth.labels == PERSON)


def test_pictures_show_what_moves(drive):
    for index in (0, 10):
        columns = np.nonzero(drive.views(index)[0].class_ids == PERSON)[1]
        x, y = 10.0 - index / 10 - 0.3, -2.0 + 2.0 * index / 10
        assert columns.mean() == pytest.approx(79.5 - 180 * y / (x - 0.27), abs=5)


def test_what_stands_is_rendered_as_without_what_moves(drive):
    still = replace(drive, movers=())
    moved, without = (one.views(0)[0] for one in (drive, still))
    is_same = moved.class_ids != PERSON
    np.testing.assert_array_equal(moved.depth_m[is_same], without.depth_m[is_same])


def test_a_sweep_with_movers_is_that_of_a_scene_in_which_they_stand(drive):
    overlaid = with_movers(survey_sweep(drive.scene, drive.pose(0)), drive.movers_at(0))
    whole = survey_sweep(drive.scene_at(0), drive.pose(0))
    np.testing.assert_allclose(overlaid.range_m, whole.range_m)
    np.testing.assert_array_equal(overlaid.is_hit, whole.is_hit)
    hits = [np.vstack([one.points_world, one.class_ids]) for one in (overlaid, whole)]
    first, second = (hit[:, np.lexsort(hit)] for hit in hits)  # what moves comes last in the first
    np.testing.assert_allclose(first, second)
    np.testing.assert_array_equal(overlaid.is_moving, overlaid.class_ids == PERSON)


def corners(mover, time_s):
    """Low and high corner in road coordinates."""
    place, half = np.array(mover.place(time_s)), np.array(mover.extent_m)
    return place - half, place + half


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_nobody_runs_into_another_or_into_who_drives(seed):
    street = make_street(seed, 80.0, "town", Drive(8.0 * DURATION_S, 8.0))
    driver = Mover((), (0.0, street.lane_m), (8.0, 0.0), (4.8, 1.85))
    movers = [driver, *street.movers]
    assert len(movers) > 3
    for time_s in np.arange(0, DURATION_S, 0.1):
        for index, one in enumerate(movers):
            for other in movers[:index]:
                (low, high), (other_low, other_high) = corners(one, time_s), corners(other, time_s)
                assert (low > other_high).any() or (high < other_low).any()


def test_nothing_stands_in_the_way_of_what_moves():
    street = make_street(3, 80.0, "town", Drive(8.0 * DURATION_S, 8.0))
    low = [s for s in street.scene.solids if s.center[2] - s.size[2] / 2 < 1.0]
    times_s = np.arange(0, DURATION_S, 0.2)
    places = [street.path.place(*mover.place(time_s)) for mover in street.movers for time_s in times_s]
    points = np.column_stack([places, np.zeros(len(places))]).T
    for solid in low:
        along, across, _ = np.abs(solid.local_points(points))
        assert ((along > solid.size[0] / 2) | (across > solid.size[1] / 2)).all()


def test_one_seed_moves_the_same_things():
    first, second = (make_street(6, 60.0, drive=Drive(16.0, 8.0)).movers for _ in range(2))
    assert [(m.start_m, m.velocity_m_s, m.solids) for m in first] == [
        (m.start_m, m.velocity_m_s, m.solids) for m in second
    ]


def test_robots_meet_moving_things_too():
    drive = SynthSpec(1, 10, 3, 0.15, "mixed", moving=True).drive(0)
    assert drive.rate_hz == pytest.approx(10) and drive.movers
    assert not SynthSpec(1, 10, 3, 0.15, "mixed").drive(0).movers


def test_moving_voxels_have_raw_ids_of_their_own_and_their_class(tmp_path):
    labels = np.zeros(GRID.shape, np.uint8)
    labels[1, 1, 1], labels[2, 1, 1] = PERSON, PERSON
    is_moving = np.zeros(GRID.shape, bool)
    is_moving[1, 1, 1] = True
    path = tmp_path / "000000.label"
    write_voxel_labels(path, labels, is_moving)
    np.testing.assert_array_equal(read_moving_mask(path), is_moving)
    np.testing.assert_array_equal(read_voxel_labels(path, None, "semantic_kitti"), labels)
    raw_ids = np.fromfile(path, "<u2").reshape(GRID.shape)
    assert raw_ids[1, 1, 1] == MOVING_RAW_IDS["person"] and raw_ids[2, 1, 1] == 30
    is_moving[0, 0, 0] = True
    assert labels[0, 0, 0] == FREE
    with pytest.raises(ValueError, match=r"000000\.label: expected only car, .* to move"):
        write_voxel_labels(path, labels, is_moving)
