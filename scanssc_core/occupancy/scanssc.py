"""Occupancy by a network: ScanSSC or lite."""

from functools import reduce
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scanssc_core.engines.load import load_network
from scanssc_core.geometry import PinholeCamera
from scanssc_core.inference.precision import inference_in
from scanssc_core.inference.transfer import to_device, to_host
from scanssc_core.labels import LABEL_SETS, UNKNOWN
from scanssc_core.network.camera_inputs import CameraInputs, camera_fields
from scanssc_core.network.image.preprocess import NetworkView, horizon_row
from scanssc_core.network.lite import LiteConfig
from scanssc_core.occupancy.interface import Occupancy

# The published models were trained with KITTI's projection matrices, which are relative to camera 0. The depth net
# reads these numbers, so the left camera is described the same way: metres from camera 0, KITTI's rig.
_LEFT_FROM_CAM0_M = {"semantic_kitti": (0.0606, -0.001, 0.004), "kitti360": (0.0, 0.0, 0.0)}


class ScanSSCBackend:
    """OccupancyBackend that runs a checkpoint.

    Args:
        checkpoint: a published file, one made of it by `scanssc checkpoint convert`, or one of `scanssc export`.
        device: where it runs.
        precision: number format of the forward pass; float32, or by autocast bfloat16 or float16.

    Raises:
        ValueError: if the file is missing or not a checkpoint.
    """

    def __init__(self, checkpoint: Path, device: torch.device, precision: torch.dtype = torch.float32) -> None:
        self._model, self.calibration, self.notes = load_network(checkpoint, device, precision)
        if self.calibration is not None:
            self.notes += (f"the confidence is calibrated, as {checkpoint.name} says",)
        self._device = device
        self._precision = precision
        config = self._model.config
        self.grid = config.label_grid
        self.label_set = LABEL_SETS[config.dataset]
        self._last_wanted: tuple[NDArray, Tensor] | None = None

    def predict(
        self,
        left_rgb: NDArray,
        depth_m: NDArray,
        camera: PinholeCamera,
        T_cam_grid: NDArray,
        with_confidence: bool = True,
        wanted: NDArray | None = None,
    ) -> Occupancy:
        """See OccupancyBackend.predict; the confidence is the probability that the network gives the class, calibrated
        where its checkpoint says how."""
        config = self._model.config
        horizon = horizon_row(camera.matrix, np.linalg.inv(T_cam_grid))
        view = NetworkView((camera.height, camera.width), config.image_size, config.corrections, horizon)
        image = to_device(view.image(left_rgb)[None], self._device)
        depth = to_device(view.depth(depth_m)[None].copy(), self._device)
        with inference_in(self._precision, self._device):
            inputs = self._camera_inputs(camera, T_cam_grid, view)
            coarse = self._coarse_voxels(wanted)
            labels, confidence = self._model.predict_labels(image, depth, inputs, with_confidence, coarse)
            if confidence is None:
                return Occupancy(*to_host(labels[0]))
            class_ids, values = to_host(labels[0], confidence[0].mul_(255).round_().to(torch.uint8))
        if self.calibration is None:
            values *= class_ids != UNKNOWN
        else:
            values = self.calibration.apply(class_ids, values, self.grid)
        return Occupancy(class_ids, values)

    def _coarse_voxels(self, wanted: NDArray | None) -> Tensor | None:
        """(X', Y', Z) bool: the coarse voxels of lite that hold a wanted one; None: all."""
        config = self._model.config
        if wanted is None or not isinstance(config, LiteConfig):
            return None
        if self._last_wanted is None or self._last_wanted[0] is not wanted:  # the same table until the camera moves
            s = config.cell_size
            has_wanted = reduce(np.logical_or, (wanted[i::s, j::s] for i, j in product(range(s), repeat=2)))
            self._last_wanted = (wanted, torch.from_numpy(has_wanted).to(self._device))
        return self._last_wanted[1]

    def _camera_inputs(self, camera: PinholeCamera, T_cam_grid: NDArray, view: NetworkView) -> CameraInputs:
        offset_m = np.array(_LEFT_FROM_CAM0_M[self._model.config.dataset])
        T_cam0_grid = T_cam_grid.copy()
        T_cam0_grid[:3, 3] -= offset_m
        projection = camera.matrix @ np.column_stack([np.eye(3), offset_m])
        fields = camera_fields(projection, np.linalg.inv(T_cam0_grid), view.scale, view.translation)
        return CameraInputs(**{name: values[None] for name, values in fields.items()})
