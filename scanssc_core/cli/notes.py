"""What a user must be told before a command uses a model."""

from collections.abc import Iterable

import typer


def show_notes(notes: Iterable[str]) -> None:
    """Print each line on stderr."""
    for note in notes:
        typer.echo(f"note: {note}", err=True)
