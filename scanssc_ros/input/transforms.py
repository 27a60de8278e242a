"""TF without tf2_ros: /tf_static, and /tf where poses at a moment are wanted."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from scanssc_core.geometry.frame_graph import bare_frame
from scanssc_core.geometry.moving_frames import MovingFrames
from scanssc_ros.conversions import stamp_to_ns, transform_to_matrix

if TYPE_CHECKING:
    from tf2_msgs.msg import TFMessage

_MAX_NAMED_FRAMES = 12


class TransformListener:
    """Keeps what TF says.

    Args:
        on_moved: called after every message of /tf; None: /tf is not listened to.

    Attributes:
        frames: the transforms; one who knows others may add them.
        told_elsewhere: the child frames of these others, which /tf is not asked of.
    """

    def __init__(self, node: Node, on_moved: Callable[[], None] | None = None) -> None:
        from tf2_msgs.msg import TFMessage

        self._node = node
        self._on_moved = on_moved
        self._refused: dict[str, str] = {}  # by child frame
        self.frames = MovingFrames()
        self.told_elsewhere: set[str] = set()
        qos = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._subscriptions = [node.create_subscription(TFMessage, "/tf_static", self._on_fixed, qos)]
        if on_moved is not None:
            self._subscriptions.append(node.create_subscription(TFMessage, "/tf", self._on_moving, 100))

    def lookup(self, target: str, source: str) -> NDArray:
        """(4, 4) T_target_source of frames that do not move against each other.

        Raises:
            LookupError: if they are not joined; says why.
        """
        T_target_source = self.frames.fixed.lookup(target, source)
        if T_target_source is None:
            frames = self.frames.fixed.frames
            there = ", ".join(frames[:_MAX_NAMED_FRAMES]) + (", ..." if len(frames) > _MAX_NAMED_FRAMES else "")
            missing = f"no transform from {source!r} to {target!r} on /tf_static, which has {there or 'no frames yet'}"
            raise LookupError("; ".join([missing, *self._refused.copy().values()]))
        return T_target_source

    def lookup_at(self, target: str, source: str, stamp_ns: int) -> NDArray:
        """(4, 4) T_target_source at a moment.

        Raises:
            LookupError: if it is not known then; says why.
        """
        try:
            return self.frames.lookup(target, source, stamp_ns)
        except LookupError as missing:
            raise LookupError("; ".join([str(missing), *self._refused.copy().values()])) from None

    def close(self) -> None:
        """Stop listening."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def _on_fixed(self, message: "TFMessage") -> None:
        for parent, child, T_parent_child, _ in self._transforms(message, "/tf_static"):
            self.frames.fixed.add(parent, child, T_parent_child)

    def _on_moving(self, message: "TFMessage") -> None:
        for parent, child, T_parent_child, stamp_ns in self._transforms(message, "/tf"):
            if bare_frame(child) not in self.told_elsewhere:
                self.frames.add(parent, child, T_parent_child, stamp_ns)
        if self._on_moved is not None:
            self._on_moved()

    def _transforms(self, message: "TFMessage", topic: str) -> list[tuple[str, str, NDArray, int]]:
        """Parent, child, T_parent_child and stamp of each transform that can be used."""
        used = []
        for stamped in message.transforms:
            parent, child = stamped.header.frame_id, stamped.child_frame_id
            try:
                used.append((parent, child, transform_to_matrix(stamped.transform), stamp_to_ns(stamped.header.stamp)))
                self._refused.pop(child, None)
            except ValueError as error:
                refusal = f"{topic}: {parent!r} -> {child!r} is not used: {error}"
                if self._refused.get(child) != refusal:
                    self._node.get_logger().warning(refusal)
                self._refused[child] = refusal
        return used
