"""The runtimes of others: optional, and named when they are missing."""

import importlib
from types import ModuleType


def import_engine(module: str) -> ModuleType:
    """Import a module of the extra `engines`.

    Raises:
        ValueError: with the line that installs it, if it is not there.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        remedy = f"pip install {module}, or pip install '.[engines]' in the folder of scanssc_ros"
        raise ValueError(f"{module} is not installed ({error}): {remedy}") from error
