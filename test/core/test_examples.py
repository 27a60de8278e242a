"""The examples in the docstrings of what users call."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "scanssc_core.checkpoint.load",
        "scanssc_core.evaluation.metrics",
        "scanssc_core.runtime.pipeline",
        "scanssc_core.sources.pairing",
    ],
)
def test_examples_run_and_give_what_they_say(module):
    results = doctest.testmod(importlib.import_module(module))
    assert results.attempted >= 3 and results.failed == 0
