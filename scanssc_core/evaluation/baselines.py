"""What a learned model must beat: the depth put into the grid, and what usually is where."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from scanssc_core.datasets.frame import Frame
from scanssc_core.geometry import PinholeCamera, T_camera_reference
from scanssc_core.labels import FREE, UNKNOWN
from scanssc_core.occupancy.stereo import StereoOccupancyBackend

_OCCUPIED_SHARE = 0.3  # of the frames in which the voxel is known


def stereo_occupied(frame: Frame, backend: StereoOccupancyBackend) -> NDArray:
    """(X, Y, Z) uint8, 1 where the frame's depth map puts matter; what the camera does not see counts as empty."""
    height, width = frame.size
    camera = PinholeCamera.from_projection_matrix(frame.projection, width, height)
    T_left_grid = T_camera_reference(frame.projection) @ np.linalg.inv(frame.T_grid_cam)
    labels = backend.predict(frame.left_rgb, frame.depth_m, camera, T_left_grid).labels
    return ((labels != FREE) & (labels != UNKNOWN)).astype(np.uint8)


def constant_prior(volumes: Iterable[NDArray], num_classes: int) -> NDArray:
    """One label map for all frames: the most frequent class of each voxel that is often enough occupied.

    Args:
        volumes: (X, Y, Z) uint8 labels of the training frames, 255 = unknown.
    Returns:
        (X, Y, Z) uint8 class ids; empty where a voxel was never known.
    Raises:
        ValueError: if there is no volume.
    """
    shape: tuple[int, ...] = ()
    counts = np.zeros((num_classes, 0), np.uint16)  # frames by (class, voxel)
    for labels in volumes:
        if not shape:
            shape, counts = labels.shape, np.zeros((num_classes, labels.size), np.uint16)
        known = np.flatnonzero(labels != UNKNOWN)
        counts[labels.reshape(-1)[known], known] += 1
    if not shape:
        raise ValueError("the constant prior needs at least one labelled frame to train on")
    num_known = counts.sum(axis=0, dtype=np.int64)
    is_occupied = num_known - counts[FREE] > _OCCUPIED_SHARE * num_known
    most_frequent = counts[FREE + 1 :].argmax(axis=0) + FREE + 1
    return np.where(is_occupied, most_frequent, FREE).astype(np.uint8).reshape(shape)
