"""Bags opened and read without ROS: rosbag2 folders, bare .mcap and .db3 files, ROS 1 bags."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection
from rosbags.typesys import Stores, get_typestore

from scanssc_core.sources.bag_unpacking import UnpackedSizeError, bound_unpacking

# What mends a bag that was not closed or got damaged, by the suffix of its files.
_REMEDIES = {
    ".mcap": "of a recording that was cut off, `mcap recover OLD.mcap -o NEW.mcap` saves what is whole",
    ".db3": "of a recording that was cut off, `sqlite3 OLD.db3 .recover | sqlite3 NEW.db3` saves what is whole",
    ".bag": "a recording of ROS 1 that was cut off is mended by `rosbag reindex OLD.bag`",
    ".active": "a recording of ROS 1 that was cut off is mended by `rosbag reindex OLD.bag.active`; then name it .bag",
}
_SUFFIXES = (".mcap", ".db3", ".bag")
# How files begin, whatever they are named.
_BAG_MAGIC = {b"\x89MCAP": ".mcap", b"SQLite format 3": ".db3", b"#ROSBAG V2": ".bag"}
_ARCHIVE_MAGIC = {
    b"PK\x03\x04": "zip",
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
}


def is_bag(path: Path) -> bool:
    """Whether this is meant as a bag: a file, or a folder with metadata.yaml or files of a bag."""
    return path.is_file() or (path / "metadata.yaml").exists() or bool(_bag_files(path))


@contextmanager
def open_bag(path: Path) -> Iterator[AnyReader]:
    """An opened reader of a bag.

    Args:
        path: folder of a rosbag2; its metadata.yaml may be missing if it holds one file. Or a .mcap, .db3 or .bag file.
    Raises:
        ValueError: naming the bag and what to do, if there is none that can be read.
    """
    if not path.exists():
        raise ValueError(f"no bag at {path}")
    try:
        bound_unpacking()
        _refuse_unmerged(path)
        reader = AnyReader([_with_messages(path)], default_typestore=get_typestore(Stores.ROS2_HUMBLE))
        reader.open()
        reader.topics  # noqa: B018 (made of the metadata, whose fields may be of any type)
    except UnpackedSizeError as error:
        raise ValueError(_too_large(path, error)) from error
    except Exception as error:  # the library's own errors have no common base, and damaged files raise others
        raise ValueError(
            f"{path} is no bag that can be read (a folder with metadata.yaml; .mcap, .db3 or .bag): "
            f"{_reason(error)}{_remedy(path)}"
        ) from error
    try:
        yield reader
    finally:
        reader.close()


def read_messages(
    reader: AnyReader, connections: Iterable[Connection] | None = None
) -> Iterator[tuple[Connection, int, bytes]]:
    """Messages in the order of the bag: connection, time of recording in ns, raw bytes.

    Args:
        reader: an opened bag.
        connections: only these; default: all.
    Raises:
        ValueError: after everything before it was given, where the bag is damaged, or holds more than its size
            justifies.
    """
    wanted = reader.connections if connections is None else list(connections)
    if not wanted:
        return  # the library would read all
    num_read = 0
    try:
        for message in reader.messages(wanted):
            yield message
            num_read += 1
    except UnpackedSizeError as error:
        raise ValueError(_too_large(Path(str(reader.paths[0])), error)) from error
    except Exception as error:  # as above; what the caller does with a message raises there, not here
        path = Path(str(reader.paths[0]))
        raise ValueError(
            f"{path} is damaged after {num_read} messages that were read: {_reason(error)}{_remedy(path)}"
        ) from error


def deserialize(reader: AnyReader, connection: Connection, raw: bytes) -> Any:
    """A message by its fields.

    Raises:
        ValueError: naming bag and topic, if the bytes are not a message of its type.
    """
    try:
        return reader.deserialize(raw, connection.msgtype)
    except Exception as error:  # as above
        where = f"{reader.paths[0]}: {connection.topic}"
        raise ValueError(f"{where}: no {connection.msgtype}: {_reason(error)}") from error


def _with_messages(path: Path) -> Path:
    """The folder or file that the library takes."""
    if path.is_file() or (path / "metadata.yaml").exists():
        return path
    files = _bag_files(path)
    if len(files) == 1:
        return files[0]
    raise ValueError(
        f"no metadata.yaml, and {len(files)} bag files ({', '.join(file.name for file in files)}): name one of them, "
        "or write metadata.yaml by `ros2 bag reindex`"
        if files
        else "neither metadata.yaml nor a bag file in it"
    )


def _refuse_unmerged(path: Path) -> None:
    """SQLite keeps the last messages of a recording that was cut off in a file beside it, which the library ignores."""
    for file in _files(path):
        journal = file.with_name(f"{file.name}-wal")
        if journal.exists() and journal.stat().st_size:
            raise ValueError(
                f"{journal.name} holds messages that are not in {file.name} yet; "
                f"`sqlite3 {file.name} 'PRAGMA wal_checkpoint(TRUNCATE)'` moves them there"
            )


def _files(bag: Path) -> list[Path]:
    return [bag] if bag.is_file() else _bag_files(bag)


def _bag_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*") if file.suffix in _SUFFIXES and file.is_file())


def _reason(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__


def _too_large(path: Path, error: UnpackedSizeError) -> str:
    unpackers = "`mcap decompress`, `rosbag decompress`, `ros2 bag convert`"
    return f"{path}: {error}; if you trust it, write it anew without compression ({unpackers})"


def _remedy(path: Path) -> str:
    if path.is_file():
        with path.open("rb") as file:
            begin = file.read(16)
        for magic, kind in _ARCHIVE_MAGIC.items():
            if begin.startswith(magic):
                return f"; it is packed by {kind}: unpack it"
        for magic, suffix in _BAG_MAGIC.items():
            if begin.startswith(magic) and path.suffix not in (suffix, ".active"):
                return f"; it begins as a {suffix} file does: name it so"
    elif (path / "metadata.yaml").exists():
        return f"; if metadata.yaml is wrong, `ros2 bag reindex {path}` writes it anew{_recovery(path)}"
    return _recovery(path)


def _recovery(path: Path) -> str:
    remedies = {_REMEDIES[file.suffix] for file in _files(path) if file.suffix in _REMEDIES}
    return "".join(f"; {remedy}" for remedy in sorted(remedies))
