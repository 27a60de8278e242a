import signal
import subprocess

import pytest

from core.sources.small_bags import good_bag
from system.harness import DEADLINE_S, executable

pytestmark = pytest.mark.system


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_player_that_is_ended_while_it_plays_has_status_zero_and_no_traceback(tmp_path, ending):
    player = [executable("bag_player"), good_bag(tmp_path / "bag"), "--wait", "0", "--loop"]
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *player]  # as a script starts it with `&`
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as player:
        assert "nobody subscribes" in player.stderr.readline(), "what it says before it plays"
        player.send_signal(ending)
        _, errors = player.communicate(timeout=DEADLINE_S)
    assert player.returncode == 0, errors
    assert "Traceback" not in errors
