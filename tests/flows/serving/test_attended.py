"""Runs that nobody attends wait for what may pass by itself, and say when there was nothing to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.serving import attended
from flows.serving.attended import awaits_shards, may_pass, patiently, retries, unless_held
from tasks.errors import GateFailed, LakeHeld, PoolError, SluiceError, Unavailable


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The delays of a run that nobody attends."""
    found: list[float] = []
    monkeypatch.setattr(attended, "unattended", lambda: True)
    monkeypatch.setattr(attended.time, "sleep", found.append)
    return found


def failing(times: int, problem: Exception) -> Callable[[], str]:
    left = [times]

    def attempt() -> str:
        left[0] -= 1
        if left[0] >= 0:
            raise problem
        return "done"

    return attempt


@pytest.mark.parametrize("problem", [LakeHeld("held"), Unavailable("no scheduler"), ConnectionError("storage")])
def test_what_may_pass_by_itself_is_tried_again_with_growing_delays(slept: list[float], problem: Exception) -> None:
    said: list[str] = []
    assert patiently(failing(2, problem), said.append) == "done"
    assert slept == list(attended.DELAYS[:2]) and "trying again in 10 s" in said[0]


@pytest.mark.parametrize("problem", [GateFailed("gate"), PoolError("pool"), SluiceError("x"), ValueError("bug")])
def test_what_would_fail_again_is_not_tried_again(slept: list[float], problem: Exception) -> None:
    with pytest.raises(type(problem)):
        patiently(failing(1, problem), print)
    assert slept == []


def test_a_person_at_a_terminal_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attended.time, "sleep", lambda seconds: pytest.fail("nobody should wait"))
    with pytest.raises(LakeHeld):
        patiently(failing(1, LakeHeld("held")), print)
    with pytest.raises(LakeHeld):
        unless_held(failing(1, LakeHeld("held")))
    assert retries() == {}


def test_a_lake_that_stays_held_is_no_failure(slept: list[float]) -> None:
    with pytest.raises(LakeHeld):
        patiently(failing(9, LakeHeld("held")), lambda text: None)
    state: Any = unless_held(failing(1, LakeHeld("held by run 7")))
    assert state.name == "Skipped" and state.is_completed()
    assert state.message == "nothing was done, and nothing is wrong with the data: held by run 7"


@pytest.mark.parametrize(("problem", "again"), [(Unavailable("x"), True), (GateFailed("x"), False)])
def test_a_stage_is_retried_by_the_class_of_what_it_raised(slept: list[float], problem: Exception, again: bool) -> None:
    class State:
        def result(self, raise_on_failure: bool) -> Exception:
            return problem

    assert may_pass(None, None, State()) is again
    assert retries()["retry_condition_fn"] is may_pass and retries()["retries"] == len(attended.DELAYS)


def test_an_empty_folder_awaits_shards_and_one_with_anything_does_not(tmp_path: Path) -> None:
    assert awaits_shards(str(tmp_path)) and not awaits_shards(str(tmp_path / "absent"))
    (tmp_path / "notes.txt").write_text("no shard, which ingest will say")
    assert not awaits_shards(str(tmp_path))
