"""Formula weights and images of the MobileStereoNet golden data, and the comparison with what is stored."""

import csv
import math
import re
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from golden.formula import splitmix64, uniform
from scanssc_core.checkpoint.published_stereo import to_our_name
from scanssc_core.stereo.mobilestereonet.network import MobileStereoNet, msnet2d, msnet3d
from scanssc_core.stereo.mobilestereonet.preprocess import normalise

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "msnet"
CONFIGS = {2: msnet2d, 3: msnet3d}
_GAINS: dict[int, tuple[tuple[str, float], ...]] = {
    2: ((r"\.conv\.6\.weight", 0.7), (r"\.conv[56]\.0\.weight", 0.7), (r"preconv11", 1.0), (r"classif\d\.2\.", 1.0)),
    3: ((r"\.conv\.6\.weight", 1.4), (r"\.conv[56]\.0\.weight", 1.0), (r"classif\d\.2\.weight", 2.0)),
}
_FEATURE_GAINS = (
    (r"feature_extraction\..*downsample\.0\.weight", 1.0),
    (r"feature_extraction\.layer\d\.\d+\.conv2\.3\.weight", 0.4),
    (r"feature_extraction\.firstconv\.\d\.conv\.6\.weight", 0.7),
)


def load(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{name}.npz") as data:
        return dict(data)


def formula(name: str, shape: tuple[int, ...], scale: float = 1.0) -> np.ndarray:
    """(2 u - 1) * scale in float32."""
    u = uniform(name, math.prod(shape))
    return ((np.float32(2) * u - np.float32(1)) * np.float32(scale)).reshape(shape)


@lru_cache
def published_shapes(dims: int) -> dict[str, tuple[int, ...]]:
    with (GOLDEN / "state_dict.tsv").open() as file:
        rows = [row for row in csv.reader(file, delimiter="\t") if row[0] == f"MSNet{dims}D"]
    return {name: () if shape == "scalar" else tuple(map(int, shape.split("x"))) for _, name, shape, _ in rows}


@lru_cache
def published_state(dims: int) -> dict[str, Tensor]:
    """Every entry of the published state dict by formula, under its published name."""
    shapes = published_shapes(dims)
    return {name: torch.from_numpy(np.asarray(_entry(dims, name, shape))) for name, shape in shapes.items()}


def _entry(dims: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    owner, _, kind = name.rpartition(".")
    if kind == "num_batches_tracked":
        return np.array(0)
    if kind == "running_var":
        return np.float32(0.5) + uniform(name, math.prod(shape))
    if f"{owner}.running_mean" in published_shapes(dims) and kind == "weight":
        return np.float32(1) + formula(name, shape, 0.1)
    if kind in ("bias", "running_mean"):
        return formula(name, shape, 0.05)
    rules = (*_FEATURE_GAINS, *_GAINS[dims])
    gain = next((gain for pattern, gain in rules if re.search(pattern, name)), 1.4)
    return formula(name, shape, gain * math.sqrt(3 / math.prod(shape[1:])))


def golden_network(dims: int) -> MobileStereoNet:
    """The network with formula weights, in evaluation mode."""
    network = MobileStereoNet(CONFIGS[dims]())
    network.load_state_dict({to_our_name(name): value for name, value in published_state(dims).items()})
    return network.eval()


def image_pair(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Left and right (H, W, 3) uint8, and (H, W) int32 disparity: a textured scene with two boxes in front."""
    y, x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    d = 4 + (40 * y) // height
    d = d + 16 * ((height // 4 <= y) & (y < height // 2) & (width // 4 <= x) & (x < width // 2))
    is_box = (height // 3 <= y) & (y < 3 * height // 4) & (5 * width // 8 <= x) & (x < 13 * width // 16)
    d = d + 32 * is_box
    right = np.stack([_texture(y, x, c) for c in range(3)], axis=-1)
    left = np.stack([_texture(y, x - d, c) for c in range(3)], axis=-1)
    return left, right, d.astype(np.int32)


def _texture(y: np.ndarray, x: np.ndarray, channel: int) -> np.ndarray:
    shifted = x + 4096
    value = sum(
        weight * _byte(f"tex.s{size}.c{channel}", y // size, shifted // size)
        for size, weight in ((32, 4), (8, 6), (2, 4), (1, 2))
    )
    return (value >> 4).astype(np.uint8)


def _byte(name: str, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    seed = np.uint64(zlib.crc32(name.encode())) * np.uint64(1 << 32)
    index = seed + (row * 65536 + column).astype(np.uint64)
    return (splitmix64(index) >> np.uint64(56)).astype(np.int64)


def network_input(rgb: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) normalised."""
    return normalise(torch.from_numpy(rgb).permute(2, 0, 1)[None])


def sample_positions(stage: str, count: int, size: int) -> np.ndarray:
    seed = np.uint64(zlib.crc32(f"sample:{stage}".encode())) * np.uint64(1 << 32)
    return (splitmix64(seed + np.arange(count, dtype=np.uint64)) % np.uint64(size)).astype(np.int64)


def check_stage(actual: Tensor, data: dict[str, np.ndarray], stage: str, relative: float) -> None:
    """Sampled values within `relative` of the stage's largest absolute value."""
    shape, values = tuple(data[f"{stage}/shape"]), data[f"{stage}/values"]
    assert tuple(actual.shape) == shape, f"{stage}: {tuple(actual.shape)} for {shape}"
    flat = actual.detach().reshape(-1).numpy()
    error = np.abs(flat[sample_positions(stage, len(values), flat.size)] - values).max()
    limit = relative * data[f"{stage}/stats"][2]
    print(f"golden {stage}: error {error:.2e} of {limit:.2e}")
    assert error <= limit, f"{stage}: error {error:.2e} exceeds {limit:.2e}"


def check_disparity(actual: np.ndarray, expected: np.ndarray) -> None:
    """Largest error 1e-2 px, mean 5e-4 px: ten and five times the noise of float32."""
    error = np.abs(actual - expected)
    print(f"golden disparity: max {error.max():.2e} of 1e-2 px, mean {error.mean():.2e} of 5e-4 px")
    assert error.max() <= 1e-2 and error.mean() <= 5e-4, f"max {error.max():.2e}, mean {error.mean():.2e} px"


def norm_errors(actual: list[Tensor], expected: np.ndarray) -> np.ndarray:
    """Relative errors of L2 norms of gradients; tiny ones are compared with the largest."""
    norms = np.array([gradient.double().norm().item() for gradient in actual])
    floor = 1e-3 * expected.max()
    return np.abs(norms - expected) / np.where(expected < floor, expected.max(), expected)


def gradient_loss(output: Tensor, unit: str) -> Tensor:
    return (output * torch.from_numpy(formula(f"gradout.{unit}", tuple(output.shape)))).sum()


def check_input_gradient(gradient: Tensor, data: dict[str, np.ndarray], key: str, relative: float = 1e-3) -> None:
    """L2 norm and largest value of the gradient at an input."""
    norm, largest, _ = data[key]
    assert abs(gradient.double().norm().item() - norm) <= relative * norm, key
    assert abs(gradient.abs().max().item() - largest) <= relative * largest, key


def named_gradients(module: nn.Module, names: np.ndarray, our_name: dict[str, str]) -> list[Tensor]:
    parameters = dict(module.named_parameters())
    assert sorted(our_name[name] for name in names) == sorted(parameters)
    return [parameters[our_name[name]].grad for name in names]
