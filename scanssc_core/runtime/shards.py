"""A share of the work, for a command that many machines run at once."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Shard:
    """Every num_shards-th piece of the work, from the index-th on."""

    index: int = 0
    num_shards: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.num_shards:
            raise ValueError(f"shard: expected K/N with K from 0 to N - 1, got {self.index}/{self.num_shards}")

    def take(self, pieces: Sequence[Item]) -> Sequence[Item]:
        """This share of the pieces; those of all shards together are all of them, each once."""
        return pieces[self.index :: self.num_shards]


def shard_of(text: str | None) -> Shard:
    """The share that a command was given.

    Args:
        text: K/N, K from 0 on; None: as torchrun says by RANK and WORLD_SIZE, else everything.
    Raises:
        ValueError: if it is none.
    """
    if text is None:
        text = f"{os.environ.get('RANK', '0')}/{os.environ.get('WORLD_SIZE', '1')}"
    if not re.fullmatch(r"\d+/\d+", text):
        raise ValueError(f"shard: expected K/N, for example 0/4, got {text!r}")
    return Shard(*(int(number) for number in text.split("/")))
