"""Time of each output for planners, from a labelled grid to the message. Writes docs/benchmarks/planning.md.

python benchmarks/planning.py
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from scanssc_core.geometry import LIDAR_HEIGHT_M, invert_transform
from scanssc_core.planning import PlanningClasses, RobotBody, clearing_ends, cost_of_columns, find_columns
from scanssc_core.runtime.backends import make_occupancy_backend, make_stereo_backend
from scanssc_core.runtime.pipeline import OccupancyPipeline
from scanssc_core.synthetic.sequence import SyntheticSequence
from scanssc_ros.output.class_costs import read_costs
from scanssc_ros.output.planning_messages import costmap_message, planning_cloud, row_image
from scanssc_ros.parameters import NodeParameters

_TABLE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "planning.md"
_NUM_RUNS = 30
_MODELS = ("lite", "stereo")


def median_ms(work: Callable[[], object]) -> float:
    """Median CPU time of several runs, after one to warm up."""
    work()
    times = []
    for _ in range(_NUM_RUNS):
        start = time.process_time()
        work()
        times.append((time.process_time() - start) * 1e3)
    return statistics.median(times)


def measure(model: str) -> dict[str, str]:
    """Cells of the table's column for a model's labels of a synthetic street."""
    frame = next(iter(SyntheticSequence.on_street(seed=1, num_frames=1)))
    pipeline = OccupancyPipeline(make_stereo_backend("sgm"), make_occupancy_backend(model))
    grid, label_set = pipeline.occupancy.grid, pipeline.occupancy.label_set
    labels = pipeline.run(frame.left_rgb, frame.right_rgb, frame.rig, frame.T_cam_velo).occupancy.labels
    classes = PlanningClasses.of(label_set.names, read_costs(""))
    parameters, header = NodeParameters(), Header(frame_id="velodyne")
    body = RobotBody(parameters.step_height_m, parameters.robot_height_m + parameters.height_margin_m)
    camera_m = invert_transform(frame.T_cam_velo)[:3, 3]
    columns = find_columns(labels, grid, classes, body, -LIDAR_HEIGHT_M)
    obstacles = columns.obstacle_voxels(labels, classes)
    ends = np.concatenate(clearing_ends(labels, columns, grid, classes, camera_m))
    points = np.concatenate([columns.surface_voxels(), obstacles])

    def cloud(indices: np.ndarray) -> bytes:
        return serialize_message(planning_cloud(indices, labels, columns.ground, grid, header))

    rows = {
        "ground of every column (once for all that follow)": lambda: find_columns(
            labels, grid, classes, body, -LIDAR_HEIGHT_M
        ),
        "`~/costmap`": lambda: serialize_message(
            costmap_message(cost_of_columns(labels, columns, grid, classes), grid, header)
        ),
        "`~/costmap` with `person_margin_m`": lambda: serialize_message(
            costmap_message(cost_of_columns(labels, columns, grid, classes, 0.5), grid, header)
        ),
        "`~/obstacles`": lambda: cloud(columns.obstacle_voxels(labels, classes)),
        "`~/ground`": lambda: cloud(np.concatenate(clearing_ends(labels, columns, grid, classes, camera_m))),
        "`~/segmentation/mask` and `points`": lambda: (
            cloud(np.concatenate([columns.surface_voxels(), columns.obstacle_voxels(labels, classes)])),
            row_image(labels[tuple(points.T)], header),
        ),
    }
    cells = {name: f"{median_ms(work):.1f}" for name, work in rows.items()}
    for name, indices in (("obstacles", obstacles), ("ground", ends), ("segmentation/points", points)):
        cells[f"points in `~/{name}`"] = f"{len(indices):,}"
    return cells


def main() -> None:
    """Measure and write the table."""
    cells = {model: measure(model) for model in _MODELS}
    lines = [
        "# Cost of the outputs for planners",
        "",
        "`python benchmarks/planning.py`: labels of a synthetic street (256 x 256 x 32 voxels) to serialised messages.",
        f"Milliseconds of one core, median of {_NUM_RUNS} runs.",
        "",
        f"| | {' | '.join(f'`model:={model}`' for model in _MODELS)} |",
        f"| --- |{' --- |' * len(_MODELS)}",
        *(f"| {name} | {' | '.join(cells[model][name] for model in _MODELS)} |" for name in cells[_MODELS[0]]),
    ]
    _TABLE.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
