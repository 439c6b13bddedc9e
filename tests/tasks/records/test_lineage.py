"""Events are checked against the OpenLineage client's own generated classes: every field must be one of theirs, of
their type, and each facet one of those that its place allows."""

import enum
import types
import typing
from pathlib import Path
from typing import Any

import attr
import pytest
from openlineage.client import event_v2, facet_v2
from openlineage.client.generated.base import BaseFacet
from openlineage.client.serde import Serde

from tasks.errors import LakeError
from tasks.lake import Lake
from tasks.records.event_log import write_events
from tasks.records.job_runs import job_runs
from tasks.records.lineage import events, without_paths
from tests.tasks.records.recorded_runs import FAILED, UNKNOWN, commit, named, one_run, record, run_id


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return one_run(tmp_path)


def conform(kind: Any, value: Any, where: str = "event") -> Any:
    """`value` as an instance of what the client declares; AssertionError where it is not one."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return None if value is None else conform(next(a for a in arguments if a is not type(None)), value, where)
    if origin is list:
        return [conform(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value)]
    if origin is dict:
        return {key: conform(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if attr.has(kind):
        return _conform_class(kind, value, where)
    if issubclass(kind, enum.Enum):
        return kind(value)
    assert isinstance(value, (int, float) if kind is float else kind), f"{where}: {value!r} is no {kind.__name__}"
    return value


def _conform_class(kind: Any, value: dict[str, Any], where: str) -> Any:
    kind = _facet_class(kind, value, where) if issubclass(kind, BaseFacet) else kind
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in attr.fields(kind)}
    own = {name: item for name, item in value.items() if name not in fields}
    assert not own or kind in (facet_v2.DatasetFacet,), f"{where}: {kind.__name__} has no {', '.join(own)}"
    given = {
        fields[name].alias: conform(hints[name], item, f"{where}.{name}")
        for name, item in value.items()
        if name in fields and fields[name].init
    }
    built = kind(**given)
    return built.with_additional_properties(**own) if own else built


def _facet_class(declared: Any, value: dict[str, Any], where: str) -> Any:
    """The facet's class, named by its schema, if it may stand where it stands."""
    name = value["_schemaURL"].rpartition("/")[2]
    modules = [module for module in vars(facet_v2).values() if isinstance(module, types.ModuleType)]
    found = next(found for module in [facet_v2, *modules] if (found := getattr(module, name, None)) is not None)
    assert issubclass(found, declared), f"{where}: a {declared.__name__} was expected, a {name} was found"
    return found


def assert_conform(found: list[dict[str, Any]]) -> None:
    for event in found:
        assert Serde.to_dict(conform(event_v2.RunEvent, event)) == event


def test_every_event_is_one_that_the_client_could_have_made(lake: Lake) -> None:
    record(lake, 2, "failed", stage="filter", error="GateFailed: too much", gate=[FAILED, UNKNOWN], versions=[1])
    record(lake, 3, "interrupted", stage="dedup", error="KeyboardInterrupt: ", versions=[1, 2])
    record(lake, 4, "nothing new")
    record(lake, 5, "running", ended_at=None, stage="ingest")
    assert_conform(events(lake))


def test_a_facet_where_the_client_allows_none_of_its_kind_is_noticed(lake: Lake) -> None:
    event = events(lake)[-2]
    event["outputs"][0]["facets"]["misplaced"] = event["outputs"][0]["outputFacets"]["outputStatistics"]
    with pytest.raises(AssertionError, match="a DatasetFacet was expected"):
        conform(event_v2.RunEvent, event)


def test_a_run_is_one_job_run_with_one_below_it_for_each_stage_that_committed_a_version(lake: Lake) -> None:
    found = events(lake)
    assert named(found) == [
        ("pool.curate", "START"),
        ("pool.ingest", "START"),
        ("pool.ingest", "COMPLETE"),
        ("pool.filter", "START"),
        ("pool.filter", "COMPLETE"),
        ("pool.curate", "COMPLETE"),
    ]
    stages = [event["run"] for event in found[1:-1]]
    assert all(run["facets"]["parent"]["run"]["runId"] == run_id(1) == found[0]["run"]["runId"] for run in stages)
    ids = [run["runId"] for run in stages]
    assert ids[0] == ids[1] != ids[2] == ids[3]
    assert [event["eventTime"][11:16] for event in found] == ["01:00", "01:00", "01:10", "01:10", "01:20", "01:30"]


def test_ingest_reads_the_pools_shards_and_the_other_stages_the_version_before(lake: Lake) -> None:
    ingest, filter_ = events(lake)[2], events(lake)[4]
    assert [(item["namespace"], item["name"]) for item in ingest["inputs"]] == [
        ("file", "pool/00000.tar"),
        ("file", "pool/00003.tar"),
    ]
    assert ingest["inputs"][0]["facets"]["version"]["datasetVersion"] == lake.version(1).parts[0].digest
    made, read = ingest["outputs"][0], filter_["inputs"][0]
    assert (made["namespace"], made["name"]) == (read["namespace"], read["name"]) == ("sluice/pool", "version")
    versions = [item["facets"]["version"]["datasetVersion"] for item in (made, read)]
    assert versions == [lake.manifest(1)["digest"]] * 2


def test_an_output_tells_its_table_its_size_and_its_verdicts(lake: Lake) -> None:
    output = events(lake)[4]["outputs"][0]
    facets, version = output["facets"], lake.version(2)
    paths = [version.column_path(group, part) for group in version.columns for part in version.parts]
    assert [field["name"] for field in facets["schema"]["fields"]][:2] == ["uid", "key"]
    assert facets["sluice_version"]["verdicts"] == {"kept": 4, "filtered": 1, "duplicate": 0, "quarantined": 0}
    assert (facets["sluice_version"]["number"], facets["sluice_version"]["complete"]) == (2, True)
    statistics = output["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["fileCount"]) == (5, 4)
    assert statistics["size"] == sum(path.stat().st_size for path in paths)
    paths[0].unlink()
    assert "size" not in events(lake)[4]["outputs"][0]["outputFacets"]["outputStatistics"]


def test_a_gates_results_are_the_runs_tests_and_the_read_versions_assertions(lake: Lake) -> None:
    complete = events(lake)[4]
    assert [(t["name"], t["status"], t["expected"]) for t in complete["run"]["facets"]["test"]["tests"]] == [
        ("kept", "pass", "at least 1")
    ]
    found = complete["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert [(a["name"], a["success"], a["actual"]) for a in found] == [("kept", True, "4")]


def test_a_failed_run_fails_in_its_stage_and_says_why(lake: Lake) -> None:
    record(
        lake,
        2,
        "failed",
        stage="filter",
        error="GateFailed: too much was removed",
        gate=[FAILED, UNKNOWN],
        versions=[1],
    )
    found = events(lake)[6:]
    assert named(found) == [
        ("pool.curate", "START"), ("pool.ingest", "START"), ("pool.ingest", "COMPLETE"),
        ("pool.filter", "START"), ("pool.filter", "FAIL"), ("pool.curate", "FAIL"),
    ]  # fmt: skip
    for event in found[4:]:
        assert event["run"]["facets"]["errorMessage"]["message"] == "GateFailed: too much was removed"
    tests = found[4]["run"]["facets"]["test"]["tests"]
    assert [(t["status"], t.get("actual"), t.get("content")) for t in tests] == [
        ("fail", "0.5", None),
        ("fail", None, "could not read 00000.tar"),
    ]
    assert found[4]["inputs"][0]["facets"]["version"]["datasetVersion"] == lake.manifest(1)["digest"]


def test_a_version_that_an_earlier_run_had_made_is_found_in_no_time(lake: Lake) -> None:
    record(lake, 2, "failed", stage="filter", error="GateFailed: too much was removed", versions=[1])
    start, complete, later = events(lake)[7:10]
    assert start["eventTime"] == complete["eventTime"] == later["eventTime"] == "2026-11-21T02:00:00+00:00"
    assert complete["outputs"][0]["facets"]["version"]["datasetVersion"] == lake.manifest(1)["digest"]


def test_a_run_that_failed_before_any_stage_is_a_failed_flow(lake: Lake) -> None:
    record(lake, 2, "failed", error="PoolError: empty")
    assert named(events(lake)[6:]) == [("pool.curate", "START"), ("pool.curate", "FAIL")]


def test_an_interrupted_run_is_aborted_where_it_was(lake: Lake) -> None:
    record(lake, 2, "interrupted", stage="dedup", ended_at=None, versions=[1, 2])
    found = events(lake)[6:]
    assert named(found)[-2:] == [("pool.dedup", "ABORT"), ("pool.curate", "ABORT")]
    assert found[-1]["eventTime"] == found[0]["eventTime"], "it was last known to live when it began"


def test_a_run_that_was_killed_once_it_had_committed_a_stage_is_not_aborted_in_it(lake: Lake) -> None:
    commit(lake.version(1), "filter", 2, 5)
    record(lake, 2, "interrupted", stage="filter", ended_at=None, versions=[1])
    assert named(events(lake)[-3:]) == [
        ("pool.filter", "START"), ("pool.filter", "COMPLETE"), ("pool.curate", "ABORT"),
    ]  # fmt: skip


def test_the_run_that_is_at_work_is_not_taken_for_killed_when_the_clock_was_set_back(lake: Lake) -> None:
    record(lake, 3, "running", ended_at=None, stage="ingest")
    record(lake, 2, "running", ended_at=None, stage="ingest")
    told = [job for job, _ in job_runs(lake, running=run_id(2))]
    assert [(job.record["id"], job.end) for job in told[1:]] == [(run_id(2), None), (run_id(3), "ABORT")]


def test_a_run_that_goes_on_has_no_end_and_one_that_was_killed_is_aborted_once_another_followed(lake: Lake) -> None:
    record(lake, 2, "running", ended_at=None, stage="ingest")
    assert named(events(lake)[6:]) == [("pool.curate", "START"), ("pool.ingest", "START")]
    record(lake, 3, "nothing new")
    assert named(events(lake)[6:]) == [
        ("pool.curate", "START"), ("pool.ingest", "START"), ("pool.ingest", "ABORT"), ("pool.curate", "ABORT"),
        ("pool.curate", "START"), ("pool.curate", "COMPLETE"),
    ]  # fmt: skip


def test_a_version_whose_runs_record_is_gone_still_has_its_events(lake: Lake) -> None:
    whole = named(events(lake))
    (lake.home / "runs" / f"{run_id(1)}.json").unlink()
    assert named(events(lake)) == whole
    assert_conform(events(lake))


def test_no_event_names_a_path_of_the_machine(lake: Lake, tmp_path: Path) -> None:
    error = (
        f"PoolError: {tmp_path}/emoji/00000.tar of {lake.root}/pool, and '/home/ann/x.csv' at https://a.org/b/c, 1/2"
    )
    record(lake, 2, "failed", stage="filter", error=error, gate=[UNKNOWN])
    text = write_events(lake).read_text("utf-8")
    assert str(tmp_path) not in text
    assert "/home" not in text
    assert "/srv" not in text
    assert without_paths(error, lake) == "PoolError: pool/00000.tar of lake/pool, and 'x.csv' at https://a.org/b/c, 1/2"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"id": "a', "Unterminated string"),
        ("[]", "an object was expected, list was found"),
        ('{"id": "a"}', "it lacks started_at, ended_at"),
    ],
)
def test_a_damaged_run_record_is_named(lake: Lake, text: str, problem: str) -> None:
    path = lake.home / "runs" / "broken.json"
    path.write_text(text, "utf-8")
    with pytest.raises(LakeError, match=problem) as raised:
        events(lake)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"status": "asleep"}, "'asleep' was found"),
        ({"id": "seven"}, "badly formed"),
        ({"started_at": "noon"}, "noon"),
        ({"started_at": None}, "must be str"),
    ],
)
def test_a_run_record_with_a_value_that_no_run_writes_is_named(lake: Lake, facts: dict[str, Any], problem: str) -> None:
    path = record(lake, 2, **{"status": "done", **facts})
    with pytest.raises(LakeError, match=problem) as raised:
        events(lake)
    assert str(path) in str(raised.value)
