"""One server for all tests of this folder; each test has a folder of its own in its bucket."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.storing import copying
from tests.object_store import BUCKET, on_machine, serving


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.fixture
def address(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A lake's address; this process is a machine with an empty cache."""
    on_machine(monkeypatch, server, tmp_path / "cache")
    copying.forget_listings()
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"
