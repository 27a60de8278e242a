import numpy as np
import pytest

from scanssc_core.labels import (
    FREE,
    KITTI_360,
    SEMANTIC_KITTI,
    SEMANTIC_KITTI_RAW_IDS,
    STEREO_GEOMETRY,
    UNKNOWN,
    LabelSet,
    colors_of,
)


def test_semantic_kitti_has_twenty_classes_in_the_published_order():
    assert SEMANTIC_KITTI.num_classes == 20
    assert SEMANTIC_KITTI.names[FREE] == "empty"
    assert [SEMANTIC_KITTI.id_of(name) for name in ("car", "road", "building", "traffic-sign")] == [1, 9, 13, 19]
    assert SEMANTIC_KITTI_RAW_IDS[[1, 9, 19]].tolist() == [10, 40, 81]


@pytest.mark.parametrize("label_set", [SEMANTIC_KITTI, STEREO_GEOMETRY])
def test_no_class_has_the_id_of_unknown_and_colours_differ(label_set):
    assert label_set.num_classes <= UNKNOWN
    assert len(np.unique(label_set.colors, axis=0)) == label_set.num_classes


def test_an_unknown_name_lists_the_classes():
    with pytest.raises(ValueError, match="no class named 'tank'.*car"):
        SEMANTIC_KITTI.id_of("tank")


def test_a_label_set_without_a_colour_for_each_class_is_refused():
    with pytest.raises(ValueError, match="colour"):
        LabelSet(("empty", "car"), np.zeros((1, 3), np.uint8))


def test_colors_are_those_of_the_name_in_whatever_set_and_grey_else():
    colors = colors_of(("empty", "person", "other-object", "overhead", "yeti")).tolist()
    assert colors == [[0, 0, 0], [255, 30, 30], [255, 255, 50], [0, 140, 150], [160, 160, 160]]


def test_overhead_is_told_from_every_class_that_a_truth_beside_it_has():
    overhead = STEREO_GEOMETRY.colors[STEREO_GEOMETRY.id_of("overhead")].astype(float)
    for label_set in (SEMANTIC_KITTI, KITTI_360):
        assert np.linalg.norm(label_set.colors[1:] - overhead, axis=1).min() > 80
