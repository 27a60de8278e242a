"""The `scanssc` command: the environment first, then what takes seconds to import (app.py)."""

import sys

from scanssc_core.runtime.environment import prepare_environment


def main() -> None:
    """Run the command; what is wrong with the input is one line on stderr and status 1, not a traceback."""
    prepare_environment()
    from scanssc_core.cli.app import app

    try:
        app()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
