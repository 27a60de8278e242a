from pathlib import Path

from cases.command import scanssc

from scanssc_core.geometry import PinholeCamera, StereoRig
from scanssc_core.synthetic.scene import wall_scene
from scanssc_core.synthetic.sequence import SyntheticSequence

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorials" / "kitti_bag.md"
RIG = StereoRig(PinholeCamera(60.0, 60.0, 31.5, 15.0, width=64, height=32), 0.5, 31.5)


def test_the_page_names_every_file_that_predict_leaves(tmp_path):
    SyntheticSequence(wall_scene(8.0), num_frames=1, rig=RIG).write(tmp_path / "00", workers=1)
    assert scanssc("predict", tmp_path / "00", tmp_path / "labels", "--model", "lite").status == 0
    section = PAGE.read_text().split("## 3. Without ROS")[1].split("\n## ")[0]
    names = {path.name.replace("000000", "NNNNNN") for path in (tmp_path / "labels").iterdir()}
    assert len(names) == 4 and [name for name in names if f"`{name}" not in section] == []
