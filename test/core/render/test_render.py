import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from scanssc_core.geometry import LIDAR_HEIGHT_M, VoxelGridSpec
from scanssc_core.labels import FREE, SEMANTIC_KITTI, STEREO_GEOMETRY, UNKNOWN
from scanssc_core.planning import (
    NO_INFORMATION,
    PlanningClasses,
    RobotBody,
    cost_of_columns,
    find_columns,
)
from scanssc_core.render import report
from scanssc_core.render.report import pale_where_unknown, render_report
from scanssc_core.render.top_view import free_columns, render_top_view
from scanssc_core.render.voxel_view import Viewpoint, render_voxels

GRID = VoxelGridSpec(shape=(12, 8, 4), voxel_size_m=1.0, origin_m=(0.0, -4.0, -2.0))
COLORS = np.array([(0, 0, 0), (200, 0, 0), (0, 200, 0), (0, 0, 200)], np.uint8)
FROM_BEHIND = Viewpoint(eye=(-8.0, 0.0, 1.0), target=(6.0, 0.0, -0.5), focal_px=200.0)


def test_nearer_voxels_hide_those_behind_them():
    labels = np.full(GRID.shape, FREE, np.uint8)
    labels[8, :, :] = 2
    labels[2, :, :] = 1
    image = render_voxels(labels, GRID, COLORS, 200, 120, FROM_BEHIND)
    assert image[66, 100, 0] > 100 and image[66, 100, 1] < 60


def test_free_and_unknown_voxels_are_not_drawn():
    labels = np.full(GRID.shape, UNKNOWN, np.uint8)
    labels[:6] = FREE
    assert (render_voxels(labels, GRID, COLORS, 100, 80, FROM_BEHIND) == 255).all()


def test_top_view_shows_the_highest_class_with_the_far_end_up_and_left_on_the_left():
    labels = np.full(GRID.shape, UNKNOWN, np.uint8)
    labels[11, 7, 0], labels[11, 7, 3] = 1, 2
    image = render_top_view(labels, COLORS, np.zeros(GRID.shape[:2], bool))
    assert image.shape == (12, 8, 3)
    assert image[0, 0].tolist() == [0, 200, 0]
    assert (image[5, 5] == image[5, 5, 0]).all()


def test_free_and_unknown_columns_differ_in_the_top_view():
    is_free = np.zeros(GRID.shape[:2], bool)
    is_free[0, 0] = True
    image = render_top_view(np.full(GRID.shape, UNKNOWN, np.uint8), COLORS, is_free)
    assert (image[11, 7] == 255).all() and (image[0, 0] == 222).all()


def test_free_is_where_the_lowest_voxel_over_the_ground_is_free_and_not_air_higher_up():
    labels = np.full(GRID.shape, UNKNOWN, np.uint8)
    ground = STEREO_GEOMETRY.id_of("ground")
    labels[:4, :, 0] = ground
    labels[4:8, :, 1:] = FREE  # no ground of its own: that of its neighbours
    labels[8:, :, 2:] = FREE  # seen from a slope over it, say
    labels[:4, :4, 1:] = FREE
    is_free = free_columns(labels, GRID, STEREO_GEOMETRY)
    assert is_free[:4, :4].all() and not is_free[:4, 4:].any() and is_free[4:8].all() and not is_free[8:].any()


def test_free_columns_are_those_of_the_costmap():
    """Where nothing stands the costmap of a robot that drives over no more than a voxel's part knows the same."""
    labels = np.random.default_rng(0).choice(np.array([FREE, 1, UNKNOWN], np.uint8), GRID.shape)  # 1: ground
    classes = PlanningClasses.of(STEREO_GEOMETRY.names, dict.fromkeys(STEREO_GEOMETRY.names, 0))
    columns = find_columns(labels, GRID, classes, RobotBody(0.1, 1.5), -LIDAR_HEIGHT_M)
    cost = cost_of_columns(labels, columns, GRID, classes)
    is_bare = columns.surface < 0
    assert is_bare.any()
    is_known = cost != NO_INFORMATION
    np.testing.assert_array_equal(free_columns(labels, GRID, STEREO_GEOMETRY)[is_bare], is_known[is_bare])


def test_the_inside_of_a_house_is_unknown_in_the_report(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        report, "render_top_view", lambda *arguments: drawn.append(render_top_view(*arguments)) or drawn[-1]
    )
    grid = VoxelGridSpec.semantic_kitti()
    truth = np.full(grid.shape, FREE, np.uint8)
    truth[:, :, 1] = SEMANTIC_KITTI.id_of("road")
    truth[100:120, 100:120] = UNKNOWN
    truth[100:120, 100:120, 28:] = FREE  # over the roof
    truth[[100, 119], 100:120, :28] = truth[100:120, [100, 119], :28] = SEMANTIC_KITTI.id_of("building")
    left_rgb = np.full((40, 120, 3), 128, np.uint8)
    labels = np.full(grid.shape, UNKNOWN, np.uint8)
    render_report(left_rgb, np.zeros((40, 120)), labels, grid, SEMANTIC_KITTI, "title", truth)
    assert (drawn[1][::-1, ::-1][101:119, 101:119] == 222).all()


@pytest.mark.parametrize("is_empty", [True, False])
def test_report_is_a_png_with_four_panels(is_empty):
    labels = np.full(GRID.shape, UNKNOWN, np.uint8)
    if not is_empty:
        labels[3:6, 2:5, 0] = 1
    left_rgb = np.full((40, 120, 3), 128, np.uint8)
    png = render_report(left_rgb, np.zeros((40, 120)), labels, GRID, STEREO_GEOMETRY, "title")
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape[0] > 600 and image.shape[1] > 1200


def test_report_names_viewpoints_axes_classes_and_what_white_and_grey_are(monkeypatch):
    figures = []

    class KeptFigure(Figure):
        def __init__(self, **arguments):
            super().__init__(**arguments)
            figures.append(self)

    monkeypatch.setattr(report, "Figure", KeptFigure)
    grid = VoxelGridSpec.semantic_kitti()
    labels, truth = np.full((2, *grid.shape), UNKNOWN, np.uint8)
    labels[:50, 100:150, 2] = SEMANTIC_KITTI.id_of("road")
    truth[:50, 100:150, 2] = SEMANTIC_KITTI.id_of("parking")
    left_rgb = np.full((40, 120, 3), 128, np.uint8)
    for with_truth in (None, truth):
        render_report(left_rgb, np.zeros((40, 120)), labels, grid, SEMANTIC_KITTI, "title", with_truth)
    texts = [{text.get_text() for text in figure.findobj(Text)} for figure in figures]
    viewpoints = ("from above", "from behind, left of and above the camera")
    assert {f"prediction, {name}" for name in viewpoints} <= texts[0]
    assert {"lateral position (m), positive: left", "forward position (m)", "road"} <= texts[0]
    assert {"free (seen or completed)", "unknown"} <= texts[0] and "parking" not in texts[0]
    assert {f"truth (pale: not predicted), {name}" for name in viewpoints} | {"parking"} == texts[1] - texts[0]


def test_truth_is_pale_where_the_prediction_is_unknown():
    grid = VoxelGridSpec.semantic_kitti()
    truth = np.full(grid.shape, FREE, np.uint8)
    truth[60:120, 100:150, 2] = 1
    truth[:10] = UNKNOWN
    color = SEMANTIC_KITTI.colors[1].astype(float)
    pale = color + 0.75 * (255 - color)
    is_unknown = np.zeros(grid.shape, bool)
    shown, _ = pale_where_unknown(truth, is_unknown)
    assert (shown == truth).all()
    is_unknown[:, 125:] = True  # left of the middle
    shown, colors = pale_where_unknown(truth, is_unknown)
    image = render_voxels(shown, grid, colors).astype(float)
    (_, in_color), (_, in_pale) = (np.nonzero((abs(image - shown) <= 1).all(axis=2)) for shown in (color, pale))
    assert len(in_color) > 100 and len(in_pale) > 100
    assert in_color.mean() > in_pale.mean()
