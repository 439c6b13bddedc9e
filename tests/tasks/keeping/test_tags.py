"""Tags and rollback: names move only when told, latest steps back until a newer run ends, all of it recorded."""

from __future__ import annotations

import getpass
import threading
from pathlib import Path

import pytest

from tasks import references
from tasks.errors import LakeError, LakeHeld, UsageError
from tasks.keeping import tags
from tasks.lake import Lake
from tasks.lock import hold
from tests.tasks.keeping.kept_lake import add_run, new_lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Versions 1 to 6: three runs of two stages."""
    lake = new_lake(tmp_path / "lake")
    for setting in range(3):
        add_run(lake, ["a", "b"], setting)
    return lake


def test_a_tag_works_wherever_a_version_is_asked_for(lake: Lake) -> None:
    tags.tag(lake, "trained-on.march", "4")
    assert lake.version("trained-on.march") == lake.version(4)


def test_who_gave_a_tag_and_when_is_recorded(lake: Lake) -> None:
    given = tags.tag(lake, "mine", "4")
    assert given.by == getpass.getuser() and given.at.startswith("20") and given.at.endswith("+00:00")
    assert references.current(lake.home) == {"mine": given}


@pytest.mark.parametrize("name", ["", "7", "7a", "latest", "Latest", "-x", "a b", "../x", "ä", "a" * 65, "a\n"])
def test_a_name_that_could_be_taken_for_something_else_is_refused(lake: Lake, name: str) -> None:
    with pytest.raises(UsageError, match="a tag is a letter and up to 63"):
        tags.tag(lake, name, "4")
    assert not (lake.home / "references").exists()


def test_a_tag_moves_only_when_told(lake: Lake) -> None:
    tags.tag(lake, "mine", "4")
    assert tags.tag(lake, "mine", "4").version == 4
    with pytest.raises(UsageError, match=r"'mine' is on version 4 \(by .+\); --force moves it to version 6"):
        tags.tag(lake, "mine", "latest")
    tags.tag(lake, "mine", "latest", force=True)
    assert lake.version("mine").number == 6
    assert [entry.version for entry in references.read_log(lake.home)] == [4, 6]


def test_a_deleted_tag_is_no_version_any_more_and_its_version_stays(lake: Lake) -> None:
    tags.tag(lake, "mine", "4")
    tags.delete(lake, "mine")
    with pytest.raises(UsageError, match=r"a version is a number, `latest` or a tag, not 'mine'; .+ tags are: none"):
        lake.version("mine")
    with pytest.raises(UsageError, match="there is no tag 'mine' in pool 'kept'; there are: none"):
        tags.delete(lake, "mine")
    assert lake.version(4).missing() == []


def test_a_version_that_is_not_there_is_not_tagged(lake: Lake) -> None:
    with pytest.raises(UsageError, match="no version 7"):
        tags.tag(lake, "mine", "7")


def test_of_many_who_give_one_name_at_once_one_succeeds(lake: Lake) -> None:
    refused: list[UsageError] = []

    def give(version: int) -> None:
        try:
            tags.tag(lake, "mine", str(version))
        except UsageError as problem:
            refused.append(problem)

    threads = [threading.Thread(target=give, args=[number]) for number in lake.numbers()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == len(threads) - 1 and len(references.read_log(lake.home)) == 1


def test_a_damaged_entry_is_named(lake: Lake) -> None:
    tags.tag(lake, "mine", "4")
    (lake.home / "references" / "000001.json").write_text("{")
    with pytest.raises(LakeError, match=r"000001\.json is damaged"):
        lake.version("mine")


def test_latest_steps_back_and_forth(lake: Lake) -> None:
    tags.roll_back(lake, "2")
    assert lake.version("latest").number == 2 and tags.withdrawn(lake) == [4, 6]
    assert tags.names(lake) == {2: ["latest"], 4: ["rolled back"], 6: ["rolled back"]}
    tags.roll_back(lake, "6")
    assert lake.version("latest").number == 6 and tags.withdrawn(lake) == []


def test_a_newer_run_supersedes_a_latest_that_was_rolled_back(lake: Lake) -> None:
    tags.roll_back(lake, "2")
    add_run(lake, ["a"], complete=False)
    assert lake.version("latest").number == 2
    number = add_run(lake, ["a"], 7)[1]
    assert lake.version("latest").number == number and tags.withdrawn(lake) == []
    assert lake.manifest(number)["previous"] == 2


def test_only_an_earlier_complete_whole_version_can_be_latest(lake: Lake) -> None:
    with pytest.raises(UsageError, match=r"version 3 \(ingest\) ends no run"):
        tags.roll_back(lake, "3")
    with pytest.raises(UsageError, match="version 6 is the latest already"):
        tags.roll_back(lake, "6")
    lake.version(4).column_path("decision", lake.version(4).parts[0]).unlink()
    with pytest.raises(LakeError, match="version 4 lacks"):
        tags.roll_back(lake, "4")
    assert references.read_log(lake.home) == []


def test_latest_is_not_rolled_back_under_a_run(lake: Lake) -> None:
    with hold(lake.home, "run-1"), pytest.raises(LakeHeld, match="run-1"):
        tags.roll_back(lake, "2")
    assert lake.version("latest").number == 6
