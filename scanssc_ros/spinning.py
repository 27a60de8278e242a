"""The loop that runs a node's callbacks until it is to stop, whatever they raise."""

from collections.abc import Callable
from concurrent.futures import Future

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

#: rclpy's executor sleeps on when it is woken without a callback to run: a request is looked for after so long.
_LONGEST_SLEEP_S = 0.2


def spin(node: Node, requested: "Future[None]", on_exception: Callable[[Exception], None]) -> None:
    """Run the callbacks of a node.

    Args:
        requested: done when the loop is to end (see StopRequest).
        on_exception: called with what a callback raised; the loop goes on.
    """
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    while not requested.done() and node.context.ok():
        try:
            executor.spin_once(timeout_sec=_LONGEST_SLEEP_S)
        except Exception as error:
            on_exception(error)
    executor.remove_node(node)
