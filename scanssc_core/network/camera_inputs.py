"""The camera as the network sees it: projection, pose, and how the raw image was resized and cropped.

A network pixel is ``image_rotation @ (u_raw, v_raw) + image_translation``; pixel centres at integers, the half pixel of
the resize filter is left out as published.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scanssc_core.network.layers.own_precision import own_precision

Tables = TypeVar("Tables")


def camera_fields(
    projection: NDArray, T_grid_cam: NDArray, image_scale: float, image_translation: NDArray
) -> dict[str, Tensor]:
    """The fields of CameraInputs for one camera, without the batch axis.

    Args:
        projection: (3, 4) or (4, 4) P of the raw image.
        T_grid_cam: (4, 4) the frame that P projects from -> grid frame.
        image_scale, image_translation: network pixel = scale * raw pixel + (3,) translation.
    Returns:
        float32 tensors by field name.
    """
    padded = np.eye(4)
    padded[:3] = projection[:3]
    fields = {
        "projection": padded,
        "T_grid_cam": T_grid_cam,
        "image_rotation": np.diag([image_scale, image_scale, 1.0]),
        "image_translation": image_translation,
    }
    return {name: torch.from_numpy(np.ascontiguousarray(values)).float() for name, values in fields.items()}


class Unprojection(NamedTuple):
    """What un-projects the pixels of a batch of cameras: their matrices, inverted once.

    Attributes:
        inverse_resize: (B, 3, 3) of the image rotation.
        image_translation: (B, 3) see CameraInputs.
        offset: (B, 3) fourth column of the projection.
        rotation: (B, 3, 3) homogeneous raw pixels times depth -> axes of the grid frame.
        position: (B, 3) in the grid frame of the frame that the projection starts from, metres.
    """

    inverse_resize: Tensor
    image_translation: Tensor
    offset: Tensor
    rotation: Tensor
    position: Tensor

    def pixels_to_points(self, pixels: Tensor) -> Tensor:
        """See CameraInputs.pixels_to_points."""
        with own_precision(self.rotation.device):
            raw = (pixels - self.image_translation[:, None]) @ self.inverse_resize.mT
            on_ray = torch.cat([raw[..., :2] * raw[..., 2:], raw[..., 2:]], dim=-1) - self.offset[:, None]
            return on_ray @ self.rotation.mT + self.position[:, None]


@dataclass(frozen=True)
class CameraInputs:
    """The cameras of a batch, as matrices.

    Attributes:
        projection: (B, 4, 4) P of the raw image, padded by 0 0 0 1. Its fourth column places the camera beside the
            frame that T_grid_cam starts from (KITTI: camera 0).
        T_grid_cam: (B, 4, 4) that frame -> grid frame.
        image_rotation: (B, 3, 3) diagonal scale of the resize.
        image_translation: (B, 3) minus the crop.
    """

    projection: Tensor
    T_grid_cam: Tensor
    image_rotation: Tensor
    image_translation: Tensor

    def to(self, device: torch.device) -> "CameraInputs":
        """The same cameras on a device."""
        return CameraInputs(**{name: values.to(device) for name, values in vars(self).items()})

    def equals(self, other: "CameraInputs") -> bool:
        """Whether another batch of cameras has the same numbers, on the same device."""
        return all(
            mine.device == theirs.device and mine.dtype == theirs.dtype and torch.equal(mine, theirs)
            for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True)
        )

    def vector(self) -> Tensor:
        """(B, 33) numbers that the depth net is told about the camera.

        The entries of the volume augmentation are those of the identity: it is never applied.
        """
        P, A, a = self.projection, self.image_rotation, self.image_translation
        intrinsics = [P[:, 0, 0], P[:, 1, 1], P[:, 0, 2], P[:, 1, 2], P[:, 0, 3], P[:, 1, 3], P[:, 2, 3]]
        resize = [A[:, 0, 0], A[:, 0, 1], a[:, 0], A[:, 1, 0], A[:, 1, 1], a[:, 1]]
        one, zero = torch.ones_like(P[:, 0, 0]), torch.zeros_like(P[:, 0, 0])
        augmentation = [one, zero, zero, one, one, zero, zero, zero]
        pose = self.T_grid_cam[:, :3].reshape(-1, 12)
        return torch.cat([torch.stack(intrinsics + resize + augmentation, dim=1), pose], dim=1)

    def pixels_to_points(self, pixels: Tensor) -> Tensor:
        """Un-project pixels of the network's image with their depth.

        Args:
            pixels: (N, 3) u, v in network pixels and depth in metres; the same for all cameras, or (B, N, 3).
        Returns:
            (B, N, 3) points in the grid frame, metres.
        """
        return self.unprojection().pixels_to_points(pixels)

    def unprojection(self) -> Unprojection:
        """What pixels_to_points computes with."""
        with own_precision(self.projection.device):
            return Unprojection(
                torch.inverse(self.image_rotation),
                self.image_translation,
                self.projection[:, :3, 3],
                self.T_grid_cam[:, :3, :3] @ torch.inverse(self.projection[:, :3, :3]),
                self.T_grid_cam[:, :3, 3],
            )

    def points_to_pixels(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Project points of the grid frame into the network's image.

        Args:
            points: (N, 3) in the grid frame, metres.
        Returns:
            (B, N, 2) network pixels and (B, N) depth (the third row of the projection), metres.
        """
        with own_precision(self.projection.device):
            return self._project(points)

    def pixel_matrix(self) -> Tensor:
        """(B, 3, 4) grid frame -> network pixels times depth, and depth: (u d, v d, d) = matrix @ (x, y, z, 1)."""
        with own_precision(self.projection.device):
            to_pixels = self.image_rotation.clone()
            to_pixels[:, :, 2] += self.image_translation
            return to_pixels @ (self.projection @ torch.inverse(self.T_grid_cam))[:, :3]

    def _project(self, points: Tensor) -> tuple[Tensor, Tensor]:
        rotation, translation = self.T_grid_cam[:, :3, :3], self.T_grid_cam[:, None, :3, 3]
        points_cam = (points - translation) @ torch.inverse(rotation).mT
        homogeneous = torch.cat([points_cam, torch.ones_like(points_cam[..., :1])], dim=-1) @ self.projection.mT
        depth_m = homogeneous[..., 2]
        raw = homogeneous[..., :2] / depth_m.clamp(min=1e-5)[..., None]
        return raw @ self.image_rotation[:, :2, :2].mT + self.image_translation[:, None, :2], depth_m


class OfLastCamera(Generic[Tables]):
    """Tables that follow from the camera alone, kept until another camera comes; while gradients are wanted, made anew.

    Cameras are compared where they are: on the host without waiting for the device that the tables are made on.

    Args:
        make: makes them, on the device of the network.
    """

    def __init__(self, make: Callable[[CameraInputs], Tables]) -> None:
        self._make = make
        self._last: tuple[CameraInputs, Tables] | None = None

    def __call__(self, camera: CameraInputs) -> Tables:
        """The tables of this camera."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return self._make(camera)
        if self._last is None or not self._last[0].equals(camera):
            kept = CameraInputs(**{name: values.clone() for name, values in vars(camera).items()})
            self._last = (kept, self._make(kept))  # a copy: a change in place makes another camera
        return self._last[1]
