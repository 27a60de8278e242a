import numpy as np
import pytest
from nav_msgs.msg import OccupancyGrid

from scanssc_ros.programs import live_view
from scanssc_ros.programs.live_view import costmap_picture


def costmap(values):
    """Of (X, Y) costs."""
    message = OccupancyGrid()
    message.info.width, message.info.height = values.shape
    message.data = values.T.ravel().tolist()
    return message


def test_the_costmap_is_drawn_with_x_up_and_y_to_the_left():
    values = np.zeros((3, 2), np.int8)
    values[2, 1] = 100  # far ahead on the left
    values[0, 0] = -1  # near on the right
    picture = costmap_picture(costmap(values))
    assert picture.shape == (3, 2, 3)
    assert picture[0, 0].tolist() == [0, 0, 0] and picture[2, 1].tolist() == [112, 137, 134]
    assert (picture[[0, 1, 1, 2], [1, 0, 1, 0]] == 255).all()


def test_a_costmap_of_another_size_than_it_says_is_refused():
    message = costmap(np.zeros((3, 2), np.int8))
    message.info.width = 4
    with pytest.raises(ValueError, match="costmap: expected 4 x 2 values, got 6"):
        costmap_picture(message)


def test_without_a_display_it_names_what_to_use_instead(monkeypatch, capsys):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.argv", ["live_view"])
    with pytest.raises(SystemExit) as end:
        live_view.main()
    error = capsys.readouterr().err
    assert end.value.code == 1 and error.startswith("error: no display") and "--web" in error and "--save" in error
