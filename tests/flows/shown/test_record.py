"""A run's record: it is there from the start, and says how the run ended whatever ended it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.shown.record import Record, code_revision, recorded
from tasks.errors import GateFailed, SluiceError
from tasks.lake import Lake, open_lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(tmp_path / "lake", "small", "made by hand")


def written(lake: Lake) -> dict[str, Any]:
    (path,) = (lake.home / "runs").glob("*.json")
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def test_a_record_is_written_before_the_work_begins(lake: Lake) -> None:
    with recorded(Record("small", "pool"), lake) as record:
        found = written(lake)
        assert (found["status"], found["ended_at"], found["id"]) == ("running", None, record.id)
    assert written(lake)["ended_at"] >= written(lake)["started_at"]


def test_a_run_that_ends_is_done_and_stands_at_no_stage(lake: Lake) -> None:
    with recorded(Record("small", "pool"), lake) as record:
        record.stage, record.versions = "publish", [1, 2]
    found = written(lake)
    assert (found["status"], found["stage"], found["error"], found["versions"]) == ("done", None, None, [1, 2])


def test_a_run_that_found_nothing_new_says_so(lake: Lake) -> None:
    with recorded(Record("small", "pool"), lake) as record:
        record.status = "nothing new"
    assert written(lake)["status"] == "nothing new"


@pytest.mark.parametrize("problem", [SluiceError("the disk is full"), GateFailed("too much"), ValueError("a bug")])
def test_a_run_that_fails_is_recorded_with_its_stage_and_goes_on_failing(lake: Lake, problem: Exception) -> None:
    with pytest.raises(type(problem)) as raised, recorded(Record("small", "pool"), lake) as record:
        record.stage = "filter"
        raise problem
    assert raised.value is problem
    found = written(lake)
    assert (found["status"], found["stage"]) == ("failed", "filter")
    assert found["error"] == f"{type(problem).__name__}: {problem}"


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), SystemExit(1)])
def test_a_run_that_a_person_stops_is_interrupted(lake: Lake, problem: BaseException) -> None:
    with pytest.raises(type(problem)), recorded(Record("small", "pool"), lake):
        raise problem
    found = written(lake)
    assert found["status"] == "interrupted" and found["ended_at"] is not None


def test_an_error_that_quotes_a_hostile_name_is_stored_as_it_is(lake: Lake) -> None:
    with pytest.raises(SluiceError), recorded(Record("small", "pool"), lake):
        raise SluiceError("\x1b[31m[red]“\n")
    assert written(lake)["error"] == "SluiceError: \x1b[31m[red]“\n"


def test_the_codes_revision_is_a_commit_or_a_release() -> None:
    commit = code_revision().removesuffix("+changes")
    assert commit.startswith("release ") or (len(commit) == 40 and int(commit, 16) >= 0)
