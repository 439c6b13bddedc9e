import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.lake import Lake
from tasks.records.event_log import rewrite_events, write_events
from tasks.records.lineage import events
from tests.tasks.records.recorded_runs import commit, named, one_run, record, run_id


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return one_run(tmp_path)


def told_at_once(lake: Lake) -> bytes:
    return b"".join(json.dumps(one, sort_keys=True, ensure_ascii=False).encode() + b"\n" for one in events(lake))


def test_writing_again_gives_the_same_bytes_and_another_run_only_adds_lines(lake: Lake) -> None:
    before = write_events(lake).read_bytes()
    assert write_events(lake).read_bytes() == before == told_at_once(lake)
    commit(lake.version(1), "filter", 2, 5)
    record(lake, 2, versions=[1, 3])
    after = write_events(lake).read_bytes()
    assert after.startswith(before)
    assert named([json.loads(line) for line in after[len(before) :].splitlines()]) == [
        ("pool.curate", "START"), ("pool.ingest", "START"), ("pool.ingest", "COMPLETE"),
        ("pool.filter", "START"), ("pool.filter", "COMPLETE"), ("pool.curate", "COMPLETE"),
    ]  # fmt: skip


STATES = (
    {"status": "running", "stage": None, "versions": []},
    {"status": "running", "stage": "ingest", "versions": []},
    {"status": "running", "stage": "filter", "versions": [1]},
    {"status": "running", "stage": "dedup", "versions": [1, 3]},
)
ENDS = ("done", "failed", "interrupted", "running")  # running: killed


@given(until=st.integers(1, len(STATES)), told=st.sets(st.integers(0, 3)), end=st.sampled_from(ENDS))
@settings(max_examples=30)
def test_what_is_told_as_a_run_goes_on_is_what_would_be_told_at_its_end(
    tmp_path_factory: pytest.TempPathFactory, until: int, told: set[int], end: str
) -> None:
    lake = one_run(tmp_path_factory.mktemp("told"))
    until = 2 if end == "done" else until
    for number, state in enumerate(STATES[:until]):
        if number == 3:
            commit(lake.version(1), "filter", 2, 5)
        record(lake, 2, ended_at=None, **state)
        if number in told:
            write_events(lake, run_id(2))
    last = STATES[until - 1] | {"status": end, "error": "SluiceError: no" if end == "failed" else None}
    if end == "done":
        made = [commit(lake.version(1), stage, 2, 6).number for stage in ("filter", "dedup")]
        last |= {"stage": None, "versions": [1, *made]}
    record(lake, 2, **last, **({"ended_at": None} if end == "running" else {}))
    record(lake, 3, "nothing new")
    assert write_events(lake, run_id(3)).read_bytes() == told_at_once(lake)


def test_old_runs_are_not_read_again(lake: Lake) -> None:
    write_events(lake)
    (lake.home / "runs" / f"{run_id(1)}.json").write_text("damaged since", "utf-8")
    (lake.home / "versions" / "000001.json").write_text("damaged since", "utf-8")
    record(lake, 2, "nothing new")
    lines = write_events(lake).read_text("utf-8").splitlines()
    assert named([json.loads(line) for line in lines])[6:] == [("pool.curate", "START"), ("pool.curate", "COMPLETE")]


def test_what_a_killed_run_left_behind_the_told_lines_is_cut_off(lake: Lake) -> None:
    path = write_events(lake)
    before = path.read_bytes()
    record(lake, 2, "nothing new")
    path.write_bytes(before + b'{"half an ev')
    assert write_events(lake).read_bytes() == told_at_once(lake)


@pytest.mark.parametrize("lost", ["told.json", "openlineage.ndjson"])
def test_a_log_that_was_lost_is_made_again(lake: Lake, lost: str) -> None:
    whole = write_events(lake).read_bytes()
    (lake.home / "events" / lost).unlink()
    assert write_events(lake).read_bytes() == whole


def test_a_lake_that_was_rewritten_has_its_log_made_again(lake: Lake) -> None:
    before = write_events(lake).read_text("utf-8")
    path = lake.home / "versions" / "000002.json"
    path.write_text(path.read_text("utf-8").replace("abc123", "def456"), "utf-8")
    assert write_events(lake).read_text("utf-8") == before
    after = rewrite_events(lake).read_text("utf-8")
    assert after == told_at_once(lake).decode() != before and "def456" in after


def test_a_log_of_another_derivation_is_made_again(lake: Lake) -> None:
    path = write_events(lake)
    whole, told = path.read_bytes(), path.parent / "told.json"
    told.write_text(told.read_text("utf-8").replace("lineage:2", "lineage:1"), "utf-8")
    path.write_bytes(whole[: whole.index(b"\n") + 1])
    assert write_events(lake).read_bytes() == whole


def test_a_lake_without_runs_has_an_empty_log(tmp_path: Path) -> None:
    from tasks.lake import open_lake

    assert write_events(open_lake(tmp_path, "empty", "nowhere")).read_bytes() == b""
