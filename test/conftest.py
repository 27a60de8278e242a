"""Isolation of the test run, and the real data beside the repository, where it is present."""

import os
from pathlib import Path

# Before any ROS import: loopback only, strict message fields, a DDS domain of this process's own.
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"

import pytest
import torch
from domain_coordinator import domain_id

from scanssc_core.runtime.environment import prepare_environment

prepare_environment()

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"

_domain = domain_id()
os.environ["ROS_DOMAIN_ID"] = str(_domain.__enter__())


def pytest_sessionfinish() -> None:
    _domain.__exit__(None, None, None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("cuda") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")


def _shared(name: str) -> Path:
    folder = SHARED / name
    if not folder.exists():
        pytest.skip(f"needs the real data {name}, which is not in the repository (non-commercial licence)")
    return folder


@pytest.fixture(scope="session")
def kitti_mini() -> Path:
    return _shared("kitti-mini")


@pytest.fixture(scope="session")
def kitti_extra() -> Path:
    return _shared("kitti-extra")


@pytest.fixture(scope="session")
def kitti_more() -> Path:
    return _shared("kitti-more")


@pytest.fixture(scope="session")
def bags() -> Path:
    return _shared("bags")
