"""What a run tells of its pace, and that a Prefect server which does not answer neither stops nor delays it."""

from __future__ import annotations

import io
import time
from typing import Any

import httpx
import pytest
from rich.console import Console

from flows.shown import artifacts
from flows.shown.artifacts import Artifacts
from flows.shown.progress import Reporter, duration


class Told:
    """In the place of Prefect's artifacts: what was last told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def begin(self, stage: str) -> None:
        self.texts.append(f"{stage} begins")

    def progress(self, stage: str, share: float, text: str) -> None:
        self.texts.append(f"{share:.0f}% {text}")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that a reporter sees, to be moved by hand."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def reporter() -> Any:
    made: Any = Reporter(Console(file=io.StringIO()), artifacts=False)
    made.artifacts = Told()
    return made


def test_ingest_tells_the_samples_that_its_parts_held_and_the_time_left(clock: list[float]) -> None:
    one = reporter()
    one.begin("ingest")
    one.parts(0, 4)
    clock[0] += 10
    one.result(500)
    one.parts(1, 4)
    assert one.artifacts.texts[-1] == "25% 1 of 4 parts, 50 images/s, 30 s left"
    clock[0] += 10
    one.parts(0, 4)  # the next time through the parts begins at nothing
    assert one.artifacts.texts[-1] == "0% 0 of 4 parts"


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (4, "100% 4 of 4 parts, 200 images/s"),  # a later stage's share of the version's samples
        (1, "100% 1 of 1 parts"),  # new parts alone claim no pace of the whole
    ],
)
def test_a_later_stage_tells_its_pace_where_it_goes_through_all_parts(
    clock: list[float], parts: int, text: str
) -> None:
    one = reporter()
    one.begin("filter", rows=1000, parts=4)
    one.parts(0, parts)
    clock[0] += 5
    one.parts(parts, parts)
    assert one.artifacts.texts[-1] == text


@pytest.mark.parametrize(("seconds", "text"), [(9, "9 s"), (90, "1 min 30 s"), (7260, "2 h 1 min")])
def test_a_duration_is_told_in_its_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_server_that_does_not_answer_is_told_once_and_left_alone_for_a_while(clock: list[float]) -> None:
    said: list[str] = []
    asked: list[float] = []

    def request() -> None:
        asked.append(clock[0])
        raise httpx.ConnectError("refused")

    one = Artifacts(said.append)
    for _ in range(5):
        assert one._asked(request) is None
        clock[0] += 1
    clock[0] += artifacts.PAUSE
    one._asked(request)
    assert asked == [100.0, 105.0 + artifacts.PAUSE] and len(said) == 1
    assert "the run goes on" in said[0]
    assert one._asked(lambda: "never asked") is None
    clock[0] += artifacts.PAUSE
    assert one._asked(lambda: "it is back") == "it is back"


def test_what_is_wrong_with_an_artifact_itself_is_no_lost_server() -> None:
    def request() -> None:
        raise ValueError("a key of ours that Prefect refuses")

    with pytest.raises(ValueError, match="a key of ours"):
        Artifacts(print)._asked(request)
