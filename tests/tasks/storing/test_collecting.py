"""Garbage collection of a lake in an object store: as of one in a folder, for all machines."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tasks.keeping.collecting import collect, look
from tasks.keeping.retiring import Age
from tasks.lake import Lake, find_pool, open_lake
from tasks.storing import copying, objects
from tests.object_store import on_machine
from tests.tasks.keeping.kept_lake import add_run, files_of

NOW = timedelta()


@pytest.fixture
def lake(address: str) -> Lake:
    """Three runs, versions 1 to 6; committed "tomorrow", so that what is stored today is nobody's work in progress."""
    lake = open_lake(Path(address), "kept", "made by hand")
    for setting, parts in enumerate((["a", "b"], ["a"], ["a", "c"])):
        add_run(lake, parts, setting, days=-1)
    return lake


def objects_of(lake: Lake) -> set[str]:
    return {name for name in objects.find(lake.home) if name.startswith(("columns/", "artifacts/"))}


def test_what_is_not_retired_is_whole_on_every_machine_and_the_rest_is_gone(
    lake: Lake, address: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, stored = files_of(lake.version(6)), objects_of(lake)
    told = look(lake, Age(keep=1), NOW)
    assert objects_of(lake) == stored
    done = collect(lake, Age(keep=1), NOW)
    assert done.retire == told.retire == [1, 2, 3, 4] and sorted(done.remove) == sorted(told.remove)
    assert files_of(lake.version(6)) == before
    on_machine(monkeypatch, server, tmp_path / "elsewhere")
    copying.forget_listings()
    found = find_pool(Path(address), None)
    assert [version.number for version in found.versions() if "retired" not in version.manifest] == [5, 6]
    assert found.version(5).missing() == found.version(6).missing() == [] != found.version(2).missing()
    assert set(files_of(found.version(6)).values()) == set(before.values())
    names = "".join(sorted(objects_of(found)))
    assert f"{'b' * 16}.parquet" not in names and f"{'c' * 16}.parquet" in names  # the part went with its versions
    assert objects_of(found) < stored


def test_what_a_run_elsewhere_finds_in_its_copy_is_stored_again(
    lake: Lake, address: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as there:
        on_machine(there, server, tmp_path / "elsewhere")
        copying.forget_listings()
        collect(find_pool(Path(address), None), Age(keep=1), NOW)
    copying.forget_listings()
    again = add_run(find_pool(Path(address), None), ["a", "b"], 0, days=-1)  # this machine still has it all
    assert again == [7, 8] and lake.version(8).missing() == []
