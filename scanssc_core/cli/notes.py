"""What a user must be told before a command uses a model."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from scanssc_core.files import add_warning


def show_notes(notes: Iterable[str]) -> None:
    """Print each line on stderr."""
    for note in notes:
        typer.echo(f"note: {note}", err=True)


@contextmanager
def keep_warnings(path: Path) -> Iterator[None]:
    """Add every warning that is logged in the block to a file (add_warning), each once."""
    keeper = _Keeper(path)
    logger = logging.getLogger("scanssc_core")
    logger.addHandler(keeper)
    try:
        yield
    finally:
        logger.removeHandler(keeper)


class _Keeper(logging.Handler):
    def __init__(self, path: Path) -> None:
        super().__init__(logging.WARNING)
        self._path = path

    def emit(self, record: logging.LogRecord) -> None:
        add_warning(self._path, record.getMessage())
