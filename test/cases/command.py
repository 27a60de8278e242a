"""The `scanssc` command in this process: as a shell runs it, without the seconds of an import."""

import contextlib
import io
from dataclasses import dataclass
from unittest.mock import patch

from scanssc_core.cli import main


@dataclass(frozen=True)
class Result:
    """What a command gave.

    Attributes:
        status: exit status.
        out, err: what it wrote on stdout and stderr.
    """

    status: int
    out: str
    err: str


def scanssc(*arguments: object) -> Result:
    """Run `scanssc` with these arguments; an exception that `main` does not turn into a line and a status is raised."""
    out, err = io.StringIO(), io.StringIO()
    status = 0
    with (
        patch("sys.argv", ["scanssc", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
    return Result(status, out.getvalue(), err.getvalue())
