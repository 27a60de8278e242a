"""The executable scanssc_node: signals and environment first, then what takes seconds to import."""

import sys

from scanssc_core.runtime.environment import prepare_environment
from scanssc_ros.stopping import StopRequest


def main() -> int:
    """Run the node until Ctrl-C, SIGTERM or the end of the context; status 1 if autostart cannot configure it."""
    stop = StopRequest()
    prepare_environment()
    from scanssc_ros.command_line import refuse_arguments

    refuse_arguments(
        "scanssc_node",
        "Semantic occupancy from stereo images, as a lifecycle node. README: topics, parameters, frames.",
    )
    from scanssc_ros.managed_node import run
    from scanssc_ros.node import ScanSSCNode

    return run(stop, ScanSSCNode)


if __name__ == "__main__":
    sys.exit(main())
