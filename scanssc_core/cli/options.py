"""Options that several commands share."""

from typing import Annotated

import typer

ShardOption = Annotated[
    str | None,
    typer.Option(
        metavar="K/N", help="Only every N-th piece of the work, from the K-th on, K from 0; default: torchrun's share."
    ),
]
