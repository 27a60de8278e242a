"""Named subscriptions: what each has received, who publishes it, and exceptions that name their topic."""

from collections.abc import Callable

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from scanssc_ros.statistics import InputStatistics


class CallbackError(Exception):
    """A callback failed; the message names its topic."""


class Subscriptions:
    """The subscriptions of a node, by their names in diagnostics.

    Args:
        node: owner of the subscriptions.
        type_remedy: what to do about a publisher of another type.

    Attributes:
        statistics: of each, by its name.
    """

    def __init__(self, node: Node, type_remedy: str) -> None:
        self._node = node
        self._type_remedy = type_remedy
        self._subscriptions: dict[str, tuple[str, Subscription]] = {}  # by name: the topic before remapping
        self.statistics: dict[str, InputStatistics] = {}

    def add(self, name: str, message_type: type, topic: str, qos: QoSProfile, callback: Callable) -> None:
        """Subscribe; what the callback raises comes as a CallbackError."""

        def named_callback(message: object) -> None:
            try:
                callback(message)
            except Exception as error:
                raise CallbackError(f"{entry.topic}: {type(error).__name__}: {error}") from error

        subscription = self._node.create_subscription(message_type, topic, named_callback, qos)
        entry = InputStatistics(subscription.topic_name)
        self.statistics[name] = entry
        self._subscriptions[name] = topic, subscription

    def close(self) -> None:
        """Unsubscribe from all."""
        for _, subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def refresh_publishers(self) -> None:
        """Ask the graph who publishes each topic now, and whether that can be heard."""
        for name, (topic, subscription) in self._subscriptions.items():
            entry = self.statistics[name]
            publishers = self._node.get_publishers_info_by_topic(topic)
            entry.num_publishers = len(publishers)
            problems = (self._publisher_problem(publisher, subscription) for publisher in publishers)
            entry.publisher_problem = next(filter(None, problems), "")

    def _publisher_problem(self, publisher: TopicEndpointInfo, subscription: Subscription) -> str:
        """Why this publisher cannot be heard; empty if it can."""
        expected = f"{subscription.msg_type.__module__.partition('.')[0]}/msg/{subscription.msg_type.__name__}"
        if publisher.topic_type != expected:
            return f"a publisher sends {publisher.topic_type}, expected {expected}: {self._type_remedy}"
        compatibility, reason = qos_check_compatible(publisher.qos_profile, subscription.qos_profile)
        if compatibility == QoSCompatibility.ERROR:
            reason = reason.removeprefix("ERROR: ").rstrip("; ")
            return f"a publisher offers an incompatible QoS ({reason}): set qos_reliability:=best_effort"
        return ""
