"""Frames joined by fixed transforms (what /tf_static says), and the transform between any two of them."""

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry.transforms import invert_transform


def bare_frame(frame_id: str) -> str:
    """A frame's name without the leading slash that ROS 1 drivers give it: tf2 has none, and strips it too."""
    return frame_id.removeprefix("/")


class FrameGraph:
    """Frames joined by fixed transforms: a frame has one parent, as in TF, and the newest one told counts.

    Names are taken with and without a leading slash. One thread may add while another looks up.
    """

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, NDArray]] = {}  # child -> its parent, T_parent_child

    def add(self, parent: str, child: str, T_parent_child: NDArray) -> None:
        """Tell where a frame is; replaces what was told of the same child."""
        self._parents[bare_frame(child)] = bare_frame(parent), T_parent_child

    def copy(self) -> "FrameGraph":
        """The same frames, to add others to."""
        made = FrameGraph()
        made._parents = self._parents.copy()
        return made

    @property
    def frames(self) -> list[str]:
        """Names of all frames, sorted."""
        parents = self._parents.copy()
        return sorted({*parents, *(parent for parent, _ in parents.values())})

    def lookup(self, target: str, source: str) -> NDArray | None:
        """(4, 4) T_target_source, or None if the frames are not joined."""
        above_target, above_source = self._ancestors(bare_frame(target)), self._ancestors(bare_frame(source))
        for frame, T_frame_source in above_source.items():
            if frame in above_target:
                return invert_transform(above_target[frame]) @ T_frame_source
        return None

    def _ancestors(self, frame: str) -> dict[str, NDArray]:
        """T_ancestor_frame of the frame itself and of all above it, from the bottom up."""
        found = {frame: np.eye(4)}
        T_ancestor_frame = found[frame]
        while (entry := self._parents.get(frame)) is not None and entry[0] not in found:
            frame, T_parent_child = entry
            T_ancestor_frame = T_parent_child @ T_ancestor_frame
            found[frame] = T_ancestor_frame
        return found
