"""YAML files of users, read without what YAML can do beyond values."""

from pathlib import Path
from typing import Any

import yaml


def read_yaml(path: Path) -> Any:
    """What a file holds.

    Raises:
        ValueError: naming the file, if it cannot be read.
    """
    try:
        # In C: what is nested a thousand times ends there, where Python's takes minutes over it.
        return yaml.load(path.read_text(), yaml.CSafeLoader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
