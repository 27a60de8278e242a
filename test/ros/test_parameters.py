import dataclasses

import numpy as np

from scanssc_core.synthetic.rigs import T_CAM_VELO
from scanssc_ros.parameters import DYNAMIC_PARAMETERS, NodeParameters, markdown_table


def test_defaults_have_no_problem():
    assert NodeParameters().problems() == []


def test_all_problems_are_listed_at_once_by_name():
    bad = NodeParameters(model="magic", sync_tolerance_s=-1.0, grid_frame="", t_camera_grid=[1.0] * 12)
    problems = bad.problems()
    assert [problem.partition(":")[0] for problem in problems] == [
        "sync_tolerance_s",
        "model",
        "grid_frame",
        "t_camera_grid",
    ]
    assert "stereo" in problems[1]


def test_extrinsics_of_a_wrong_length_or_a_mirror_are_refused():
    assert "12 numbers" in NodeParameters(t_camera_grid=[1.0]).problems()[0]
    mirrored = np.array(NodeParameters().t_camera_grid).reshape(3, 4)
    mirrored[:, 0] *= -1
    assert "rotation" in NodeParameters(t_camera_grid=mirrored.reshape(-1).tolist()).problems()[0]


def test_default_extrinsics_are_those_of_a_kitti_car():
    T_cam_grid = NodeParameters().T_cam_grid
    np.testing.assert_allclose(T_cam_grid[:3, :3], T_CAM_VELO[:3, :3], atol=0.02)
    np.testing.assert_allclose(T_cam_grid[:3, 3], [0.056, -0.075, -0.328], atol=1e-3)


def test_precision_other_than_float32_needs_a_network():
    assert "precision" in NodeParameters(model="stereo", precision="float16").problems()[0]


def test_every_parameter_has_a_description_and_a_row_in_the_table():
    table = markdown_table()
    for entry in dataclasses.fields(NodeParameters):
        assert entry.metadata["description"].endswith((".", "KITTI's."))
        assert f"| `{entry.name}` |" in table
    assert "max_age_s" in DYNAMIC_PARAMETERS
    assert "model" not in DYNAMIC_PARAMETERS
