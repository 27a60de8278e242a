"""The executable semantic_map: signals and environment first, then what takes seconds to import."""

import sys

from scanssc_core.runtime.environment import prepare_environment
from scanssc_ros.stopping import StopRequest


def main() -> int:
    """Run the map node until Ctrl-C, SIGTERM or the end of the context; status 1 if autostart cannot configure it."""
    stop = StopRequest()
    prepare_environment()
    from scanssc_ros.command_line import refuse_arguments

    refuse_arguments(
        "semantic_map",
        "Semantic grids fused over time, as a lifecycle node. docs/mapping.md: topics, parameters, services.",
    )
    from scanssc_ros.managed_node import run
    from scanssc_ros.mapping.node import SemanticMapNode

    return run(stop, SemanticMapNode)


if __name__ == "__main__":
    sys.exit(main())
