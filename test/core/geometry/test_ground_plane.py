"""The plane fitted to the ground: the system that it solves."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scanssc_core.geometry.ground_plane import _solve


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31), spread=st.floats(1.0, 50.0))
def test_elimination_solves_what_a_general_solver_solves(seed, spread):
    generator = torch.Generator().manual_seed(seed)
    design = torch.randn(2, 40, 3, dtype=torch.float64, generator=generator) * torch.tensor([spread, 10.0, 1.0])
    normal, target = design.mT @ design, torch.randn(2, 3, dtype=torch.float64, generator=generator)
    torch.testing.assert_close(_solve(normal, target), torch.linalg.solve(normal, target), rtol=1e-9, atol=1e-12)
