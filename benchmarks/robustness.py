"""What is left of the scores when pictures are damaged, and whether the input health tells: writes docs/robustness.md.

OMP_NUM_THREADS=1 python benchmarks/robustness.py [--data ROOT] [--frames 6] [--severities 1,2,3] [--checkpoint FILE]

Without --data, the first streets of docs/lite.md's validation, which no shipped weights were trained on, are rendered
first; the first frame of each is taken. Every kind at every
severity is what `scanssc eval --corrupt KIND:SEVERITY` does.
"""

import argparse
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from scanssc_core.checkpoint.load import load_model
from scanssc_core.checkpoint.shipped import LITE_WEIGHTS
from scanssc_core.datasets.corrupted import CorruptedDataset
from scanssc_core.datasets.corruption import KINDS, Corruption
from scanssc_core.datasets.dataset import SSCDataset, open_dataset
from scanssc_core.datasets.layout import Layout
from scanssc_core.evaluation.run import MODEL, STEREO, Evaluation
from scanssc_core.inference.optimize import optimized_for_inference
from scanssc_core.network.kinds import OccupancyNetwork
from scanssc_core.synthetic.writer import SynthSpec, write_dataset

_DOCS = Path(__file__).resolve().parents[1] / "docs"
_PAGE, _PLOT = _DOCS / "robustness.md", _DOCS / "images" / "robustness.png"
_SEED = 900  # of docs/lite.md's streets for validation
_LOSS = 0.25  # of the clean IoU: a row that lost more should be told

_TEXT = """# How robust: damaged pictures, and whether the input health tells

Written by `{command}` (`--severities 1,3,5` and `--frames` make
it shorter): {num_frames} synthetic frames of KITTI's rig (streets of seed {seed}, which no shipped weights were trained
on), severities {severities} of 5, depth by semi-global matching of the damaged pair, float32. So few frames tell large
effects from none, not one per cent from two. One kind on a data set of your own:
`scanssc eval --data ROOT --corrupt fog:3`; `--seed` draws other damage, the same seed the same.

IoU and mIoU in per cent: `lite`, and `stereo`, the depth put into the grid, which knows occupied and empty alone (both
are scored over the whole grid, unseen voxels of `stereo` as empty). *Told*: in how many frames the input health
([health.md](health.md)) names a fault with its default thresholds, each frame by itself; a stream's medians differ from
it only in that one odd pair does not count. In brackets what is left of the IoU.

![IoU over severity for every kind](images/robustness.png)

{table}
Of {num_rows} rows, {num_bad} lost more than {loss:.0%} of the clean IoU of `lite` or `stereo`. In {num_told} of them
the input health names a fault in at least half of the frames{untold}.

What each kind does: `scanssc_core/datasets/corruption.py`. `lens_dirt` lies on the left lens, `knocked` turns the
right camera, `right_lost` is a driver that delivers black pictures; where none comes, there is no pair, which the
node's books count as `no_partner`.
"""


@dataclass(frozen=True)
class Row:
    """Scores of one corruption, None the clean frames; shares of one."""

    corruption: Corruption | None
    lite_iou: float
    lite_miou: float
    stereo_iou: float
    faults: dict[str, int]
    num_faulty: int


def measure(model: OccupancyNetwork, clean: SSCDataset, corruption: Corruption | None) -> Row:
    """Score all frames under a corruption."""
    dataset, evaluation = CorruptedDataset(clean, corruption), Evaluation(model, torch.float32, None)
    evaluation.run(dataset, range(len(dataset)), num_workers=0, predictions=None, on_frame=lambda: None)
    lite, stereo = evaluation.counts[MODEL].compute(), evaluation.counts[STEREO].compute()
    iou, miou, stereo_iou = (float(score) for score in (lite.iou, lite.miou, stereo.iou))
    return Row(corruption, iou, miou, stereo_iou, dict(dataset.faults), dataset.num_faulty)


def table(rows: list[Row], num_frames: int) -> str:
    """Markdown; the first row is that of the clean frames."""
    clean = rows[0]
    lines = [
        "| damage | | severity | lite IoU | lite mIoU | stereo IoU | told | as |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        if row.corruption is None:
            what = "none | | "
        else:
            kind, severity = KINDS[row.corruption.kind], row.corruption.severity
            what = f"{row.corruption.kind} | {kind.text.format(kind.amounts[severity - 1])} | {severity}"
        named = ", ".join(f"{name} {count}" for name, count in sorted(row.faults.items(), key=lambda item: -item[1]))
        lines.append(
            f"| {what} | {row.lite_iou:.1%} ({row.lite_iou / clean.lite_iou:.0%}) | {row.lite_miou:.1%} | "
            f"{row.stereo_iou:.1%} ({row.stereo_iou / clean.stereo_iou:.0%}) | {row.num_faulty} of {num_frames} | "
            f"{named} |".replace("%", "")
        )
    return "\n".join(lines) + "\n"


def plot(rows: list[Row], num_frames: int) -> bytes:
    """A panel for every kind; filled marks where the input health tells of at least half of the frames: a PNG file."""
    figure = Figure(figsize=(13, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    clean = rows[0]
    for axes, kind in zip(figure.subplots(2, 5, sharex=True, sharey=True).flat, KINDS, strict=True):
        of_kind = [row for row in rows if row.corruption is not None and row.corruption.kind == kind]
        severities = [0, *(row.corruption.severity for row in of_kind if row.corruption is not None)]
        for color, name in (("C0", "lite_iou"), ("C1", "stereo_iou")):
            values = [100 * getattr(row, name) for row in (clean, *of_kind)]
            axes.plot(severities, values, color=color, label=name.removesuffix("_iou"))
            for severity, value, row in zip(severities, values, (clean, *of_kind), strict=True):
                is_told = 2 * row.num_faulty >= num_frames
                axes.plot(severity, value, "o", color=color, markerfacecolor=color if is_told else "white")
        axes.set(title=kind, ylim=(0, None))
        axes.grid(alpha=0.3)
    figure.supxlabel("severity; filled: the input health tells")
    figure.supylabel("IoU, per cent")
    figure.axes[0].legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=80)
    return picture.getvalue()


def write_page(rows: list[Row], num_frames: int, severities: tuple[int, ...]) -> None:
    """The page and its plot."""
    clean = rows[0]
    bad = [row for row in rows[1:] if _kept(row, clean) < 1 - _LOSS]
    untold = [
        f"{row.corruption.kind}:{row.corruption.severity}"
        for row in bad
        if row.corruption is not None and 2 * row.num_faulty < num_frames
    ]
    _PLOT.write_bytes(plot(rows, num_frames))
    _PAGE.write_text(
        _TEXT.format(
            command="OMP_NUM_THREADS=1 python benchmarks/robustness.py",
            num_frames=num_frames,
            seed=_SEED,
            severities=", ".join(map(str, severities)),
            table=table(rows, num_frames),
            num_rows=len(rows) - 1,
            num_bad=len(bad),
            loss=_LOSS,
            num_told=len(bad) - len(untold),
            untold=f", not of {', '.join(untold)}" if untold else "",
        ).replace("%", " %")
    )


def _kept(row: Row, clean: Row) -> float:
    return min(row.lite_iou / clean.lite_iou, row.stereo_iou / clean.stereo_iou)


def main() -> None:
    """See the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="labelled frames in the layout of SemanticKITTI, with both images")
    parser.add_argument("--frames", type=int, default=6, help="the first of as many sequences")
    parser.add_argument("--severities", default="1,2,3,4,5")
    parser.add_argument("--checkpoint", type=Path, default=LITE_WEIGHTS)
    options = parser.parse_args()
    severities = tuple(map(int, options.severities.split(",")))
    model = optimized_for_inference(load_model(options.checkpoint), torch.device("cpu"), torch.float32)
    with tempfile.TemporaryDirectory() as folder:
        root = options.data or Path(folder) / "streets"
        if options.data is None:
            write_dataset(root, SynthSpec(options.frames, 3, _SEED, spacing_m=15.0), 1, lambda: None)
        sequences = Layout(root, "semantic_kitti").sequences()[: options.frames]
        clean = open_dataset(
            root, "semantic_kitti", sequences, model.config.image_size, corrections=model.config.corrections
        )
        clean.files = [next(files for files in clean.files if files.sequence == name) for name in sequences]
        rows = []
        for corruption in (None, *(Corruption(kind, severity) for kind in KINDS for severity in severities)):
            rows.append(measure(model, clean, corruption))
            print(rows[-1], flush=True)
    write_page(rows, len(clean), severities)


if __name__ == "__main__":
    main()
