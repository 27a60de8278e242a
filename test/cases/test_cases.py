"""Inputs as strangers bring them (../shared/cases): each gives what the folder's index.tsv calls right.

A case is a function of the path of its input and an empty folder, under the name that index.tsv has for it.
"""

import csv
from pathlib import Path

import pytest
from cases import bags, checkpoints, folders

CASES_DIR = Path(__file__).resolve().parents[3] / "shared" / "cases"
CASES = {**bags.CASES, **folders.CASES, **checkpoints.CASES}

needs_cases = pytest.mark.skipif(
    not CASES_DIR.is_dir(), reason="needs ../shared/cases, which is not in the repository (pictures of KITTI)"
)


@needs_cases
@pytest.mark.parametrize("name", CASES)
def test_case_gives_what_the_index_calls_right(name, tmp_path):
    CASES[name](CASES_DIR / name, tmp_path)


@needs_cases
def test_the_cases_are_those_of_the_index():
    with (CASES_DIR / "index.tsv").open(newline="") as table:
        names = {row["name"] for row in csv.DictReader(table, delimiter="\t")}
    assert set(CASES) == names


def test_no_case_is_tested_twice():
    assert len(CASES) == len(bags.CASES) + len(folders.CASES) + len(checkpoints.CASES)
