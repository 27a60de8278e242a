"""Sequence folders and data sets of ../shared/cases: what index.tsv calls right."""

from collections.abc import Callable
from pathlib import Path

CASES: dict[str, Callable[[Path, Path], None]] = {}
