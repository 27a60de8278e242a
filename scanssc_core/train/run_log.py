"""log.jsonl of a run: one JSON object a line with its step, for people, plots and tables."""

import json
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from scanssc_core.files import write_file


class RunLog(Logger):
    """Adds lines to the log of a run.

    Args:
        path: of the log.
        first_step: that the run goes on from; later lines, of a run that was cut off, are dropped.
    """

    name = "lines"
    version = ""

    def __init__(self, path: Path, first_step: int) -> None:
        super().__init__()
        self.path = path
        self._drop_after(first_step)

    @rank_zero_only
    def _drop_after(self, step: int) -> None:
        kept = [values for values in read_log(self.path) if values["step"] <= step]
        write_file(self.path, "".join(json.dumps(values) + "\n" for values in kept).encode())

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add a line with these values."""
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step} | metrics) + "\n")

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Write nothing: what a run is set by is in run.json."""


def read_log(path: Path) -> list[dict[str, Any]]:
    """All lines of a log; one that was cut off in the middle is left out.

    Raises:
        ValueError: naming the file, if another line is none of a log.
    """
    if not path.exists():
        return []
    *complete, _ = path.read_text(errors="replace").split("\n")
    try:
        return [json.loads(line) for line in complete]
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not what a run has written ({error})") from error
