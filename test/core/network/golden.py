"""Builds modules with the golden weights and compares them with what the published code gave."""

import csv
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from golden.formula import positions, tensor
from scanssc_core.checkpoint.published_names import is_unused, to_our_name
from scanssc_core.network.camera_inputs import CameraInputs

GOLDEN = Path(__file__).resolve().parents[2] / "golden"


def load(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{name}.npz") as data:
        return dict(data)


_FILLED: dict[str, tuple[nn.Module, dict[str, str]]] = {}  # units by name: module and its names of golden entries


@lru_cache
def unit_rows(unit: str) -> list[list[str]]:
    with (GOLDEN / "unit_params.tsv").open() as file:
        return [row[1:] for row in csv.reader(file, delimiter="\t") if row[0] == unit]


@lru_cache
def state_rows() -> list[list[str]]:
    with (GOLDEN / "state_dict.tsv").open() as file:
        rows = [row for row in csv.reader(file, delimiter="\t") if not row[0].startswith("#")]
    return rows[1:]


def published_state(shapes: dict[str, tuple[int, ...]], only: tuple[str, ...] = ("",)) -> dict[str, Tensor]:
    """Formula weights under their published names, in the shapes of our model."""
    state = {}
    for name, _, _, _, _, _, offset, scale in state_rows():
        if name.startswith(only) and not name.startswith("kitti360:") and not is_unused(name):
            shape = shapes[to_our_name(name)]
            state[name] = torch.from_numpy(tensor(name, shape, float(offset), float(scale)))
    return state


def fill_model(model: nn.Module) -> nn.Module:
    """The whole model with formula weights, in evaluation mode."""
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    state = {to_our_name(name): value for name, value in published_state(shapes).items()}
    counters = {name: value for name, value in model.state_dict().items() if name.endswith("num_batches_tracked")}
    model.load_state_dict(state | counters)
    return model.eval()


def unit_names(unit: str, published_prefix: str, our_prefix: str) -> dict[str, str]:
    """Entry of the unit -> name in our module."""
    names = {}
    for entry, *_ in unit_rows(unit):
        ours = to_our_name(published_prefix + entry)
        assert ours.startswith(our_prefix), ours
        names[entry] = ours.removeprefix(our_prefix)
    return names


def fill_unit(module: nn.Module, unit: str, published_prefix: str, our_prefix: str) -> nn.Module:
    """A part with its formula weights, in evaluation mode; every parameter must be covered."""
    names = unit_names(unit, published_prefix, our_prefix)
    state = {}
    for entry, shape, offset, scale in unit_rows(unit):
        sizes = tuple(map(int, shape.split("x")))
        state[names[entry]] = torch.from_numpy(tensor(f"unit.{unit}.{entry}", sizes, float(offset), float(scale)))
    counters = {name: value for name, value in module.state_dict().items() if name.endswith("num_batches_tracked")}
    module.load_state_dict(state | counters)
    _FILLED[unit] = (module, names)
    return module.eval()


def check(actual: Tensor | np.ndarray, expected: np.ndarray, tolerance: float, what: str) -> None:
    """Largest error within 20 times the measured noise, as the golden data's note suggests."""
    actual = actual.detach().numpy() if isinstance(actual, Tensor) else actual
    assert actual.shape == expected.shape, f"{what}: {actual.shape} for {expected.shape}"
    limit = max(20 * tolerance, 1e-6 * np.abs(expected).max())
    error = np.abs(actual - expected).max()
    assert error <= limit, f"{what}: error {error:.2e} exceeds {limit:.2e}"


def check_sampled(actual: Tensor, data: dict[str, np.ndarray], stage: str, max_error: float, rms: float) -> None:
    """Compare a stored stage at its sampled positions, by the largest and the root-mean-square error."""
    values = data[f"{stage}.values"]
    assert actual.numel() == np.prod(data[f"{stage}.shape"]), stage
    error = actual.detach().reshape(-1).numpy()[positions(len(values), actual.numel())] - values
    assert np.abs(error).max() <= max_error, f"{stage}: {np.abs(error).max():.2e} exceeds {max_error:.2e}"
    assert np.sqrt((error**2).mean()) <= rms, f"{stage}: rms {np.sqrt((error**2).mean()):.2e} exceeds {rms:.2e}"


def check_gradients(
    unit: str, outputs: dict[str, Tensor], inputs: dict[str, Tensor], tolerances: dict[str, float]
) -> None:
    """Gradients of the sum of outputs times formula numbers: of the inputs, and their norms of the parameters."""
    data = load(f"unit_{unit}")
    total = sum(
        (output * torch.from_numpy(tensor(f"unit.{unit}.g.{name}", tuple(output.shape), 0.0, 1.0))).sum()
        for name, output in outputs.items()
    )
    total.backward()
    for name, tolerance in tolerances.items():
        check(inputs[name].grad, data[f"grad.{name}"], tolerance, f"{unit} grad.{name}")
    if "param.names" in data and len(data["param.names"]):
        module, names = _FILLED[unit]
        parameters = dict(module.named_parameters())
        ours = {
            names[str(entry)]: norm for entry, norm in zip(data["param.names"], data["param.gradnorm"], strict=True)
        }
        assert set(ours) == {name for name, value in parameters.items() if value.grad is not None}, unit
        for name, norm in ours.items():
            # 1 %, as the golden data's note suggests; what is zero in exact arithmetic is rounding.
            actual = float(parameters[name].grad.norm())
            assert abs(actual - norm) <= 0.01 * norm + 1e-6 * data["param.gradnorm"].max(), f"{unit} {name}"


def camera(data: dict[str, np.ndarray], prefix: str = "") -> CameraInputs:
    """The camera of a golden file (one camera per sample)."""

    def one(name: str) -> Tensor:
        return torch.from_numpy(data[prefix + name][:, 0])

    T_grid_cam = torch.eye(4)[None].clone()
    T_grid_cam[:, :3, :3], T_grid_cam[:, :3, 3] = one("rots"), one("trans")
    return CameraInputs(one("intrins"), T_grid_cam, one("post_rots"), one("post_trans"))


def inputs_of(data: dict[str, np.ndarray], *names: str) -> dict[str, Tensor]:
    """Inputs that require gradients."""
    return {name: torch.from_numpy(data[f"in.{name}"]).requires_grad_() for name in names}
