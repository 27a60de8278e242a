"""Text files of numbers: calibrations and times. Whatever is wrong is named with its file and line.

UTF-8, with or without a byte order mark; lines end with LF, CR LF or CR; numbers are separated by blanks or tabs.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_NS_PER_S = 1_000_000_000
_MAX_SECONDS = 2**31  # what a ROS stamp can hold; more is milliseconds or nanoseconds
_DATE = re.compile(  # ISO 8601, and as KITTI has it, with a blank for the T
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d*)?\s*(?:Z|([+-])(\d\d):?(\d\d))?", re.IGNORECASE
)


@dataclass(frozen=True)
class Line:
    """A line of a file; `str` of it names both.

    Attributes:
        path: the file.
        number: from 1.
        text: without blanks at its ends.
    """

    path: Path
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}, line {self.number}"


@dataclass(frozen=True)
class Entries:
    """A file of `name: numbers` lines.

    Attributes:
        path: the file.
        lines: of each name, all lines that begin with it. Of a line without a colon the name is all of it.
    """

    path: Path
    lines: dict[str, list[Line]]

    @classmethod
    def read(cls, path: Path) -> "Entries":
        """Read a file; what is wrong with an entry is said when it is asked for: dates and names stand between them.

        Raises:
            ValueError: naming the file, if it is missing or no text.
        """
        lines: dict[str, list[Line]] = {}
        for line in read_lines(path):
            lines.setdefault(line.text.partition(":")[0].strip(), []).append(line)
        return cls(path, lines)

    def __contains__(self, name: str) -> bool:
        return name in self.lines

    def numbers(self, name: str, *counts: int, hint: str = "") -> NDArray:
        """The numbers of an entry, of which there may be so many.

        Args:
            hint: what to do if there is no such entry.
        Raises:
            ValueError: naming file, line and entry.
        """
        found = self.lines.get(name, [])
        if not found:
            names = ", ".join(sorted(key for key, (line, *_) in self.lines.items() if ":" in line.text)) or "none"
            raise ValueError(f"{self.path}: no entry {name}{hint}; there are {names}")
        if len(found) > 1:
            numbers = " and ".join(str(line.number) for line in found)
            raise ValueError(f"{self.path}: expected one entry {name}, got it in lines {numbers}: delete all but one")
        return parse_numbers(found[0].text.partition(":")[2], counts, f"{found[0]}, entry {name}")


def read_lines(path: Path) -> list[Line]:
    """All lines of a file but blank ones at its end.

    Raises:
        ValueError: naming the file, if it is missing or a folder; also the line, if it is not UTF-8.
    """
    if not path.exists():
        raise ValueError(f"missing {path}")
    if path.is_dir():
        raise ValueError(f"{path}: expected a text file, got a folder")
    content = path.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content:
        raise ValueError(f"{path}: expected text in UTF-8, got UTF-16 or no text at all: save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = len(re.split(rb"\r\n|\r|\n", content[: error.start]))
        raise ValueError(
            f"{path}, line {number}: expected text in UTF-8, got the byte 0x{content[error.start]:02x} "
            "(Latin-1?): save the file as UTF-8"
        ) from None
    texts = re.split(r"\r\n|\r|\n", text.rstrip())
    return [Line(path, number, text.strip()) for number, text in enumerate(texts, 1)] if text.strip() else []


def parse_numbers(text: str, counts: tuple[int, ...], where: str) -> NDArray:
    """The float64 numbers of a text, of which there may be so many.

    Args:
        where: file, line and entry, for the error.
    Raises:
        ValueError: if there are not so many, or something is no finite number.
    """
    expected = f"{where}: expected {' or '.join(map(str, counts))} finite numbers with blanks between"
    words = text.split()
    for word in words:
        try:
            is_number = np.isfinite(float(word))
        except ValueError:
            is_number = False
        if not is_number:
            raise ValueError(f"{expected}, got {word!r}")
    if len(words) not in counts:
        raise ValueError(f"{expected}, got {len(words)}")
    return np.array(words, np.float64)


def read_stamps_ns(path: Path) -> list[int]:
    """Times in nanoseconds, one a line: seconds (KITTI odometry), or date and time of day (KITTI raw, ISO 8601).

    A date without an offset is UTC.

    Raises:
        ValueError: naming file and line, if one is blank, no time, or not of the first one's kind.
    """
    lines = read_lines(path)
    for line in lines[1:]:
        if line.text and bool(_DATE.fullmatch(line.text)) != bool(_DATE.fullmatch(lines[0].text)):
            raise ValueError(f"{line}: expected a time like the first line's, {lines[0].text!r}, got {line.text!r}")
    return [_stamp_ns(line) for line in lines]


def _stamp_ns(line: Line) -> int:
    if not line.text:
        raise ValueError(f"{line}: expected the time of frame {line.number - 1}, got a blank line: delete or fill it")
    try:
        date = _DATE.fullmatch(line.text)
        seconds = _seconds_of_date(*date.groups()) if date else Decimal(line.text)
        if not seconds.is_finite():
            raise ValueError
    except (ValueError, OverflowError, InvalidOperation):
        expected = "expected a time, seconds or a date like 2011-09-26 13:02:25.964389445"
        raise ValueError(f"{line}: {expected}; got {line.text!r}") from None
    if not 0 <= seconds < _MAX_SECONDS:
        raise ValueError(f"{line}: expected 0 to {_MAX_SECONDS} seconds, got {line.text}: is it in another unit?")
    return round(seconds * _NS_PER_S)


def _seconds_of_date(
    day: str, time: str, fraction: str | None, sign: str | None, hours: str | None, minutes: str | None
) -> Decimal:
    moment = datetime.fromisoformat(f"{day} {time}").replace(tzinfo=timezone.utc)
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    moment = moment + offset if sign == "-" else moment - offset
    return int(moment.timestamp()) + Decimal(f"0.{fraction or 0}")
