"""Frames joined by fixed transforms (what /tf_static says), and the transform between any two of them."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry.transforms import invert_transform


class FrameGraph:
    """Frames joined by fixed transforms."""

    def __init__(self) -> None:
        self._neighbours: dict[str, dict[str, NDArray]] = {}  # source -> target -> T_target_source

    def add(self, parent: str, child: str, T_parent_child: NDArray) -> None:
        """Add a transform or replace the one between the same frames."""
        self._neighbours.setdefault(child, {})[parent] = T_parent_child
        self._neighbours.setdefault(parent, {})[child] = invert_transform(T_parent_child)

    def lookup(self, target: str, source: str) -> NDArray | None:
        """(4, 4) T_target_source along the shortest path, or None if the frames are not joined."""
        reached = {source: np.eye(4)}
        queue = deque([source])
        while queue:
            frame = queue.popleft()
            if frame == target:
                return reached[frame]
            for neighbour, T_neighbour_frame in self._neighbours.get(frame, {}).items():
                if neighbour not in reached:
                    reached[neighbour] = T_neighbour_frame @ reached[frame]
                    queue.append(neighbour)
        return None
