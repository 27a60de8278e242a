"""What the pages on cameras say of presets and poses, against the files and the geometry."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml

from scanssc_core.geometry.transforms import invert_transform, make_transform

ROOT = Path(__file__).resolve().parents[2]
CAMERAS = ROOT / "docs" / "cameras.md"
OWN_CAMERA = ROOT / "docs" / "tutorials" / "own_camera.md"
TOPICS = ("left_image", "right_image", "left_camera_info", "right_camera_info", "disparity", "depth")
REMAPPED = {
    "left/image_rect": "left_image",
    "right/image_rect": "right_image",
    "left/camera_info": "left_camera_info",
    "right/camera_info": "right_camera_info",
}


def preset(file):
    """Topics and parameters of a preset for a camera of its default name, and that name: None where it has none."""
    content = yaml.safe_load(file.read_text())
    name = content.get("camera_name") or "NAME"
    return (
        {key: topic.format(camera_name=name) for key, topic in content["topics"].items()},
        {
            key: value.format(camera_name=name) if isinstance(value, str) else value
            for key, value in content["parameters"].items()
        },
        content.get("camera_name"),
    )


def table():
    lines = ["| `camera` | `camera_name` | topics | parameters |", "| --- | --- | --- | --- |"]
    for file in sorted((ROOT / "config" / "cameras").glob("*.yaml")):
        topics, parameters, name = preset(file)
        cells = [
            f"`{file.stem}`",
            {None: "", "": "to be given: `NAME`"}.get(name, f"`{name}`"),
            "<br>".join(f"{key}: `{topics[key]}`" for key in TOPICS if key in topics) or "the node's own",
            "<br>".join(f"`{key}: {value}`" for key, value in parameters.items()),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def test_page_has_the_topics_and_parameters_of_every_preset():
    print(table())  # to be pasted
    assert table() in CAMERAS.read_text()


def test_what_a_pair_can_measure_follows_from_focal_length_and_baseline():
    row = r"^\| [^|]+ \| ([\d.]+)(?: at \d+)? \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$"
    rows = re.findall(row, CAMERAS.read_text(), re.MULTILINE)
    assert len(rows) == 13
    for fx, baseline_m, *written in rows:
        fx_times_baseline = float(fx) * float(baseline_m)
        nearest_m, error_m = fx_times_baseline / 128, 0.25 * 10**2 / fx_times_baseline
        reach_m = (0.2 * fx_times_baseline / 0.25) ** 0.5
        assert written == [f"{nearest_m:.1f}", f"{error_m:.2f}", f"{reach_m:.1f}"], (fx, baseline_m)


def test_command_without_the_launch_file_is_the_preset_of_the_zed():
    (command,) = re.findall(r"^\S*scanssc_node (--ros-args -p grid_frame.*?)^```", CAMERAS.read_text(), re.M | re.S)
    topics, parameters, _ = preset(ROOT / "config" / "cameras" / "zed.yaml")
    given = dict(re.findall(r"-p (\S+):=(\S+)", command))
    assert {name: yaml.safe_load(value) for name, value in given.items()} == parameters
    given = dict(re.findall(r"-r (\S+):=(\S+)", command))
    assert given == {name: topics[key] for name, key in REMAPPED.items()}


def pose_of(t_camera_grid):
    """(4, 4) T_base_camera of the twelve numbers of the parameter, as it is written."""
    rows = np.reshape(yaml.safe_load(t_camera_grid), (3, 4))
    return invert_transform(np.vstack([rows, [0.0, 0.0, 0.0, 1.0]]))


def test_poses_of_the_tutorial_are_of_one_camera_that_looks_ahead():
    text = OWN_CAMERA.read_text()
    (numbers,) = re.findall(r"^    t_camera_grid: (.*)$", text, re.MULTILINE)
    (options,) = re.findall(r"static_transform_publisher (.*--qx.*) \\$", text, re.MULTILINE)
    given = {name: float(value) for name, value in re.findall(r"--(\w+) (-?[\d.]+)", options)}
    by_publisher = make_transform([given[f"q{axis}"] for axis in "xyzw"], [given["x"], 0.0, given["z"]])
    by_parameter = pose_of(numbers)
    np.testing.assert_allclose(by_publisher, by_parameter, atol=1e-12)
    right, down, forward, position = by_parameter[:3].T
    np.testing.assert_allclose((right, down, forward), ((0, -1, 0), (0, 0, -1), (1, 0, 0)))
    np.testing.assert_allclose(position, (0.2, 0.0, 0.5))


def test_script_for_a_camera_that_looks_down_puts_it_where_it_says():
    (script,) = re.findall(r"^python3 - <<'PYTHON'\n(.*?)^PYTHON$", OWN_CAMERA.read_text(), re.MULTILINE | re.DOTALL)
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    forward, right, position = (pose_of(printed)[:3, column] for column in (2, 0, 3))
    down_rad = np.radians(10)
    np.testing.assert_allclose(forward, (np.cos(down_rad), 0, -np.sin(down_rad)), atol=1e-12)
    np.testing.assert_allclose(right, (0, -1, 0), atol=1e-12)
    np.testing.assert_allclose(position, (0.2, 0.0, 0.5), atol=1e-12)
