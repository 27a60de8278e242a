"""For subscribers: a VoxelGrid message as an array with questions a planner asks. NumPy views, no copy of the data."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanssc_core.geometry import invert_transform, transform_points
from scanssc_ros.conversions import pose_to_matrix
from scanssc_ros.msg import VoxelGrid

FREE = VoxelGrid.FREE
UNKNOWN = VoxelGrid.UNKNOWN


class VoxelGridView:
    """A VoxelGrid message, checked once, as arrays.

    Attributes:
        labels: (X, Y, Z) uint8 view of the message's data: class ids, FREE, UNKNOWN.
        confidence: (X, Y, Z) uint8 view, or None when the message has none.
        frame_id: frame of all points taken and given here.
        stamp: of the left image.
        resolution_m: edge of a voxel.
        class_names: name of each class id.

    Raises:
        ValueError: if the message contradicts itself; says how.

    Example:
        Two voxels of half a metre, one behind the other:

        >>> message = VoxelGrid(size_x=2, size_y=1, size_z=1, resolution_m=0.5, class_names=["empty", "car"])
        >>> message.data = [0, 1]
        >>> view = VoxelGridView(message)
        >>> [view.class_name(label) for label in view.class_at([[0.2, 0.1, 0.1], [0.7, 0.1, 0.1]])]
        ['empty', 'car']
        >>> view.occupied_points("car")[0].tolist()
        [[0.75, 0.25, 0.25]]
    """

    def __init__(self, message: VoxelGrid) -> None:
        shape = (int(message.size_x), int(message.size_y), int(message.size_z))
        num_voxels = shape[0] * shape[1] * shape[2]
        if len(message.data) != num_voxels:
            raise ValueError(f"expected {num_voxels} voxels for a grid of {shape}, got {len(message.data)}")
        if len(message.confidence) not in (0, num_voxels):
            raise ValueError(f"expected confidence empty or of {num_voxels} values, got {len(message.confidence)}")
        if not message.resolution_m > 0:
            raise ValueError(f"expected a resolution above zero, got {message.resolution_m} m")
        self.labels: NDArray = np.frombuffer(message.data, np.uint8).reshape(shape)
        self.confidence: NDArray | None = None
        if len(message.confidence):
            self.confidence = np.frombuffer(message.confidence, np.uint8).reshape(shape)
        self.frame_id: str = message.header.frame_id
        self.stamp = message.header.stamp
        # float32 0.2 is 0.200000003: the shortest decimal that it stands for is what the sender meant.
        self.resolution_m = float(str(np.float32(message.resolution_m)))
        self.class_names: tuple[str, ...] = tuple(message.class_names)
        self._T_frame_grid = pose_to_matrix(message.origin)
        self._T_grid_frame = invert_transform(self._T_frame_grid)

    def points_to_indices(self, points: ArrayLike) -> tuple[NDArray, NDArray]:
        """Find the voxels that points lie in.

        Args:
            points: (..., 3) in frame_id, metres.
        Returns:
            (..., 3) int64 indices and a (...) bool mask of the points inside the grid; indices of others are 0.
        """
        points_grid = transform_points(self._T_grid_frame, np.asarray(points, np.float64)) / self.resolution_m
        is_inside: NDArray = np.all((points_grid >= 0) & (points_grid < self.labels.shape), axis=-1)
        return np.floor(np.where(is_inside[..., None], points_grid, 0)).astype(np.int64), is_inside

    def indices_to_points(self, indices: ArrayLike) -> NDArray:
        """(..., 3) centres, in frame_id, of the voxels at (..., 3) indices."""
        return transform_points(self._T_frame_grid, (np.asarray(indices, np.float64) + 0.5) * self.resolution_m)

    def class_at(self, points: ArrayLike) -> NDArray:
        """(...) uint8 class ids at (..., 3) points in frame_id; UNKNOWN outside the grid."""
        indices, is_inside = self.points_to_indices(points)
        class_ids = np.full(is_inside.shape, UNKNOWN, np.uint8)
        class_ids[is_inside] = self.labels[tuple(indices[is_inside].T)]
        return class_ids

    def class_name(self, class_id: int) -> str:
        """Name of a class id; `class 42` if the message names none."""
        return self.class_names[class_id] if class_id < len(self.class_names) else f"class {class_id}"

    def occupied(self, *names: str) -> NDArray:
        """(X, Y, Z) bool mask of the voxels of these classes; of all that are neither free nor unknown without names.

        Raises:
            ValueError: for a name that is not among class_names.
        """
        if not names:
            return (self.labels != FREE) & (self.labels != UNKNOWN)
        unknown_names = [name for name in names if name not in self.class_names]
        if unknown_names:
            raise ValueError(f"no class {', '.join(unknown_names)}; the classes are {', '.join(self.class_names)}")
        return np.isin(self.labels, [self.class_names.index(name) for name in names])

    def occupied_points(self, *names: str) -> tuple[NDArray, NDArray]:
        """(N, 3) centres in frame_id and (N,) class ids of the voxels that `occupied` picks."""
        indices = np.argwhere(self.occupied(*names))
        return self.indices_to_points(indices), self.labels[tuple(indices.T)]

    def slice_at_height(self, z_m: float) -> NDArray:
        """(X, Y) class ids of the layer at height z, in the grid's own axes, over its minimal corner.

        Raises:
            ValueError: if the height lies outside the grid.
        """
        index = int(np.floor(z_m / self.resolution_m))
        if not 0 <= index < self.labels.shape[2]:
            height_m = self.labels.shape[2] * self.resolution_m
            raise ValueError(f"expected a height of 0 to {height_m:.2f} m over the grid's corner, got {z_m} m")
        return self.labels[:, :, index]
