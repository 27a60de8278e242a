import time
import weakref

import pytest
import torch

from scanssc_core.runtime.backends import make_occupancy_backend
from scanssc_core.runtime.trial import fastest


@pytest.mark.parametrize("faster", [torch.float32, torch.bfloat16])
def test_the_faster_format_is_taken_and_said(faster):
    def run(dtype):
        time.sleep(0.002 if dtype == faster else 0.02)

    taken, note = fastest(lambda dtype: dtype, run, [torch.float32, torch.bfloat16])
    assert taken == faster
    assert note.startswith(f"precision auto: {str(faster)[6:]} (")
    assert "ms in float32" in note
    assert "ms in bfloat16" in note


def test_without_a_choice_nothing_is_run():
    assert fastest(str, lambda made: pytest.fail("was run"), [torch.float32]) == ("torch.float32", None)


def test_the_first_run_does_not_count():
    ran = set()

    def run(dtype):
        time.sleep(0.1 if dtype not in ran and dtype == torch.bfloat16 else 0.01 if dtype == torch.float32 else 0.001)
        ran.add(dtype)

    assert fastest(lambda dtype: dtype, run, [torch.float32, torch.bfloat16])[0] == torch.bfloat16


def test_what_takes_long_is_timed_once(monkeypatch):
    monkeypatch.setattr("scanssc_core.runtime.trial._LONG_S", 0.0)
    runs = []
    fastest(lambda dtype: dtype, runs.append, [torch.float32, torch.bfloat16])
    assert len(runs) == 4


def test_what_is_not_taken_is_freed():
    class Network:
        def __init__(self, dtype):
            self.dtype, self.itself = dtype, self

    made = weakref.WeakSet()

    def make(dtype):
        network = Network(dtype)
        made.add(network)
        return network

    taken, _ = fastest(make, lambda network: time.sleep(0.001), [torch.float32, torch.bfloat16])
    assert list(made) == [taken]


@pytest.mark.parametrize("has_bfloat16", [True, False])
def test_backend_says_of_auto_what_it_took_where_there_was_a_choice(monkeypatch, has_bfloat16):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": has_bfloat16})
    notes = make_occupancy_backend("lite", precision="auto").notes
    assert any("precision auto: " in note for note in notes) == has_bfloat16
