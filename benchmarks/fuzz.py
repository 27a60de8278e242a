"""Hostile files: every reader is given files that were broken by chance, many thousand of them.

python benchmarks/fuzz.py [--cases 500] [--only NAME ...]

A case is a good file with bits turned over, cut off, with other sizes in it, with other words and numbers, or another
kind of file altogether. A reader may read it, or refuse it by a ValueError that names the file. Everything else is a
fault: another exception, the end of the process, more memory than the file justifies, more than ten seconds of
processor time, a file that was made, code that was run. Readers of one kind run in a process of their own, with limits.
Writes docs/benchmarks/fuzz.md; ends with status 1 if there was a fault.
"""

import argparse
import multiprocessing
import os
import re
import resource
import signal
import traceback
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import numpy as np
import torch
from fuzz_breaking import broken
from fuzz_readers import READERS, Reader, noise

_ROOT = Path(__file__).resolve().parents[1]
_MAX_GROWTH_MIB = 192  # files are smaller than 5 MB, and what is packed in them is at most a thousand times as large
_LIMIT_GIB = 2
_MAX_S = 10


@dataclass
class Outcome:
    """What became of the cases of a reader.

    Attributes:
        faults: of each kind, how often, and the number of the first such case.
    """

    num_read: int = 0
    num_refused: int = 0
    faults: dict[str, list[int]] = field(default_factory=dict)

    @property
    def num_cases(self) -> int:
        return self.num_read + self.num_refused + sum(count for count, _ in self.faults.values())

    def add_fault(self, fault: str, case: int) -> None:
        """Count a fault."""
        count, first = self.faults.get(fault, [0, case])
        self.faults[fault] = [count + 1, first]


def run(readers: Sequence[Reader], num_cases: int, seed: int = 0) -> dict[str, Outcome]:
    """Every reader with so many cases; a process that ends at one of them is a fault, and another goes on behind it."""
    outcomes = {}
    context = multiprocessing.get_context("fork")
    for reader in readers:
        outcome = outcomes[reader.name] = Outcome()
        first = 0
        while first < num_cases:
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_run_cases, args=(reader, first, num_cases, seed, sender))
            process.start()
            sender.close()
            try:
                while True:
                    first, kind, text = receiver.recv()
                    first += 1
                    if kind == "read":
                        outcome.num_read += 1
                    elif kind == "refused":
                        outcome.num_refused += 1
                    else:
                        outcome.add_fault(text, first - 1)
            except EOFError:
                process.join()
            if first < num_cases:
                outcome.add_fault(f"the process ended with status {process.exitcode}", first)
                first += 1
    return outcomes


def _run_cases(reader: Reader, first: int, num_cases: int, seed: int, sender: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_virtual_bytes() + (_LIMIT_GIB << 30), resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, _out_of_time)
    with TemporaryDirectory() as root, Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)  # what C libraries and warnings have to say
        folder = Path(root) / "files"
        folder.mkdir()
        os.chdir(root)
        path = reader.make(folder)
        good = path.read_bytes()
        reader.read(path)
        others = [b"", b"\0" * 1000, b"PK\x03\x04", b"{}", noise(1000).tobytes()]
        others += [make(good) for make in reader.hostile]
        there = _listing(Path(root))
        for case in range(first, num_cases):
            rng = np.random.default_rng([seed, case, zlib.crc32(reader.name.encode())])
            path.write_bytes(others[case] if case < len(others) else broken(good, rng))
            kind, text = _try(reader, path)
            if made := _listing(Path(root)) - there:
                kind, text = "fault", f"made {', '.join(sorted(made))}"
            sender.send((case, kind, text))
    sender.close()


def _try(reader: Reader, path: Path) -> tuple[str, str]:
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before_kib = _status_kib("VmRSS")
    signal.setitimer(signal.ITIMER_PROF, _MAX_S)
    kind, text = "read", ""
    try:
        reader.read(path)
    except ValueError as error:
        kind = "refused"
        if path.name not in str(error) and path.parent.name not in str(error):
            kind, text = "fault", f"does not name the file: {_where(error)}"
        elif isinstance(error, UnicodeError):
            kind, text = "fault", f"{type(error).__name__} {_where(error)}"
    except _OutOfTime:
        kind, text = "fault", f"more than {_MAX_S} s of processor time"
    except BaseException as error:
        kind, text = "fault", f"{type(error).__name__} {_where(error)}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    grown_mib = (_status_kib("VmHWM") - before_kib) >> 10
    if kind != "fault" and grown_mib > _MAX_GROWTH_MIB:
        kind, text = "fault", f"more than {_MAX_GROWTH_MIB} MiB for a file of {path.stat().st_size >> 10} KiB"
    return kind, text


class _OutOfTime(BaseException):
    """No Exception: no reader may take it for a fault of the file."""


def _out_of_time(number: int, frame: FrameType | None) -> None:
    raise _OutOfTime


def _where(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"in {last.name} of {Path(last.filename).name}"


def _listing(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def _status_kib(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def _virtual_bytes() -> int:
    return _status_kib("VmSize") << 10


def write_table(outcomes: dict[str, Outcome], num_cases: int, path: Path) -> str:
    """A row for each reader."""
    lines = [
        "# Hostile files",
        "",
        f"`python benchmarks/fuzz.py --cases {num_cases}`. Refused: by a ValueError that names the file.",
        "",
        "| reader | cases | read | refused | faults |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, outcome in outcomes.items():
        faults = "; ".join(f"{count}: {fault} (case {first})" for fault, (count, first) in outcome.faults.items())
        counts = f"{outcome.num_cases} | {outcome.num_read} | {outcome.num_refused}"
        lines.append(f"| {name} | {counts} | {faults or 'none'} |")
    text = "\n".join(lines) + "\n"
    path.write_text(text)
    return text


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", type=Path, default=_ROOT / "docs" / "benchmarks" / "fuzz.md")
    parser.add_argument("--only", nargs="+", default=[reader.name for reader in READERS])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    outcomes = run([reader for reader in READERS if reader.name in arguments.only], arguments.cases, arguments.seed)
    for name, outcome in outcomes.items():
        print(name, outcome, flush=True)
    if len(outcomes) == len(READERS):
        print(write_table(outcomes, arguments.cases, arguments.table))
    return 1 if any(outcome.faults for outcome in outcomes.values()) else 0
