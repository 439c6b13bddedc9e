"""Lineage: OpenLineage events, derived from run records and version manifests: lost ones can be made again.

    <pool>.curate      a run of the flow: START, then COMPLETE, FAIL or ABORT; runId is the run's id
    <pool>.<stage>     below it, each stage that it reached: the same; runId is uuid5 of the run's id and the stage
        inputs         ingest: the pool's shards; else the version that the stage was given
        outputs        the version that it committed, or that an earlier run had committed

An event names no path of this machine: a shard is <pool>/<path within the pool>, a version is its digest.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tasks.exporting import contract
from tasks.lake import Lake, Part, Version
from tasks.records.job_runs import FLOW, JobRun, job_runs
from tasks.storing.addresses import is_copy
from tasks.storing.copying import listing

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent
    from openlineage.client.facet_v2 import BaseFacet, DatasetFacet, InputDatasetFacet, JobFacet, RunFacet

    AnyFacet = TypeVar("AnyFacet", bound=BaseFacet)

Sizes = Callable[[Path], dict[str, int]]

NAMESPACE: Final = "sluice"
PRODUCER: Final = "urn:sluice:lineage:2"  # the number is this derivation's revision
_PATH: Final = re.compile(r"(?<![\w:/.~-])~?/(?:[^\s/'\"]+/)*([^\s/'\"]+)")


def events(lake: Lake) -> list[dict[str, Any]]:
    """Every event of the pool: runs by their start, a run's stages in order. LakeError: a damaged record."""
    sizes = known_sizes()
    return [event for flow, stages in job_runs(lake) for event in run_events(lake, flow, stages, sizes)]


def run_events(lake: Lake, flow: JobRun, stages: Sequence[JobRun], sizes: Sizes) -> list[dict[str, Any]]:
    """One run's events: its start, those of its stages in order, its end if it has ended."""
    from openlineage.client.serde import Serde

    found = [_start(lake, flow)]
    for stage in stages:
        found += [_start(lake, stage), *_end(lake, stage, sizes)]
    return [Serde.to_dict(event) for event in [*found, *_end(lake, flow, sizes)]]


def known_sizes() -> Sizes:
    """Looks a folder's files up once: versions share most of their folders."""
    return cache(_sizes)


def _start(lake: Lake, job_run: JobRun) -> RunEvent:
    from openlineage.client.event_v2 import RunEvent, RunState

    run, job = _run(lake, job_run, {}), _job(lake, job_run)
    return RunEvent(eventType=RunState.START, eventTime=job_run.started, run=run, job=job, producer=PRODUCER)


def _end(lake: Lake, job_run: JobRun, sizes: Sizes) -> list[RunEvent]:
    """How the job run ended, what it read and what it made; nothing while it runs."""
    from openlineage.client.event_v2 import RunEvent, RunState

    if job_run.end is None:
        return []
    facets = _engine(job_run) | _failure(lake, job_run) | _tests(lake, job_run)
    outputs = [] if job_run.made is None else [_output(job_run.made, sizes)]
    event = RunEvent(
        eventType=RunState(job_run.end), eventTime=job_run.ended, run=_run(lake, job_run, facets),
        job=_job(lake, job_run), producer=PRODUCER, inputs=_inputs(lake, job_run), outputs=outputs,
    )  # fmt: skip
    return [event]


def _facet(kind: type[AnyFacet], **values: Any) -> AnyFacet:
    return kind(producer=PRODUCER, **values)


def _job(lake: Lake, job_run: JobRun) -> Job:
    from openlineage.client import event_v2, facet_v2

    kind = "DAG" if job_run.stage == FLOW else "TASK"
    job_type = facet_v2.job_type_job.JobTypeJobFacet
    facets: dict[str, JobFacet] = {
        "jobType": _facet(job_type, processingType="BATCH", integration="SLUICE", jobType=kind)
    }
    return event_v2.Job(NAMESPACE, f"{lake.pool}.{job_run.stage}", facets)


def _run(lake: Lake, job_run: JobRun, facets: Mapping[str, RunFacet]) -> Run:
    """The flow's own run, or a stage's below it."""
    from openlineage.client import event_v2
    from openlineage.client.facet_v2 import parent_run

    flow = job_run.record["id"]
    if job_run.stage == FLOW:
        return event_v2.Run(flow, dict(facets))
    parent = _facet(
        parent_run.ParentRunFacet,
        run=parent_run.Run(flow),
        job=parent_run.Job(NAMESPACE, f"{lake.pool}.{FLOW}"),
    )
    return event_v2.Run(str(uuid.uuid5(uuid.UUID(flow), job_run.stage)), {"parent": parent, **facets})


def _engine(job_run: JobRun) -> dict[str, RunFacet]:
    """The revision of the code that did the work. (A source location needs an address that a lake does not know.)"""
    from openlineage.client.facet_v2 import processing_engine_run

    if job_run.made is None:
        return {}
    code = str(job_run.made.manifest["code"])
    return {"processing_engine": _facet(processing_engine_run.ProcessingEngineRunFacet, version=code, name=NAMESPACE)}


def _failure(lake: Lake, job_run: JobRun) -> dict[str, RunFacet]:
    from openlineage.client.facet_v2 import error_message_run

    error = job_run.record["error"]
    if job_run.end == "COMPLETE" or not error:
        return {}
    message = without_paths(error, lake)
    kind = error_message_run.ErrorMessageRunFacet
    return {"errorMessage": _facet(kind, message=message, programmingLanguage="python")}


def without_paths(text: str, lake: Lake) -> str:
    """A message with the pool's name for its source, `lake` for the lake's folder, file names for other paths."""
    known = {str(_source(lake)): lake.pool, str(lake.root.absolute()): "lake"}
    for path, name in sorted(known.items(), key=lambda item: -len(item[0])):
        if path.startswith("/"):
            text = text.replace(path, name)
    return _PATH.sub(r"\1", text)


def _source(lake: Lake) -> Any:
    path = lake.home / "pool.json"
    return json.loads(path.read_text("utf-8"))["source"] if path.exists() else ""


def _tests(lake: Lake, job_run: JobRun) -> dict[str, RunFacet]:
    """The gate that judged the stage's draft, as results of the run; of a failed stage, what failed."""
    from openlineage.client.facet_v2 import test_run

    if job_run.stage == FLOW:
        return {}
    gate = job_run.record["gate"] if job_run.made is None else job_run.made.manifest["gate"]
    tests = [
        test_run.TestExecution(
            status="pass" if result["passed"] else "fail", type="between", **_expectation(lake, result)
        )
        for result in gate or ()
    ]
    return {"test": _facet(test_run.TestRunFacet, tests=tests)} if tests else {}


def _expectation(lake: Lake, result: Mapping[str, Any]) -> dict[str, Any]:
    """A gate's result in the words that assertions and test results share."""
    sides = [("at least", result["low"]), ("at most", result["high"])]
    problem = result["problem"]
    return {
        "name": result["metric"],
        "severity": "error",
        "description": result["meaning"],
        "expected": " and ".join(f"{word} {side:g}" for word, side in sides if side is not None),
        "actual": None if result["value"] is None else f"{result['value']:g}",
        "content": None if problem is None else without_paths(problem, lake),
    }


def _inputs(lake: Lake, job_run: JobRun) -> list[InputDataset]:
    """The pool's shards for ingest, a version for the other stages; none where it is unknown or was removed."""
    if job_run.made is not None and job_run.stage == "ingest":
        return [_shard(lake, part) for part in job_run.made.parts]
    return [] if job_run.given is None else [_version_input(lake, job_run.given)]


def _shard(lake: Lake, part: Part) -> InputDataset:
    from openlineage.client import event_v2, facet_v2

    rows = facet_v2.input_statistics_input_dataset.InputStatisticsInputDatasetFacet
    read: dict[str, InputDatasetFacet] = {"inputStatistics": _facet(rows, rowCount=part.rows)}
    return event_v2.InputDataset("file", f"{lake.pool}/{part.path}", read, facets={"version": _digest(part.digest)})


def _version_input(lake: Lake, version: Version) -> InputDataset:
    """A version that a stage read, with what its gate found of it."""
    from openlineage.client import event_v2
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as quality

    found = [
        quality.Assertion("between", bool(result["passed"]), **_expectation(lake, result))
        for result in version.manifest["gate"]
    ]
    facets: dict[str, InputDatasetFacet] = {}
    if found:
        facets["dataQualityAssertions"] = _facet(quality.DataQualityAssertionsDatasetFacet, assertions=found)
    version_facet = {"version": _digest(version.manifest["digest"])}
    return event_v2.InputDataset(*_name(version), facets, facets=version_facet)


def _output(version: Version, sizes: Sizes) -> OutputDataset:
    """A committed version: what it is, what its table looks like, how large it is and what became of its samples."""
    from openlineage.client import event_v2, facet_v2

    facts, (files, size) = version.manifest, _size(version, sizes)
    quality = facet_v2.data_quality_metrics_dataset.DataQualityMetricsDatasetFacet
    statistics = facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet
    facets: dict[str, Any] = {
        "version": _digest(facts["digest"]),
        "schema": _schema(version),
        "dataQualityMetrics": _facet(quality, columnMetrics={}, rowCount=version.rows, bytes=size),
        "sluice_version": _facet(facet_v2.DatasetFacet).with_additional_properties(
            number=version.number, complete=facts["complete"], verdicts=facts["counts"]
        ),
    }
    written: Any = _facet(statistics, rowCount=version.rows, size=size, fileCount=files)
    return event_v2.OutputDataset(*_name(version), {"outputStatistics": written}, facets=facets)


def _schema(version: Version) -> DatasetFacet:
    """The contract's columns, which every version can be exported as."""
    from openlineage.client.facet_v2 import schema_dataset

    fields = [
        schema_dataset.SchemaDatasetFacetFields(field.name, str(field.type), ordinal_position=place)
        for place, field in enumerate(contract.schema(version), 1)
    ]
    return _facet(schema_dataset.SchemaDatasetFacet, fields=fields)


def _name(version: Version) -> tuple[str, str]:
    return f"{NAMESPACE}/{version.lake.pool}", "version"


def _digest(digest: str) -> DatasetFacet:
    from openlineage.client.facet_v2 import dataset_version_dataset

    return _facet(dataset_version_dataset.DatasetVersionDatasetFacet, datasetVersion=digest)


def _size(version: Version, sizes: Sizes) -> tuple[int, int | None]:
    """A version's column files, and their bytes; None where one has been removed since."""
    names = {part.part for part in version.parts}
    folders = [sizes(version.lake.place(group, key, "").parent) for group, key in version.columns.items()]
    whole = all(names <= folder.keys() for folder in folders)
    return len(names) * len(folders), sum(folder[name] for folder in folders for name in names) if whole else None


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of a folder's files, by their names without ending."""
    if is_copy(folder):
        return {name.partition(".")[0]: size for name, size in listing(folder).items()}
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as files:
        return {file.name.partition(".")[0]: file.stat().st_size for file in files}
