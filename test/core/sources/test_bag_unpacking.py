import bz2
import re
import resource
from pathlib import Path

import lz4.frame
import numpy as np
import pytest
from rosbags.rosbag2 import CompressionMode, StoragePlugin
from rosbags.rosbag2.reader import zstd

from core.sources.bombs import (
    GIB,
    bz2_bomb,
    change_database,
    file_bomb,
    listed_often,
    lz4_bomb,
    mcap_bomb,
    message_bomb,
    ros1_bomb,
    without_index,
    zstd_bomb,
)
from core.sources.small_bags import SmallBag, good_bag
from scanssc_core.sources import bag_unpacking
from scanssc_core.sources.bag import open_bag, read_messages
from scanssc_core.sources.bag_unpacking import UnpackedSizeError, unpack

BOMBS = {"zstd": zstd_bomb, "lz4": lz4_bomb}
DECOMPRESSORS = {
    "zstd": zstd.ZstdDecompressor,
    "lz4": lz4.frame.LZ4FrameDecompressor,
    "bz2": bz2.BZ2Decompressor,
}
COMPRESSORS = {"zstd": zstd.compress, "lz4": lz4.frame.compress, "bz2": bz2.compress}


def messages_of(path):
    with open_bag(path) as reader:
        return [(connection.topic, time_ns, raw) for connection, time_ns, raw in read_messages(reader)]


@pytest.fixture
def little_memory():
    """What takes more than half a gigabyte gets a MemoryError, whose text no refusal has."""
    _, hard = limits = resource.getrlimit(resource.RLIMIT_AS)
    num_pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (num_pages * resource.getpagesize() + GIB // 2, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.parametrize(
    "packing",
    [
        {"mode": CompressionMode.STORAGE},
        {"packer": ("lz4", lz4.frame.compress)},
        {"mode": CompressionMode.MESSAGE},
        {"mode": CompressionMode.MESSAGE, "storage": StoragePlugin.SQLITE3},
        {"mode": CompressionMode.FILE},
        {"mode": CompressionMode.FILE, "storage": StoragePlugin.SQLITE3},
    ],
    ids=str,
)
def test_packed_bag_holds_what_the_same_bag_holds_unpacked(tmp_path, packing):
    black = np.zeros((1000, 1000), np.uint8)
    bag = SmallBag().rig().pairs(1, pixels=black)
    assert messages_of(bag.write(tmp_path / "packed", **packing)) == messages_of(bag.write(tmp_path / "bag"))


@pytest.mark.parametrize("compression", ["bz2", "lz4"])
def test_packed_bag_of_ros1_holds_what_the_same_bag_holds_unpacked(tmp_path, compression):
    bag = SmallBag(is_ros1=True).rig().pairs(1)
    packed = bag.write(tmp_path / "packed.bag", packer=(compression, COMPRESSORS[compression]))
    assert messages_of(packed) == messages_of(bag.write(tmp_path / "a.bag"))


@pytest.mark.parametrize("compression", BOMBS)
@pytest.mark.parametrize("is_indexed", [True, False])
def test_chunk_that_claims_gigabytes_is_refused_when_the_bag_is_opened(
    tmp_path, compression, is_indexed, little_memory
):
    packed = BOMBS[compression](4 * GIB if compression == "zstd" else 1 << 22)
    file = mcap_bomb(tmp_path, compression, packed, claimed=4 * GIB)
    file = file if is_indexed else without_index(file)
    expected = (
        f"{file}: {len(packed):,} packed bytes claim to hold 4,294,967,296, expected .* at most; .*mcap decompress"
    )
    with pytest.raises(ValueError, match=expected), open_bag(file):
        pass


@pytest.mark.parametrize("compression", BOMBS)
@pytest.mark.parametrize("is_indexed", [True, False])
def test_chunk_that_holds_more_than_it_claims_is_unpacked_no_further(tmp_path, compression, is_indexed, little_memory):
    packed = BOMBS[compression](4 * GIB if compression == "zstd" else GIB)
    file = mcap_bomb(tmp_path, compression, packed, claimed=1 << 20)
    file = file if is_indexed else without_index(file)
    with pytest.raises(ValueError, match=f"{file}: {len(packed):,} packed bytes hold more than 1,048,576; "):
        messages_of(file)


def test_chunk_that_is_listed_often_is_not_taken_as_often(tmp_path, little_memory):
    """The library holds what overlaps in time side by side."""
    file = listed_often(mcap_bomb(tmp_path, "zstd", zstd_bomb(60 << 20), claimed=60 << 20), 1000)
    with pytest.raises(ValueError, match=f"{file}: .* packed bytes claim to hold {(60 << 20) * 1000:,}, expected"):
        messages_of(file)


@pytest.mark.parametrize("bomb", [message_bomb, file_bomb])
def test_message_or_file_that_holds_gigabytes_is_unpacked_no_further_than_its_size_justifies(
    tmp_path, bomb, little_memory
):
    packed = zstd_bomb(4 * GIB)
    bag = bomb(tmp_path, packed)
    with pytest.raises(ValueError, match=f"{bag}: {len(packed):,} packed bytes hold more than .*ros2 bag convert"):
        messages_of(bag)


def test_chunk_of_ros1_that_holds_more_than_its_size_justifies_is_unpacked_no_further(tmp_path, little_memory):
    bag = ros1_bomb(tmp_path, "bz2", bz2_bomb(70 << 20))
    with pytest.raises(ValueError, match=f"{bag}: .* packed bytes hold more than .*rosbag decompress"):
        messages_of(bag)


def test_no_chunk_is_unpacked_beyond_what_is_held_in_memory_at_most(tmp_path, monkeypatch):
    """lz4 cannot pack so densely that its size would not justify it."""
    monkeypatch.setattr(bag_unpacking, "_MAX_BYTES", 20 << 20)
    bag = ros1_bomb(tmp_path, "lz4", lz4_bomb(32 << 20))
    with pytest.raises(ValueError, match=f"{bag}: .* packed bytes hold more than 20,971,520"):
        messages_of(bag)


@pytest.mark.parametrize("compression", COMPRESSORS)
def test_stream_is_unpacked_up_to_its_claim_and_only_whole(compression):
    content = np.random.default_rng(0).bytes(1000)
    packed = COMPRESSORS[compression](content)
    new = DECOMPRESSORS[compression]
    assert unpack(new(), packed, len(content)) == unpack(new(), packed) == content
    assert unpack(new(), COMPRESSORS[compression](b""), 0) == b""
    with pytest.raises(UnpackedSizeError, match=r"packed bytes hold more than 999$"):
        unpack(new(), packed, 999)
    for wrong in (packed[:-3], packed + packed):
        with pytest.raises(ValueError, match="no single whole stream"):
            unpack(new(), wrong)


def test_column_that_computes_its_messages_is_refused(tmp_path, little_memory):
    bag = good_bag(tmp_path / "bag", StoragePlugin.SQLITE3)
    for command in (
        "ALTER TABLE messages DROP COLUMN data",
        "ALTER TABLE messages ADD COLUMN data AS (zeroblob(900000000))",
    ):
        change_database(bag / "bag.db3", command)
    for path in (bag, bag / "bag.db3"):
        with pytest.raises(ValueError, match=f"{re.escape(str(path))} .*messages computes data instead of holding it"):
            messages_of(path)
