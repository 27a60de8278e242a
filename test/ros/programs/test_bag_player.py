import pytest

from core.sources.small_bags import SmallBag, good_bag
from scanssc_ros.programs.bag_player import main


def test_ros1_bag_is_refused_with_the_command_that_converts_it(tmp_path, capsys):
    bag = SmallBag(is_ros1=True).rig().pairs().write(tmp_path / "a.bag")
    assert main(["bag_player", str(bag)]) == 1
    assert f"{bag} is a ROS 1 bag" in (error := capsys.readouterr().err)
    assert f"rosbags-convert --src {bag} --dst {tmp_path / 'a'}" in error


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_recording_that_was_cut_off_is_one_line_with_the_command_that_mends_it(tmp_path, capsys, share):
    file = good_bag(tmp_path / "bag") / "bag.mcap"
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    assert main(["bag_player", str(file)]) == 1
    assert "mcap recover" in (error := capsys.readouterr().err) and error.count("\n") == 1
