"""Files that are written whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary name beside the target, and rename it when the block ends well: nobody sees half a file.

    Raises:
        OSError: naming the target, if it cannot be written; what was there before is still there.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")  # not the process's number: containers share those
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # it may be that the folder is none
            temporary.unlink()


#: How a line begins that is no part of a description.
WARNING = "warning: "


def claim_folder(folder: Path, name: str, description: str, is_empty: bool) -> None:
    """Keep in a folder of results how they are made, so that a second run does not mix two kinds.

    Args:
        name: of the file in it that keeps the description.
        description: lines `what: value` of all that decides the results. Lines of warnings after it stay there
            (add_warning).
        is_empty: whether the folder holds no results yet.
    Raises:
        ValueError: if it holds results that were made otherwise, or that do not say how; names the lines that differ.
    """
    path = folder / name
    # Paths need not be UTF-8.
    kept = path.read_text(errors="surrogateescape") if path.exists() else f"no {name} says how\n"
    kept = "".join(line for line in kept.splitlines(keepends=True) if not line.startswith(WARNING))
    if not is_empty:
        if kept == description:
            return
        held, asked = kept.splitlines(), description.splitlines()
        others, ours = ("; ".join(line for line in a if line not in b) for a, b in ((held, asked), (asked, held)))
        raise ValueError(
            f"{folder} holds results that were made otherwise ({others}); asked for: {ours}. "
            "Choose another folder, or delete that one"
        )
    write_file(path, description.encode(errors="surrogateescape"))


def add_warning(path: Path, text: str) -> None:
    """Add a line to a description that claim_folder keeps, unless it is there."""
    line = WARNING + " ".join(text.splitlines())
    kept = path.read_text(errors="surrogateescape")
    if line not in kept.splitlines():
        write_file(path, f"{kept}{line}\n".encode(errors="surrogateescape"))


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        OSError: naming the file, if it cannot be written.
    """
    with whole_file(path) as temporary:
        temporary.write_bytes(content)
