"""Inputs and outputs of an exported network, by name."""

from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from scanssc_core.network.camera_inputs import CameraInputs

IMAGE, DEPTH, LABELS, CONFIDENCE = "image", "depth_m", "labels", "confidence"
METADATA = "scanssc"  # where an OpenVINO file keeps what an ONNX file has in its metadata


def table_inputs(tables: Any) -> dict[str, Tensor]:
    """The tables of a camera by the names that they have as inputs, as geometry.nodes.order."""
    leaves, _ = pytree.tree_flatten_with_path(tables)
    return {pytree.keystr(keys).removeprefix("."): leaf for keys, leaf in leaves}


def any_camera() -> CameraInputs:
    """A camera that looks ahead, to have tables of the right shapes."""
    projection, T_grid_cam = torch.eye(4), torch.eye(4)
    projection[0, 0] = projection[1, 1] = 350.0
    T_grid_cam[:3, :3] = torch.tensor([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    return CameraInputs(projection[None], T_grid_cam[None], torch.eye(3)[None], torch.zeros(1, 3))
