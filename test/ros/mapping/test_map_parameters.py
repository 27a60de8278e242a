import dataclasses

import pytest

from scanssc_core.mapping.semantic_map import MapConfig
from scanssc_ros.mapping.parameters import MapParameters


def test_defaults_have_no_problem_and_are_those_of_the_core():
    assert MapParameters().problems() == []
    assert MapParameters().map_config == MapConfig()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pose_source", "gps"),
        ("window_m", [51.2, 51.2]),
        ("window_m", [51.2, -1.0, 6.4]),
        ("window_m", [51.2, float("nan"), 6.4]),
        ("odometry_frame", "/"),
        ("half_life_human_s", 0.0),
        ("max_gap_s", -1.0),
    ],
)
def test_each_problem_names_its_parameter(name, value):
    (problem,) = MapParameters(**{name: value}).problems()
    assert problem.startswith(f"{name}: expected")


def test_parameters_reach_the_rules_of_the_map():
    config = MapParameters(half_life_vehicle_s=7.0, max_speed_m_s=3.0, window_m=[10.0, 20.0, 4.0]).map_config
    assert (config.half_lives.vehicle_s, config.max_speed_m_s, config.window_m) == (7.0, 3.0, (10.0, 20.0, 4.0))
    assert dataclasses.replace(config.half_lives, vehicle_s=MapConfig().half_lives.vehicle_s) == MapConfig().half_lives
