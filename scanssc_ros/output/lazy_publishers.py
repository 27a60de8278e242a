"""Publishers of a lifecycle node that make nothing while nobody subscribes, each at a rate of its own."""

import time
from collections.abc import Mapping
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile


class LazyPublishers:
    """Publishers below the node's own name.

    Args:
        node: owner of the publishers.
        outputs: message type and QoS by name; the topic is ~/name.
    """

    def __init__(self, node: LifecycleNode, outputs: Mapping[str, tuple[type, QoSProfile]]) -> None:
        self._node = node
        self._publishers: dict[str, Any] = {
            name: node.create_lifecycle_publisher(message_type, f"~/{name}", qos)
            for name, (message_type, qos) in outputs.items()
        }
        self._last_published_s: dict[str, float] = {}

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers.clear()

    def is_due(self, name: str, max_rate_hz: float) -> bool:
        """Whether someone subscribes, and the rate allows another message; 0 allows any."""
        if self._publishers[name].get_subscription_count() == 0:
            return False
        since_s = time.monotonic() - self._last_published_s.get(name, float("-inf"))
        return max_rate_hz == 0 or since_s >= 1.0 / max_rate_hz

    def publish(self, name: str, message: Any) -> str:
        """Publish a message, or its ready bytes, and give the output's name back."""
        self._last_published_s[name] = time.monotonic()
        self._publishers[name].publish(message)
        return name
