"""The lake of one run on a module's `pool`, and copies of it for tests that change it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.flows.runs import curated


@pytest.fixture(scope="module")
def lake(pool: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake after one run; tests that change it work on a copy."""
    root = tmp_path_factory.mktemp("lakes") / "lake"
    curated(pool, root)
    return root


@pytest.fixture
def copied(lake: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(lake, tmp_path / "lake"))
