import re
import shutil

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin

from core.sources.small_bags import SmallBag, good_bag
from scanssc_core.sources.bag import is_bag, open_bag, read_messages


def topics_of(path):
    with open_bag(path) as reader:
        return {connection.topic for connection, _, _ in read_messages(reader)}


@pytest.mark.parametrize(
    ("storage", "name"), [(StoragePlugin.MCAP, "bag.mcap"), (StoragePlugin.SQLITE3, "bag.db3")], ids=["mcap", "sqlite3"]
)
def test_folder_bare_file_and_folder_without_metadata_hold_the_same(tmp_path, storage, name):
    bag = good_bag(tmp_path / "bag", storage)
    expected = topics_of(bag)
    assert len(expected) == 5
    assert topics_of(bag / name) == expected
    (bag / "metadata.yaml").unlink()
    assert topics_of(bag) == expected


def test_ros1_bag_is_read(tmp_path):
    assert len(topics_of(SmallBag(is_ros1=True).rig().pairs().write(tmp_path / "a.bag"))) == 5


def test_several_files_without_metadata_are_not_guessed_to_be_one_recording(tmp_path):
    bag = good_bag(tmp_path / "bag")
    (bag / "metadata.yaml").unlink()
    shutil.copy(bag / "bag.mcap", bag / "other.mcap")
    with pytest.raises(ValueError, match=r"2 bag files \(bag.mcap, other.mcap\): name one.*ros2 bag reindex"):
        topics_of(bag)


def test_cut_off_recording_names_the_command_that_mends_it(tmp_path):
    for storage, name, command in (
        (StoragePlugin.MCAP, "bag.mcap", "mcap recover"),
        (StoragePlugin.SQLITE3, "bag.db3", "recover | sqlite3"),
    ):
        bag = good_bag(tmp_path / storage.name / "bag", storage)
        content = (bag / name).read_bytes()
        (bag / name).write_bytes(content[: len(content) // 2])
        for path in (bag, bag / name):
            with pytest.raises(ValueError, match=f"{path}.*{command}"):
                topics_of(path)
    ros1 = SmallBag(is_ros1=True).rig().pairs().write(tmp_path / "a.bag")
    (tmp_path / "a.bag.active").write_bytes(ros1.read_bytes()[:-100])
    ros1.write_bytes(ros1.read_bytes()[:-100])
    for path in (ros1, tmp_path / "a.bag.active"):
        with pytest.raises(ValueError, match=f"{path}.*rosbag reindex"):
            topics_of(path)


@pytest.mark.parametrize(
    ("name", "begin", "remedy"),
    [
        ("bag.mcap", b"PK\x03\x04", "it is packed by zip: unpack it"),
        ("bag.mcap.zst", b"\x28\xb5\x2f\xfd", "it is packed by zstd: unpack it"),
        ("bag.bag", b"", "it begins as a .mcap file does: name it so"),
        ("bag", b"", "it begins as a .mcap file does: name it so"),
    ],
)
def test_packed_and_misnamed_files_are_told_as_such(tmp_path, name, begin, remedy):
    good = good_bag(tmp_path / "bag") / "bag.mcap"
    path = tmp_path / "other" / name
    path.parent.mkdir()
    path.write_bytes(begin + good.read_bytes())
    with pytest.raises(ValueError, match=f"{path} is no bag that can be read.*{re.escape(remedy)}$"):
        topics_of(path)


def test_messages_that_sqlite_did_not_merge_are_not_left_out_unsaid(tmp_path):
    bag = good_bag(tmp_path / "bag", StoragePlugin.SQLITE3)
    (bag / "bag.db3-wal").write_bytes(b"")
    assert len(topics_of(bag)) == 5
    (bag / "bag.db3-wal").write_bytes(b"pages")
    for path in (bag, bag / "bag.db3"):
        with pytest.raises(ValueError, match=r"bag\.db3-wal holds messages .*wal_checkpoint"):
            topics_of(path)


def test_bag_that_is_damaged_inside_gives_what_is_whole_and_names_the_damage(tmp_path):
    pixels = np.zeros((600, 600), np.uint8)
    bag = SmallBag().rig().pairs(num_pairs=5, pixels=pixels).write(tmp_path / "bag")
    file = bag / "bag.mcap"
    content = bytearray(file.read_bytes())
    last_record = content.rfind(b"left_optical") - 47  # before it: record header 31, CDR header 4, stamp 8, length 4
    content[last_record + 1 : last_record + 9] = b"\xff" * 8
    file.write_bytes(content)
    read = []
    with pytest.raises(ValueError, match=r"bag.*damaged after \d+ messages.*mcap recover"), open_bag(bag) as reader:
        for message in read_messages(reader):
            read.append(message)
    assert 3 < len(read) < 13


def test_what_the_reader_of_messages_raises_itself_is_not_taken_for_damage(tmp_path):
    with open_bag(good_bag(tmp_path / "bag")) as reader, pytest.raises(KeyError):
        for _ in read_messages(reader):
            raise KeyError("of the caller")


@pytest.mark.parametrize("content", [b"", b"rubbish", b"\x89MCAP0\r\n"])
def test_what_is_no_bag_is_refused_by_name(tmp_path, content):
    for name in ("x.mcap", "x.db3", "x.bag", "x.mp4"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} is no bag that can be read"):
            topics_of(tmp_path / name)
    with pytest.raises(ValueError, match="no bag at"):
        topics_of(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"neither metadata\.yaml nor a bag file"):
        (tmp_path / "empty").mkdir()
        topics_of(tmp_path / "empty")


@pytest.mark.parametrize("content", ["rosbag2_bagfile_information: {version: 99}", "{", "a: b", ""])
def test_metadata_that_cannot_be_used_is_refused(tmp_path, content):
    bag = good_bag(tmp_path / "bag")
    (bag / "metadata.yaml").write_text(content)
    with pytest.raises(ValueError, match=f"{bag} is no bag that can be read"):
        topics_of(bag)


def test_folders_and_files_that_are_meant_as_bags(tmp_path):
    bag = good_bag(tmp_path / "bag")
    assert is_bag(bag) and is_bag(bag / "bag.mcap")
    assert not is_bag(tmp_path) and not is_bag(tmp_path / "nothing")
