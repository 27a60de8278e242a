"""Shares of the work: all of it, each piece once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanssc_core.runtime.shards import Shard, shard_of


@given(num_pieces=st.integers(0, 50), num_shards=st.integers(1, 9))
def test_all_shards_together_take_every_piece_once(num_pieces, num_shards):
    shares = [Shard(index, num_shards).take(range(num_pieces)) for index in range(num_shards)]
    assert sorted(piece for share in shares for piece in share) == list(range(num_pieces))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_without_a_share_torchrun_says_it(monkeypatch):
    assert shard_of(None) == Shard(0, 1)
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "5")
    assert shard_of(None) == Shard(2, 5)
    assert shard_of("0/3") == Shard(0, 3)


@pytest.mark.parametrize("text", ["3/3", "1", "-1/2", "a/b", "0/0"])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(ValueError, match="shard: expected K/N"):
        shard_of(text)
