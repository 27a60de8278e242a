"""Chosen voxels in places whose number does not depend on the data."""

from typing import NamedTuple

import torch
from torch import Tensor


class Chosen(NamedTuple):
    """The chosen voxels of a batch in their places.

    Attributes:
        voxel: (M,) int64 index of the voxel in each place; 0 in those left over.
        place: (N,) int64 place of each chosen voxel; of the others it means nothing.
        has_place: (N,) bool, whether there was one for this voxel; of the others it means nothing.
    """

    voxel: Tensor
    place: Tensor
    has_place: Tensor


def choose(is_chosen: Tensor, num_places: int) -> Chosen:
    """Put (N,) chosen voxels into places, in their order, without waiting for the device to count them."""
    N = len(is_chosen)
    rank = is_chosen.cumsum(0)  # 1 for the first chosen voxel
    has_place = rank <= num_places
    # Voxels without a place go to one more, which is cut off.
    slot = torch.where(is_chosen & has_place, rank - 1, num_places)
    voxel = rank.new_zeros(num_places + 1).scatter_(0, slot, torch.arange(N, device=rank.device))
    return Chosen(voxel[:num_places], slot.clamp(max=num_places - 1), has_place)
