import dataclasses

import numpy as np
import pytest

from scanssc_core.health.input_health import Thresholds
from scanssc_core.runtime.backends import loads_weights, make_occupancy_backend, make_stereo_backend
from scanssc_core.synthetic.rigs import T_CAM_VELO
from scanssc_ros.parameter_table import dynamic_parameters, markdown_table, unknown_parameters
from scanssc_ros.parameters import NodeParameters


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


def test_baseline_that_no_cameras_have_is_refused():
    assert NodeParameters(baseline_m=0.0).problems() == NodeParameters(baseline_m=0.12).problems() == []
    assert NodeParameters(baseline_m=0.00012).problems() == [
        "baseline_m: expected 0 (as CameraInfo says) or 0.01 m at least, got 0.00012"
    ]


def test_precision_other_than_float32_needs_a_network():
    assert "precision" in NodeParameters(model="stereo", precision="float16").problems()[0]


def test_a_robot_lower_than_its_step_is_refused():
    (problem,) = NodeParameters(robot_height_m=0.5, height_margin_m=0.0, step_height_m=0.5).problems()
    assert problem.startswith("robot_height_m: 0.5 m")


def test_every_parameter_has_a_description_and_a_row_in_the_table():
    table = markdown_table(NodeParameters)
    for entry in dataclasses.fields(NodeParameters):
        assert entry.metadata["description"].endswith((".", "KITTI's."))
        assert f"| `{entry.name}` |" in table
    assert "max_age_s" in dynamic_parameters(NodeParameters)
    assert "model" not in dynamic_parameters(NodeParameters)


def test_names_that_are_no_parameters_are_told_with_the_one_that_may_be_meant():
    class GivenNode:
        _parameter_overrides = dict.fromkeys(("model", "modell", "qos_overrides./left/image_rect.subscription.depth"))

        def has_parameter(self, name):
            return name == "model"

    first, second = unknown_parameters(GivenNode(), ["model", "precision"])
    assert first == "modell: the node has no parameter of this name; is model meant?"
    assert "documentation" in second


def test_pose_that_is_no_optical_frames_is_refused_by_name():
    body = np.eye(4)[:3].reshape(-1).tolist()
    (problem,) = NodeParameters(t_camera_grid=body).problems()
    assert problem.startswith("t_camera_grid: the camera's z axis points +0.00 forward")


@pytest.mark.parametrize("extent", [[5.0], [5.0, -1.0], [5.0, float("nan")], [1.0, 2.0, 3.0]])
def test_extent_that_is_no_window_is_refused_by_name(extent):
    (problem,) = NodeParameters(grid_extent=extent).problems()
    assert problem.startswith("grid_extent: expected two lengths, ahead and aside, 0 or above, got")


def test_frames_lose_a_leading_slash():
    parameters = NodeParameters(grid_frame="/base_link", camera_frame="/left_optical")
    assert (parameters.grid_frame, parameters.camera_frame) == ("base_link", "left_optical")
    assert "grid_frame" in NodeParameters(grid_frame="/").problems()[0]


@pytest.mark.parametrize("model", ["lite", "stereo", "dummy"])
def test_checkpoint_that_no_model_would_load_is_refused_by_name(model, tmp_path):
    with pytest.raises(ValueError, match=f"checkpoint: .*mine.ckpt was given, but model is {model}"):
        make_occupancy_backend(model, tmp_path / "mine.ckpt")


def test_weights_that_no_depth_would_be_computed_with_are_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="stereo_checkpoint: .*mine.ckpt was given, but stereo_backend is sgm"):
        make_stereo_backend("sgm", tmp_path / "mine.ckpt")
    (problem,) = NodeParameters(stereo_backend="topic", stereo_checkpoint="mine.ckpt").problems()
    assert problem.startswith("stereo_checkpoint: mine.ckpt was given, but stereo_backend is topic")


def test_thresholds_of_the_input_health_are_the_parameters_of_the_same_names():
    assert NodeParameters().thresholds == Thresholds()
    assert NodeParameters(min_sharpness=0.1, max_row_offset_px=0.0).thresholds == Thresholds(
        min_sharpness=0.1, max_row_offset_px=0.0
    )
    names = {entry.name for entry in dataclasses.fields(Thresholds)}
    assert names | {"drop_faulty"} <= dynamic_parameters(NodeParameters)


def test_what_loads_weights_is_known_before_they_are_loaded(tmp_path):
    file = tmp_path / "mine.ckpt"
    assert not loads_weights("kitti360", file)  # there is none: refused at once
    file.touch()
    assert loads_weights("lite", None) and not loads_weights("lite", file)
    assert loads_weights("kitti360", file) and loads_weights("msnet3d", file) and not loads_weights("kitti360", None)
    assert not any(loads_weights(name, given) for name in ("stereo", "dummy", "sgm", "magic") for given in (None, file))
