"""A run tells a collector of itself as it goes, and is none the worse where nobody listens."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.stages import STAGES
from tasks.errors import GateFailed, UsageError
from tasks.lake import find_pool
from tasks.records.lineage import events
from tests.drawn_pool import draw_pool
from tests.flows.runs import Serial, curated, settings
from tests.tasks.records.receiver import Receiver, no_collector, receiving


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    with no_collector():
        yield


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pools") / "shapes"
    draw_pool(folder, 60, shard_rows=30)
    return folder


def told(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["job"]["name"].partition(".")[2], event["eventType"]) for event in found]


class Watching(Serial):
    """Notes what the collector has been told whenever a stage works on parts."""

    def __init__(self, receiver: Receiver) -> None:
        super().__init__()
        self.receiver, self.seen = receiver, set[tuple[str, str]]()

    def map_parts(self, function: Any, items: Any) -> list[Any]:
        self.seen |= set(told(self.receiver.taken))
        return super().map_parts(function, items)


def test_a_run_is_followed_while_it_goes_on_and_its_whole_story_arrives(pool: Path, tmp_path: Path) -> None:
    with receiving() as receiver:
        os.environ["OPENLINEAGE_URL"] = receiver.url
        runtime = Watching(receiver)
        curated(pool, tmp_path / "lake", settings(pool, filter={}), runtime)
        story = [(name, kind) for stage in STAGES for name, kind in ((stage.name, "START"), (stage.name, "COMPLETE"))]
        assert told(receiver.taken) == [("curate", "START"), *story, ("curate", "COMPLETE")]
        assert {("curate", "START"), ("ingest", "COMPLETE")} <= runtime.seen
        assert ("curate", "COMPLETE") not in runtime.seen
        again = curated(pool, tmp_path / "lake", settings(pool, filter={}))
        assert told(receiver.taken[12:]) == [("curate", "START"), ("curate", "COMPLETE")]
        assert "Lineage" not in again["said"]


def test_a_run_whose_collector_is_broken_is_a_run_like_any_other(pool: Path, tmp_path: Path) -> None:
    plain = curated(pool, tmp_path / "plain", settings(pool, filter={}))
    with receiving(500) as receiver:
        os.environ["OPENLINEAGE_URL"] = receiver.url
        outcome = curated(pool, tmp_path / "lake", settings(pool, filter={}))
        assert outcome["digest"] == plain["digest"]
        assert outcome["said"].count("Lineage:") == 1 and "it answered 500" in outcome["said"]
        receiver.answers = [201]
        curated(pool, tmp_path / "lake", settings(pool, filter={}))
        assert receiver.taken[0]["eventType"] == "START" and len(receiver.taken) == 14


def test_a_failed_gate_is_told_as_a_failed_stage(pool: Path, tmp_path: Path) -> None:
    with receiving() as receiver:
        os.environ["OPENLINEAGE_URL"] = receiver.url
        with pytest.raises(GateFailed):
            curated(pool, tmp_path / "lake", settings(pool, filter={}, gates={"max_duplicates": 0.0}))
        assert told(receiver.taken)[-3:] == [("dedup", "START"), ("dedup", "FAIL"), ("curate", "FAIL")]
        assert told(receiver.taken) == told(events(find_pool(tmp_path / "lake", None)))


def test_a_collector_that_may_not_be_used_is_refused_before_the_lake_is_made(pool: Path, tmp_path: Path) -> None:
    os.environ["OPENLINEAGE_URL"] = "http://lineage.example:5000"
    with pytest.raises(UsageError, match="SLUICE_ALLOW_PLAIN_HTTP"):
        curated(pool, tmp_path / "lake", settings(pool, filter={}))
    assert not (tmp_path / "lake").exists()
