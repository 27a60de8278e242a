import csv

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from scanssc_core.cli.stereo import stereo_app

FOCAL_PX, BASELINE_M, WIDTH, HEIGHT = 180.0, 0.5, 320, 96
DISPARITY_PX = 9  # a wall at 10 m


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two frames of a textured wall that fills the view, with LiDAR points all over it."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "sequences" / "00"
    for name in ("image_2", "image_3", "velodyne"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 255, (HEIGHT, WIDTH + DISPARITY_PX, 3), dtype=np.uint8)
    u, v = (values.reshape(-1) for values in np.meshgrid(np.arange(40, WIDTH, 3), np.arange(0, HEIGHT, 3)))
    depth_m = FOCAL_PX * BASELINE_M / DISPARITY_PX
    across_m, down_m = (u - WIDTH / 2) / FOCAL_PX * depth_m, (v - HEIGHT / 2) / FOCAL_PX * depth_m
    points = np.stack([np.full(len(u), depth_m), -across_m, -down_m, np.zeros(len(u))], axis=1)
    for index in range(2):
        cv2.imwrite(str(folder / "image_2" / f"{index:06d}.png"), texture[:, :WIDTH])
        cv2.imwrite(str(folder / "image_3" / f"{index:06d}.png"), texture[:, DISPARITY_PX:])
        points.astype("<f4").tofile(folder / "velodyne" / f"{index:06d}.bin")
    intrinsics = f"{FOCAL_PX} 0 {WIDTH / 2} {{}} 0 {FOCAL_PX} {HEIGHT / 2} 0 0 0 1 0"
    lines = [f"P2: {intrinsics.format(0)}", f"P3: {intrinsics.format(-FOCAL_PX * BASELINE_M)}"]
    lines += ["Tr: 0 -1 0 0 0 0 -1 0 1 0 0 0"]
    (folder / "calib.txt").write_text("\n".join(lines) + "\n")
    (folder / "times.txt").write_text("0.0\n0.1\n")
    return root


def run(*arguments):
    return CliRunner().invoke(stereo_app, ["eval", *map(str, arguments)])


def test_table_csv_and_plot_have_every_sequence_and_band(data, tmp_path):
    result = run("--data", data, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    with (tmp_path / "stereo.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["sequence"], row["distance_m"]) for row in rows][:2] == [("00", "all"), ("00", "1-10")]
    assert len(rows) == 2 * 6 and {row["backend"] for row in rows} == {"sgm"}
    whole = rows[0]
    assert int(whole["num_points"]) > 1000 and float(whole["coverage"]) > 0.3
    assert float(whole["median_relative"]) < 0.03 and float(whole["outliers"]) < 0.1
    assert "| sgm | 00 |" in (tmp_path / "stereo.md").read_text()
    assert (tmp_path / "stereo.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_wrong_with_the_data_or_the_backend_is_said(data, tmp_path):
    assert f"there is no folder {tmp_path / 'sequences'}" in str(run("--data", tmp_path).exception)
    (tmp_path / "sequences" / "00").mkdir(parents=True)
    assert "sequences/00/velodyne: depth is scored against LiDAR" in str(run("--data", tmp_path).exception)
    (tmp_path / "sequences" / "00").rmdir()
    assert "found no sequence there" in str(run("--data", tmp_path).exception)
    assert "no sequence 77" in str(run("--data", data, "--sequence", "77").exception)
    assert "msnet3d needs weights" in str(run("--data", data, "--backend", "msnet3d").exception)
    assert "expected one of sgm" in str(run("--data", data, "--backend", "magic").exception)
