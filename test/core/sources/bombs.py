"""Bags of kilobytes that unpack to gigabytes, or say so."""

import bz2
import sqlite3
from pathlib import Path

import lz4.frame
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from core.sources.small_bags import SmallBag

GIB = 1 << 30


def zstd_bomb(num_bytes: int) -> bytes:
    """A frame of blocks that repeat a byte (RFC 8878): four bytes make 128 KiB."""
    block, last = (((1 << 17) << 3 | 1 << 1 | is_last).to_bytes(3, "little") + b"\0" for is_last in (0, 1))
    return b"\x28\xb5\x2f\xfd" + b"\x00\x38" + block * ((num_bytes >> 17) - 1) + last


def lz4_bomb(num_bytes: int) -> bytes:
    """A frame whose blocks of 4 MiB are all the same: 16 KiB each."""
    whole = lz4.frame.compress(bytes(4 << 20), block_size=lz4.frame.BLOCKSIZE_MAX4MB, block_linked=False, store_size=0)
    header, block, end = whole[:7], whole[7:-4], whole[-4:]
    return header + block * (num_bytes >> 22) + end


def bz2_bomb(num_bytes: int) -> bytes:
    return bz2.compress(bytes(num_bytes))


def mcap_bomb(folder: Path, compression: str, packed: bytes, claimed: int | None = None) -> Path:
    """An .mcap file whose only chunk holds this, and claims to hold so many bytes; None: a few thousand."""
    sizes = []

    def pack(content: bytes) -> bytes:
        sizes.append(len(content))
        return packed

    file = SmallBag().rig().write(folder / "bomb", packer=(compression, pack)) / "bomb.mcap"
    if claimed is not None:
        content, said = file.read_bytes(), sizes[0].to_bytes(8, "little")
        assert content.count(said) == 2  # in the chunk and in the index
        file.write_bytes(content.replace(said, claimed.to_bytes(8, "little")))
    return file


def without_index(file: Path) -> Path:
    """An .mcap file whose end names no index: it is read from its start."""
    content = bytearray(file.read_bytes())
    content[-28:-12] = bytes(16)
    file.write_bytes(content)
    return file


def listed_often(file: Path, num_times: int) -> Path:
    """An .mcap file whose index names its only chunk so often."""
    content = file.read_bytes()
    at = int.from_bytes(content[-28:-20], "little")
    while content[at] != 8:
        at += 9 + int.from_bytes(content[at + 1 : at + 9], "little")
    end = at + 9 + int.from_bytes(content[at + 1 : at + 9], "little")
    file.write_bytes(content[:at] + content[at:end] * num_times + content[end:])
    return file


def ros1_bomb(folder: Path, compression: str, packed: bytes) -> Path:
    """A bag of ROS 1 whose only chunk holds this."""
    return SmallBag(is_ros1=True).rig().write(folder / "bomb.bag", packer=(compression, lambda _: packed))


def message_bomb(folder: Path, packed: bytes) -> Path:
    """A bag whose messages hold this."""
    bag = SmallBag().rig().write(folder / "bomb", StoragePlugin.SQLITE3, mode=CompressionMode.MESSAGE)
    change_database(bag / "bomb.db3", "UPDATE messages SET data = ?", packed)
    return bag


def file_bomb(folder: Path, packed: bytes) -> Path:
    """A bag whose file holds this."""
    bag = SmallBag().rig().write(folder / "bomb", StoragePlugin.SQLITE3, mode=CompressionMode.FILE)
    (bag / "bomb.db3.zstd").write_bytes(packed)
    return bag


def change_database(file: Path, *command: object) -> None:
    with sqlite3.connect(file) as database:
        database.execute(command[0], command[1:])
    database.close()
