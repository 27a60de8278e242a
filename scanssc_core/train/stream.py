"""The stream of training samples: which frame of which root comes when.

Sample n of the stream, and the randomness of its augmentation, depend on (seed, n) alone: not on the number of
processes, not on loader processes, not on where the run was interrupted. The order is drawn epoch by epoch.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from scanssc_core.datasets.dataset import SSCDataset, SSCSample


class Draw(NamedTuple):
    """One sample of the stream.

    Attributes:
        root_index: which data set.
        frame_index: which frame of it.
        number: position in the stream; the seed of the augmentation together with the run's.
    """

    root_index: int
    frame_index: int
    number: int


class SampleStream:
    """Endless order of samples of several data sets.

    Every epoch takes each data set's share of it, and each data set in random order, each frame once before any is
    taken again.

    Args:
        sizes: frames of each data set.
        weights: share of each in the samples; none: its size.
        epoch_frames: length of an epoch; 0: all frames together.
    """

    def __init__(self, sizes: Sequence[int], weights: Sequence[float], epoch_frames: int, seed: int) -> None:
        if not sizes or min(sizes) < 1:
            raise ValueError(f"expected at least one frame in each data set to train on, got {list(sizes)}")
        self.sizes = tuple(sizes)
        self.epoch_frames = epoch_frames or sum(sizes)
        self.seed = seed
        shares = np.asarray(weights or sizes, float)
        self._bounds = np.rint(np.cumsum(shares) / shares.sum() * self.epoch_frames).astype(int)
        self._epoch, self._order = -1, np.empty((0, 2), int)

    def draw(self, number: int) -> Draw:
        """The sample at this position of the stream."""
        epoch, position = divmod(number, self.epoch_frames)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._order_of(epoch)
        root_index, frame_index = self._order[position]
        return Draw(int(root_index), int(frame_index), number)

    def _order_of(self, epoch: int) -> NDArray:
        """(epoch_frames, 2) root and frame of each sample of an epoch."""
        counts = np.diff(self._bounds, prepend=0)
        rows = [
            np.column_stack([np.full(count, root), self._frames_of(root, epoch * count, count)])
            for root, count in enumerate(counts)
        ]
        return np.random.default_rng([self.seed, epoch]).permutation(np.concatenate(rows))

    def _frames_of(self, root: int, start: int, count: int) -> NDArray:
        """Frames start..start+count of a root's own endless sequence of permutations."""
        size = self.sizes[root]
        first, last = start // size, (start + count - 1) // size
        rounds = [np.random.default_rng([self.seed, root, turn]).permutation(size) for turn in range(first, last + 1)]
        return np.concatenate(rounds or [np.empty(0, int)])[start - first * size :][:count]


class StreamSampler(Sampler[list[Draw]]):
    """Batches of one process: batch b of process r holds the samples (b R + r) B ... of the stream.

    So R processes see in one step what one process with batches of R B samples sees.

    Args:
        start_batch, num_batches: batches done already, and of the whole run.
    """

    def __init__(
        self, stream: SampleStream, batch_size: int, start_batch: int, num_batches: int, rank: int, num_processes: int
    ) -> None:
        self.stream = stream
        self.batch_size = batch_size
        self.start_batch, self.num_batches = start_batch, num_batches
        self.rank, self.num_processes = rank, num_processes

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[list[Draw]]:
        for batch in range(self.start_batch, self.num_batches):
            first = (batch * self.num_processes + self.rank) * self.batch_size
            yield [self.stream.draw(number) for number in range(first, first + self.batch_size)]


class StreamDataset(Dataset[SSCSample]):
    """The data sets of a stream, indexed by its draws."""

    def __init__(self, datasets: Sequence[SSCDataset], seed: int) -> None:
        self.datasets = tuple(datasets)
        self.seed = seed

    def __getitem__(self, draw: Draw) -> SSCSample:
        return self.datasets[draw.root_index].sample(draw.frame_index, np.random.default_rng([self.seed, draw.number]))
