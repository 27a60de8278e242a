"""Replays a rosbag2 (mcap or sqlite3) as raw bytes, on machines without rosbag2.

ros2 run scanssc_ros bag_player BAG [--rate 1.0] [--loop] [--clock] [--wait-for TOPIC ...] [--ros-args -r old:=new]
"""

import argparse
import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rclpy
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from rosbags.highlevel import AnyReader
from rosgraph_msgs.msg import Clock

from scanssc_core.sources.bag import open_bag, read_messages
from scanssc_ros.stopping import end_with_keyboard_interrupt

# Subscribers are discovered one after the other, and each may know us later than we know it: Fast DDS repeats a lost
# packet of discovery after a second.
_SETTLING_S = 1.5
# Between two rounds of a loop: no camera gives its last and its first frame at once.
_LOOP_GAP_S = 0.1
# For messages still on their way when the last one is sent; reliable subscribers that are busy are waited for.
_LINGERING_S = 1.0
_MAX_WAIT_FOR_SUBSCRIBERS_S = 30
# A signal is dealt with between two waits inside rclpy, not during one.
_SIGNAL_CHECK = Duration(seconds=0.1)


class BagPlayer(Node):
    """Publishes the messages of a bag at their recorded pace.

    Args:
        reader: an opened bag.
        is_best_effort: publish images and calibration best effort, as camera drivers do; else reliable.
        with_clock: publish /clock.
    """

    def __init__(self, reader: AnyReader, is_best_effort: bool = False, with_clock: bool = False) -> None:
        super().__init__("bag_player")
        self._reader = reader
        reliability = ReliabilityPolicy.BEST_EFFORT if is_best_effort else ReliabilityPolicy.RELIABLE
        self._players: dict[str, Publisher] = {}
        for connection in reader.connections:
            if connection.topic in self._players:
                continue
            message_type = _message_type(connection.msgtype)
            if message_type is None:
                self.get_logger().warning(f"{connection.topic} is left out: {connection.msgtype} is not installed")
                continue
            qos = QoSProfile(depth=100, reliability=reliability)  # rides out a subscriber that is busy for seconds
            if connection.topic == "/tf_static":
                qos = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
            self._players[connection.topic] = self.create_publisher(message_type, connection.topic, qos)
        self._clock_publisher = self.create_publisher(Clock, "/clock", 10) if with_clock else None
        self.num_published = 0

    def wait_for_subscribers(self, timeout_s: float, topics: Sequence[str] = ()) -> None:
        """Wait until topics have subscribers and no further ones turn up, at most timeout_s.

        Args:
            topics: those that must have one; by default any will do, and a second program that is discovered a second
                after the first one misses the beginning.
        """
        end_s = time.monotonic() + timeout_s
        settled_s, subscribed = time.monotonic(), self._subscribed_topics()

        def is_settled() -> bool:
            return bool(subscribed) and subscribed.issuperset(topics) and time.monotonic() - settled_s > _SETTLING_S

        while time.monotonic() < end_s and not is_settled():
            time.sleep(0.05)
            if (now_subscribed := self._subscribed_topics()) != subscribed:
                settled_s, subscribed = time.monotonic(), now_subscribed
        if not subscribed or not subscribed.issuperset(topics):
            missing = [topic for topic in topics or self._players if topic not in subscribed]
            self.get_logger().warning(f"nobody subscribes to {', '.join(missing)}")

    def wait_until_received(self) -> None:
        """Wait until reliable subscribers have acknowledged everything, or for half a minute."""
        end_s = time.monotonic() + _MAX_WAIT_FOR_SUBSCRIBERS_S
        for publisher in self._players.values():
            while not publisher.wait_for_all_acked(_SIGNAL_CHECK) and time.monotonic() < end_s:
                pass

    def play_once(self, rate: float) -> None:
        """Publish all messages, `rate` times as fast as recorded."""
        start_s, first_ns = time.monotonic(), None
        for connection, bag_time_ns, raw in read_messages(self._reader):
            first_ns = bag_time_ns if first_ns is None else first_ns
            time.sleep(max(0.0, start_s + (bag_time_ns - first_ns) / 1e9 / rate - time.monotonic()))
            if self._clock_publisher is not None:
                clock = Clock()
                clock.clock.sec, clock.clock.nanosec = divmod(bag_time_ns, 1_000_000_000)
                self._clock_publisher.publish(clock)
            if connection.topic in self._players:
                self._players[connection.topic].publish(bytes(raw))
                self.num_published += 1

    def _subscribed_topics(self) -> set[str]:
        publishers = [*self._players.values(), *([self._clock_publisher] if self._clock_publisher else [])]
        return {publisher.topic_name for publisher in publishers if publisher.get_subscription_count() > 0}


def _message_type(name: str) -> Any | None:
    """Python class of `package/msg/Name`, or None where its package is not installed."""
    package, _, type_name = name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), type_name, None)
    except ModuleNotFoundError:
        return None


def main(args: list[str] | None = None) -> int:
    """Play a bag to its end, or in a loop until Ctrl-C."""
    arguments = sys.argv if args is None else args
    parser = argparse.ArgumentParser(prog="bag_player", description="Replay a rosbag2 without rosbag2.")
    parser.add_argument("bag", type=Path, help="rosbag2 folder, or a bare .mcap or .db3 file")
    parser.add_argument("--rate", type=float, default=1.0, help="times as fast as recorded (default 1)")
    parser.add_argument("--loop", action="store_true", help="start again at the end; stamps and /clock go back")
    parser.add_argument("--clock", action="store_true", help="publish /clock, for nodes with use_sim_time")
    parser.add_argument("--best-effort", action="store_true", help="publish images best effort, as cameras do")
    parser.add_argument("--wait", type=float, default=10.0, help="longest wait for subscribers, seconds (default 10)")
    parser.add_argument(
        "--wait-for", nargs="+", default=[], metavar="TOPIC", help="wait until these have subscribers (default: any)"
    )
    options = parser.parse_args(remove_ros_args(arguments)[1:])
    if not options.rate > 0:
        parser.error(f"--rate: expected a number above zero, got {options.rate}")
    end_with_keyboard_interrupt()
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    try:
        with open_bag(options.bag) as reader:
            if not reader.is2:
                raise ValueError(
                    f"{options.bag} is a ROS 1 bag, whose messages ROS 2 cannot take; convert it: "
                    f"rosbags-convert --src {options.bag} --dst {options.bag.with_suffix('')}"
                )
            play(reader, options)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    finally:
        rclpy.try_shutdown()
    return 0


def play(reader: AnyReader, options: argparse.Namespace) -> None:
    """Play an opened bag by the command line's options."""
    player = BagPlayer(reader, options.best_effort, options.clock)
    try:
        player.wait_for_subscribers(options.wait, options.wait_for)
        while True:
            player.play_once(options.rate)
            if not options.loop:
                break
            time.sleep(_LOOP_GAP_S / options.rate)
        player.wait_until_received()
        time.sleep(_LINGERING_S)
        player.get_logger().info(f"{player.num_published} messages published")
    finally:
        player.destroy_node()


if __name__ == "__main__":
    sys.exit(main())
