import signal
import subprocess

import pytest

from core.sources.small_bags import good_bag
from system.harness import DEADLINE_S, executable

pytestmark = pytest.mark.system


@pytest.mark.parametrize(
    "endings",
    [(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGINT, signal.SIGTERM)],
    ids=["SIGINT", "SIGTERM", "one after the other"],
)
def test_player_that_is_ended_while_it_plays_has_status_zero_and_no_traceback(tmp_path, endings):
    play = [executable("bag_player"), good_bag(tmp_path / "bag"), "--wait", "0", "--loop"]
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *play]  # as a script starts it with `&`
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as player:
        try:
            assert "nobody subscribes" in player.stderr.readline(), "what it says before it plays"
            for ending in endings:
                player.send_signal(ending)
            _, errors = player.communicate(timeout=DEADLINE_S)
        finally:
            player.kill()
    assert player.returncode == 0, errors
    assert "Traceback" not in errors
