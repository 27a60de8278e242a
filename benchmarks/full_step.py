"""Time and memory of training steps of a full-size model on this machine, on a random frame of the right size.

python benchmarks/full_step.py > docs/benchmarks/full_step.md
"""

import resource
import time
from typing import Annotated

import torch
import typer
from torch import Tensor
from torch.optim import AdamW

from scanssc_core.labels import LABEL_SETS
from scanssc_core.losses.cross_entropy import class_weights
from scanssc_core.losses.total import total_loss
from scanssc_core.network.camera_inputs import CameraInputs
from scanssc_core.network.config import ScanSSCConfig
from scanssc_core.network.kinds import make_network
from scanssc_core.train.activation_checkpointing import checkpoint_activations
from scanssc_core.train.config import RUN_CONFIGS
from scanssc_core.train.norms import single_value_norms

FOCAL_PX = 740.0


def frame(image_size: tuple[int, int], grid_shape: tuple[int, int, int]) -> tuple[Tensor, Tensor, CameraInputs, Tensor]:
    """Image, depth of a street 1.7 m below the camera up to 60 m, camera, and labels."""
    H, W = image_size
    below_px = torch.arange(H) - H / 2
    depth_m = torch.where(below_px > 0, 1.7 * FOCAL_PX / below_px.clamp(min=1), 60.0).clamp(max=60)
    projection, T_grid_cam = torch.eye(4), torch.eye(4)
    projection[0, 0] = projection[1, 1] = FOCAL_PX
    projection[0, 2], projection[1, 2] = W / 2, H / 2
    T_grid_cam[:3, :3] = torch.tensor([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    camera = CameraInputs(projection[None], T_grid_cam[None], torch.eye(3)[None], torch.zeros(1, 3))
    labels = torch.randint(0, 19, (1, *grid_shape), dtype=torch.uint8)
    return torch.randn(1, 3, H, W), depth_m[None, None, :, None].expand(1, 1, H, W), camera, labels


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main(
    config: Annotated[str, typer.Option(help="semantic_kitti or kitti360.")] = "semantic_kitti",
    checkpointing: Annotated[bool, typer.Option(help="Compute activations again in the backward pass.")] = True,
) -> None:
    """One step: forward, losses, backward, AdamW."""
    run = RUN_CONFIGS[config]()
    if not isinstance(run.model, ScanSSCConfig):
        raise typer.BadParameter(f"expected semantic_kitti or kitti360, got {config}")
    torch.manual_seed(0)
    model = make_network(run.model).train()
    for norm in single_value_norms(model):
        norm.eval()
    if checkpointing:
        checkpoint_activations(model)
    optimizer = AdamW(model.parameters(), run.train.learning_rate)
    image, depth_m, camera, labels = frame(run.model.image_size, run.model.label_grid.shape)
    weights = class_weights(torch.as_tensor(LABEL_SETS[run.model.dataset].frequencies))
    typer.echo("# One training step\n")
    typer.echo(f"{config}, batch 1, float32, checkpointing {checkpointing}, {torch.get_num_threads()} threads\n")
    typer.echo("| part | s | processor s | peak memory so far, GB |\n| --- | --- | --- | --- |")
    wall, processor = time.perf_counter(), time.process_time()

    def report(part: str) -> None:
        nonlocal wall, processor
        now, used = time.perf_counter(), time.process_time()
        typer.echo(f"| {part} | {now - wall:.0f} | {used - processor:.0f} | {peak_gb():.1f} |")
        wall, processor = now, used

    output = model(image, depth_m, camera)
    report("forward")
    total = total_loss(output, labels, depth_m[:, 0], run.loss, weights.float(), run.model)["total"]
    report("losses")
    total.backward()
    report("backward")
    optimizer.step()
    report("AdamW")


if __name__ == "__main__":
    typer.run(main)
