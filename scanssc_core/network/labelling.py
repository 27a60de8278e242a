"""What inference asks of a network, whichever it is: labels of a frame, on a device without waiting for it."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from scanssc_core.labels import UNKNOWN
from scanssc_core.network.camera_inputs import CameraInputs, OfLastCamera


class LabellingNetwork(nn.Module, ABC):
    """A network that labels a voxel grid.

    Attributes:
        num_places: that predict_labels has for the voxels that are looked at closely (see label); None: as many as
            there are, for which the host waits.
        tables: tables_of, of the last camera kept.
    """

    num_places: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self.tables: OfLastCamera[Any] = OfLastCamera(self.tables_of)

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where it computes."""

    @abstractmethod
    def tables_of(self, camera: CameraInputs) -> Any:
        """What label reads of the camera: named tuples of tensors on the network's device."""

    @abstractmethod
    def label(
        self,
        image: Tensor,
        depth_m: Tensor,
        tables: Any,
        with_confidence: bool = True,
        wanted: Tensor | None = None,
        num_places: int | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """See predict_labels.

        Args:
            tables: of the camera (tables_of).
            num_places: for the voxels that are looked at closely; no shape depends on the depth then, and the host
                waits for nothing. If there are more, labels are UNKNOWN.
        """

    @abstractmethod
    def occupancy_prob(self, image: Tensor, depth_m: Tensor, camera: CameraInputs) -> Tensor:
        """(B, X, Y, Z) float32 probability that something is in a voxel; arguments as of predict_labels."""

    def predict_labels(
        self,
        image: Tensor,
        depth_m: Tensor,
        camera: CameraInputs,
        with_confidence: bool = True,
        wanted: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """The likeliest class of every voxel and its probability, without building all logits.

        Args:
            image: (B, 3, H, W) normalised RGB at network size.
            depth_m: (B, 1, H, W) float32 metric depth at network size, 0 = none.
            camera: matrices of the batch.
            with_confidence: also give the probability.
            wanted: (X', Y', Z) bool, coarse voxels of the lite network whose labels are wanted; what it says of the
                others means nothing. None: all. ScanSSC labels all.
        Returns:
            (B, X, Y, Z) uint8, UNKNOWN where a logit is no number, and float32; None if no confidence is asked for.
        """
        tables = self.tables(camera)
        result = self.label(image, depth_m, tables, with_confidence, wanted, self.num_places)
        if self.num_places is not None and result[0].max() == UNKNOWN:  # all is queued: no time is lost by this wait
            return self.label(image, depth_m, tables, with_confidence, wanted)
        return result
