"""What a user must be told of weights before a command uses them."""

import typer


def show_terms(terms: str | None) -> None:
    """Print the line on stderr, if there is one."""
    if terms is not None:
        typer.echo(f"note: {terms}", err=True)
