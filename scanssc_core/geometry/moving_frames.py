"""Frames joined by transforms of which some change with time (what /tf says), and the transform at a moment."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry.frame_graph import FrameGraph, bare_frame
from scanssc_core.geometry.transforms import make_transform, matrix_to_quaternion

#: Transforms of one frame come in order, but for what two publishers of it do; beyond this, time went back.
_MAX_DISORDER_NS = 1_000_000_000


class MovingFrames:
    """Fixed and moving transforms. A moving one holds between two of its moments, never before or after them.

    One thread may add while another looks up.

    Args:
        kept_s: how long moments are kept, counted from the newest one of a frame.

    Attributes:
        fixed: the frames that do not move.

    Example:
        >>> frames = MovingFrames()
        >>> for second in (0, 1):
        ...     frames.add("odom", "base", make_transform((0, 0, 0, 1), (2.0 * second, 0, 0)), second * 10**9)
        >>> frames.lookup("odom", "base", 500_000_000)[0, 3].item()
        1.0
    """

    def __init__(self, kept_s: float = 60.0) -> None:
        self._kept_ns = round(kept_s * 1e9)
        self._histories: dict[str, tuple[str, deque[tuple[int, NDArray]]]] = {}  # child -> parent, moments
        self.fixed = FrameGraph()

    def add(self, parent: str, child: str, T_parent_child: NDArray, stamp_ns: int) -> None:
        """Tell where a frame is at a moment. A stamp far before the newest one starts its history anew."""
        parent, child = bare_frame(parent), bare_frame(child)
        known = self._histories.get(child)
        if known is None or known[0] != parent or stamp_ns < known[1][-1][0] - _MAX_DISORDER_NS:
            self._histories[child] = parent, deque([(stamp_ns, T_parent_child)])
            return
        moments = known[1]
        if stamp_ns <= moments[-1][0]:
            return  # told already, or by another publisher
        moments.append((stamp_ns, T_parent_child))
        while moments[0][0] < stamp_ns - self._kept_ns:
            moments.popleft()

    def lookup(self, target: str, source: str, stamp_ns: int) -> NDArray:
        """(4, 4) T_target_source at a moment.

        Raises:
            LookupError: if the frames are not joined then; says which frame is not known at that moment.
        """
        graph, uncovered = self.fixed.copy(), []
        for child, (parent, kept) in self._histories.copy().items():
            moments = tuple(kept)
            T_parent_child = _interpolated(moments, stamp_ns)
            if T_parent_child is not None:
                graph.add(parent, child, T_parent_child)
            elif stamp_ns > moments[-1][0]:
                late_s = (stamp_ns - moments[-1][0]) / 1e9
                uncovered.append(f"{parent!r} -> {child!r} is known only up to {late_s:.3f} s before the stamp")
            else:
                early_s = (moments[0][0] - stamp_ns) / 1e9
                uncovered.append(f"{parent!r} -> {child!r} is known only from {early_s:.3f} s after the stamp on")
        T_target_source = graph.lookup(target, source)
        if T_target_source is None:
            there = ", ".join(sorted({*self.fixed.frames, *graph.frames, *self._histories})) or "no frames yet"
            why = "; ".join(uncovered) or f"there are {there}"
            raise LookupError(f"no transform from {bare_frame(source)!r} to {bare_frame(target)!r}: {why}")
        return T_target_source


def _interpolated(moments: tuple[tuple[int, NDArray], ...], stamp_ns: int) -> NDArray | None:
    """The transform between the two moments around a stamp; None if it lies before or after all."""
    if not moments[0][0] <= stamp_ns <= moments[-1][0]:
        return None
    # The newest are asked for.
    after_ns, T_after = moments[-1]
    for before_ns, T_before in reversed(moments):
        if before_ns <= stamp_ns:
            break
        after_ns, T_after = before_ns, T_before
    if before_ns == stamp_ns or after_ns == before_ns:
        return T_before
    share = (stamp_ns - before_ns) / (after_ns - before_ns)
    q_before, q_after = (matrix_to_quaternion(T[:3, :3]) for T in (T_before, T_after))
    # On the straight line between the quaternions: for the small turns of a vehicle the same as on the sphere.
    q = (1 - share) * q_before + share * (q_after if q_before @ q_after >= 0 else -q_after)
    return make_transform(q / np.linalg.norm(q), (1 - share) * T_before[:3, 3] + share * T_after[:3, 3])
