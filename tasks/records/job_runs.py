"""What happened on a pool, as job runs: each run of the flow, and in it each stage that it reached.

Told from the run records and the version manifests alone, in the order of the runs' start.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from tasks.errors import LakeError
from tasks.lake import Lake, Version

FLOW: Final = "curate"  # the job above the stages
ENDS: Final = {
    "running": None,
    "done": "COMPLETE",
    "nothing new": "COMPLETE",
    "failed": "FAIL",
    "interrupted": "ABORT",
}  # a run's status → how its job run ended

_NEEDED: Final = ("id", "started_at", "ended_at", "status", "stage", "error", "versions", "gate")

Record = Mapping[str, Any]  # runs/<id>.json


@dataclass(frozen=True)
class JobRun:
    """One job run: of the flow where `stage` is FLOW, else of a stage in it."""

    record: Record  # of the flow's run
    stage: str
    started: str  # ISO 8601
    ended: str  # ISO 8601; of a run that was killed, when it was last known to live
    end: str | None  # COMPLETE | FAIL | ABORT; None while it runs
    given: Version | None = None  # the version that the stage was given
    made: Version | None = None  # the version that the stage committed


def job_runs(lake: Lake) -> list[tuple[JobRun, list[JobRun]]]:
    """Each run of the flow with its stages, in order. LakeError: a damaged record or manifest."""
    versions = {version.number: version for version in lake.versions()}
    of_run: dict[str, list[Version]] = {}
    for version in versions.values():
        of_run.setdefault(str(version.manifest["run"]), []).append(version)
    found = []
    for record in records(lake, of_run):
        committed = of_run.get(record["id"], [])
        flow = JobRun(record, FLOW, record["started_at"], _end_of(record, committed), ENDS[record["status"]])
        stages = [*_committed(record, committed, versions), *_stopped(record, committed, versions)]
        found.append((flow, stages))
    return found


def records(lake: Lake, of_run: Mapping[str, Sequence[Version]]) -> list[Record]:
    """Run records by their start; a run whose record is gone is told from its versions.

    One run at a time holds the lake, so one that still says `running` and was followed by another was killed.
    """
    found = [read_record(path) for path in (lake.home / "runs").glob("*.json")]
    known = {record["id"] for record in found}
    found += [_lost_record(run, versions) for run, versions in of_run.items() if run not in known]
    found.sort(key=lambda record: (datetime.fromisoformat(record["started_at"]), record["id"]))
    killed = [{**record, "status": "interrupted"} if record["status"] == "running" else record for record in found[:-1]]
    return killed + found[-1:]


def read_record(path: Path) -> Record:
    """LakeError where the record is not JSON, lacks a field, or has a value that no run writes."""
    try:
        record: Record = json.loads(path.read_text("utf-8"))
        _check(record)
    except (ValueError, TypeError, AttributeError) as problem:  # JSON and Unicode errors are ValueErrors
        raise LakeError(
            f"the run record {path} is damaged: {problem}; restore it from a backup, or remove it"
        ) from None
    return record


def _check(record: Record) -> None:
    if not isinstance(record, dict):
        raise ValueError(f"an object was expected, {type(record).__name__} was found")
    absent = [name for name in _NEEDED if name not in record]
    if absent:
        raise ValueError(f"it lacks {', '.join(absent)}")
    if record["status"] not in ENDS:
        raise ValueError(f"a status among {', '.join(ENDS)} was expected, {record['status']!r} was found")
    uuid.UUID(record["id"])
    for name in ("started_at", "ended_at"):
        if record[name] is not None or name == "started_at":
            datetime.fromisoformat(record[name])


def _lost_record(run: str, versions: Sequence[Version]) -> Record:
    """What the versions of a run tell of it."""
    times = [version.manifest["created_at"] for version in versions]
    complete = any(version.manifest["complete"] for version in versions)
    return dict.fromkeys(_NEEDED) | {
        "id": run, "started_at": times[0], "ended_at": times[-1], "versions": [], "gate": [],
        "status": "done" if complete else "interrupted",
    }  # fmt: skip


def _committed(record: Record, committed: Sequence[Version], versions: Mapping[int | None, Version]) -> list[JobRun]:
    """The stages that committed a version; each starts where the one before it ended."""
    times = [record["started_at"], *(version.manifest["created_at"] for version in committed)]
    return [
        JobRun(record, version.stage, start, end, "COMPLETE", versions.get(version.manifest["parent"]), version)
        for version, (start, end) in zip(committed, pairwise(times), strict=True)
    ]


def _stopped(record: Record, committed: Sequence[Version], versions: Mapping[int | None, Version]) -> list[JobRun]:
    """The stage that a run stopped in, if it stopped in one; it was given the version that the run had come to."""
    end, stage = ENDS[record["status"]], record["stage"]
    reached = [versions[number] for number in record["versions"] if number in versions]
    if end not in ("FAIL", "ABORT") or not stage or any(version.stage == stage for version in reached):
        return []
    start = committed[-1].manifest["created_at"] if committed else record["started_at"]
    return [JobRun(record, stage, start, _end_of(record, committed), end, reached[-1] if reached else None)]


def _end_of(record: Record, committed: Sequence[Version]) -> str:
    last = committed[-1].manifest["created_at"] if committed else record["started_at"]
    return str(record["ended_at"] or last)
