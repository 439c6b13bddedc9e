"""Tags and rollback of a lake in an object store: seen by other machines, which may give names at the same time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks import references
from tasks.errors import UsageError
from tasks.keeping import tags
from tasks.lake import Lake, find_pool, open_lake
from tests.object_store import on_machine
from tests.tasks.drafts import commit, draft_of


@pytest.fixture
def lake(address: str) -> Lake:
    """Versions 1 and 2, both complete."""
    lake = open_lake(Path(address), "pool", "source")
    for limit in (1, 2):
        commit(draft_of(lake).derive("ingest", config={"limit": limit}))
    return lake


def test_a_tag_and_a_rollback_are_seen_on_another_machine(
    lake: Lake, address: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags.tag(lake, "mine", "2")
    tags.roll_back(lake, "1")
    on_machine(monkeypatch, server, tmp_path / "elsewhere")
    found = find_pool(Path(address), None)
    assert found.home != lake.home
    assert found.version("mine").number == 2 and found.version("latest").number == 1
    assert tags.names(found) == {1: ["latest"], 2: ["mine", "rolled back"]}


def test_a_name_that_another_machine_gave_meanwhile_is_not_overwritten_unseen(
    lake: Lake, address: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = references.entry("mine", 1, 2)
    with monkeypatch.context() as there:
        on_machine(there, server, tmp_path / "elsewhere")
        tags.tag(find_pool(Path(address), None), "mine", "2")
    assert not references.append(lake.home, here, 0)
    with pytest.raises(UsageError, match="the tag 'mine' is on version 2"):
        tags.tag(lake, "mine", "1")
