"""Unpacks chunks, messages and files of bags, no further than they claim to hold and than their size justifies.

rosbags unpacks them to whatever they hold, and zstd and bz2 make kilobytes of gigabytes. bound_unpacking puts the
functions and readers of this file in the place of its own.
"""

import os
import sqlite3
from bz2 import BZ2Decompressor
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, Literal, Protocol

from lz4.frame import LZ4FrameDecompressor
from rosbags.rosbag1 import reader as rosbag1
from rosbags.rosbag2 import reader as rosbag2
from rosbags.rosbag2 import storage_mcap, storage_sqlite3
from rosbags.rosbag2.reader import zstd  # of Python itself from 3.14 on, before that of a package

#: Harmless whatever it was packed to: blank pictures pack ten-thousandfold.
_FREE_BYTES = 64 << 20
#: The most that lz4 can do is 255; what cameras and LiDARs record becomes a half to a twentieth.
_MAX_RATIO = 256
#: Chunks and messages are in memory as a whole: more than twice the largest picture that is read (see images.py).
_MAX_BYTES = 1 << 30


class UnpackedSizeError(ValueError):
    """What is packed claims to hold, or holds, more than it may."""


class Decompressor(Protocol):
    """What zstd, bz2 and lz4 have in common."""

    @property
    def eof(self) -> bool:
        """Whether the end of the stream was met."""

    @property
    def unused_data(self) -> bytes | None:
        """What comes behind it."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """The content, of max_length bytes at most."""


def bound_unpacking() -> None:
    """Make rosbags unpack by this file from now on. Done twice, it is as done once."""
    storage_mcap.DECOMPRESSORS.update(
        lz4=lambda packed, claimed: unpack(LZ4FrameDecompressor(), packed, claimed),
        zstd=lambda packed, claimed: unpack(zstd.ZstdDecompressor(), packed, claimed),
    )
    rosbag1.decompressors.update(
        lz4=lambda packed: unpack(LZ4FrameDecompressor(), packed),
        bz2=lambda packed: unpack(BZ2Decompressor(), packed),
    )
    vars(rosbag2)["zstd"] = SimpleNamespace(
        decompress=lambda packed: unpack(zstd.ZstdDecompressor(), packed), open=_PackedFile
    )
    readers: dict[Any, Any] = {storage_mcap.McapReader: _McapReader, storage_sqlite3.Sqlite3Reader: _Sqlite3Reader}
    for bag in (rosbag2.Reader, rosbag2.DirectoryReader):
        bag.STORAGE_PLUGINS = {name: readers.get(reader, reader) for name, reader in bag.STORAGE_PLUGINS.items()}


def unpack(decompressor: Decompressor, packed: bytes, claimed: int | None = None) -> bytes:
    """What a chunk or a message holds.

    Args:
        decompressor: a new one.
        packed: a whole stream.
        claimed: bytes that it holds, as the bag says; None: it does not say.
    Raises:
        UnpackedSizeError: if the claim is more than the size justifies, before memory is taken; or as soon as there is
            more than the claim, or, without one, than is justified.
        ValueError: if the stream is cut off, or there is something behind it.
    """
    most = _most(len(packed))
    if claimed is not None:
        _check_claim(claimed, len(packed), most)
        most = claimed
    content = decompressor.decompress(packed, max_length=most + 1)
    if len(content) > most:
        raise UnpackedSizeError(f"{len(packed):,} packed bytes hold more than {most:,}")
    if not decompressor.eof or decompressor.unused_data:
        raise ValueError(f"{len(packed):,} packed bytes are no single whole stream")
    return content


def _most(num_packed: int) -> int:
    """Bytes that a chunk or message of so many may hold."""
    return min(_MAX_BYTES, _justified(num_packed))


def _justified(num_packed: int) -> int:
    return _FREE_BYTES + _MAX_RATIO * num_packed


def _check_claim(claimed: int, num_packed: int, most: int) -> None:
    if claimed > most:
        raise UnpackedSizeError(f"{num_packed:,} packed bytes claim to hold {claimed:,}, expected {most:,} at most")


class _PackedFile(zstd.ZstdFile):
    """A file of a bag, unpacked piece by piece to the disk."""

    def __init__(self, file: IO[bytes], mode: Literal["rb"]) -> None:
        super().__init__(file, mode)
        self._num_packed = os.fstat(file.fileno()).st_size

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        if self.tell() > (most := _justified(self._num_packed)):
            raise UnpackedSizeError(f"{self._num_packed:,} packed bytes hold more than {most:,}")
        return content


class _McapReader(storage_mcap.McapReader):
    """Looks at the index: chunks that overlap in time are in memory side by side, and one may be listed many times."""

    def open(self) -> None:
        super().open()
        try:
            for chunk in self.chunks:
                _check_claim(chunk.uncompressed_size, chunk.compressed_size, _most(chunk.compressed_size))
            num_bytes = self.path.stat().st_size
            _check_claim(sum(chunk.uncompressed_size for chunk in self.chunks), num_bytes, _justified(num_bytes))
        except UnpackedSizeError:
            self.close()
            raise


class _Sqlite3Reader(storage_sqlite3.Sqlite3Reader):
    """Refuses columns that are computed when they are read: a formula of ten bytes is a message of a gigabyte."""

    def open(self) -> None:
        with closing(sqlite3.connect(f"{Path(str(self.path)).absolute().as_uri()}?immutable=1", uri=True)) as database:
            for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                columns = database.execute("SELECT name, hidden FROM pragma_table_xinfo(?)", [table])
                if computed := [name for name, hidden in columns if hidden]:
                    raise ValueError(f"{table} computes {', '.join(computed)} instead of holding it")
        super().open()
