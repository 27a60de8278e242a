"""`scanssc submit`: the archive for the hidden test server."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from scanssc_core.evaluation.submission import description, expected_files, write_submission


def submit(
    predictions: Annotated[Path, typer.Argument(help="Folder with sequences/XX/predictions/NNNNNN.label.")],
    out: Annotated[Path, typer.Argument(help="Archive to write (.zip).")],
    data: Annotated[Path, typer.Option(help="Root of SemanticKITTI, with the voxels of the sequences 11 to 21.")],
    name: Annotated[str, typer.Option(help="Name of the method, for description.txt.")] = "ScanSSC",
    pdf_url: Annotated[str, typer.Option(help="Address of its paper.")] = "",
    code_url: Annotated[str, typer.Option(help="Address of its code.")] = "",
) -> None:
    """Check a tree of predictions by the rules of the server's validator and pack it."""
    with Progress() as progress:
        task = progress.add_task("packing", total=len(expected_files(data)))
        text = description(name, pdf_url, code_url)
        num_files = write_submission(predictions, data, out, text, lambda: progress.advance(task))
    typer.echo(f"{out}: {num_files} frames, {out.stat().st_size / 1e6:.0f} MB, accepted by the validator's rules")
