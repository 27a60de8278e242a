#!/usr/bin/env python3
"""Run the commands of the tutorials, as they are printed: `make docs-check`.

Above each `bash` block stands a line that says how it is checked: a comment, or what the reader has to see:

    <!-- run -->                       run, and must succeed
    <!-- run s/--steps 500/--steps 2/ -->  run after these substitutions of sed, which make it short
    <!-- background -->                run beside the blocks that follow, and ended with the page
    <!-- tested by test/... -->        a test does what it says
    *Needs ...*                        cannot be run here: says what it needs

The blocks of a page run in one shell, in order, in a folder of links to those of the repository and of `make build`,
with an empty `tutorial`. The shell ends at the first command that fails.
"""

import argparse
import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^(?:<!-- (.+?) -->\n|\*(Needs .+?)\*\n)?```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KINDS = ("run", "background", "tested by", "Needs")


@dataclass(frozen=True)
class Block:
    """Commands of a page.

    Attributes:
        kind: of KINDS.
        detail: what the comment says beyond it: substitutions, a test, a need.
    """

    kind: str
    detail: str
    commands: str


def blocks_of(page: Path) -> list[Block]:
    """The bash blocks of a page.

    Raises:
        ValueError: naming the page and the block that does not say how it is checked.
    """
    blocks = []
    for comment, need, commands in BLOCK.findall(page.read_text()):
        mark, kinds = (need, KINDS[3:]) if need else (comment, KINDS[:3])
        kind = next((kind for kind in kinds if mark == kind or mark.startswith(f"{kind} ")), "")
        if not kind:
            raise ValueError(
                f"{page}: expected a comment, one of {', '.join(KINDS[:3])}, or *{KINDS[3]} ...* "
                f"above the block of {commands!r}"
            )
        blocks.append(Block(kind, mark.removeprefix(kind).strip(), commands))
    return blocks


def script_of(blocks: list[Block]) -> str:
    """One shell script of what is run of a page."""
    lines = ["set -eo pipefail", "beside=()"]
    for block in blocks:
        if block.kind not in ("run", "background"):
            continue
        commands = block.commands
        if block.detail:
            edit = ["sed", "-E", block.detail]
            commands = subprocess.run(edit, input=commands, text=True, capture_output=True, check=True).stdout
            if commands == block.commands:
                raise ValueError(f"{block.detail} changes nothing of {block.commands!r}")
        lines += [f"printf '%s\\n' {shlex.quote('$ ' + line)}" for line in commands.strip().splitlines()]
        lines.append(f"{{\n{commands}}} & beside+=($!)" if block.kind == "background" else commands)
    lines.append('for process in "${beside[@]}"; do kill -0 "$process"; done')  # what runs beside has not failed
    return "\n".join(lines) + "\n"


def run_page(page: Path) -> bool:
    """Run a page in a folder of its own; false if a command failed."""
    with tempfile.TemporaryDirectory(prefix="tutorial-") as name:
        folder = Path(name)
        for entry in ROOT.iterdir():
            if entry.name not in ("build", "demo", "tutorial", ".git"):
                (folder / entry.name).symlink_to(entry)
        begin_s = time.monotonic()
        shell = subprocess.Popen(["bash", "-c", script_of(blocks_of(page))], cwd=folder, start_new_session=True)
        try:
            status = shell.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGTERM)  # what runs beside
    print(f"== {page.name}: status {status}, {time.monotonic() - begin_s:.0f} s", flush=True)
    return status == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="+", type=Path)
    failed = [page.name for page in parser.parse_args().pages if not run_page(page)]
    if failed:
        print(f"error: commands failed of {', '.join(failed)}: see above", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
