"""What happened on a pool, as job runs: each run of the flow, and in it each stage that it reached.

Told from the run records and the version manifests alone, in the order of the runs' start. What is told of a run that
goes on is the beginning of what will be told once it has ended.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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
    made: Version | None = None  # the version that the stage committed, or found


def job_runs(
    lake: Lake, told: Collection[str] = (), floor: int = 0, running: str | None = None
) -> list[tuple[JobRun, list[JobRun]]]:
    """Each run of the flow with its stages, in the order of their start.

    told: ids of runs that are left out. floor: versions up to this number are of such runs, and are not read.
    running: id of the run that is at work; without it, the newest one that says so.

    Raises LakeError: a damaged record or manifest.
    """
    of_run: dict[str, list[Version]] = {}
    for number in lake.numbers():
        if number > floor:
            version = lake.version(number)
            of_run.setdefault(str(version.manifest["run"]), []).append(version)
    found = []
    for record in records(lake, of_run, told, running):
        committed = of_run.get(record["id"], [])
        flow = JobRun(record, FLOW, record["started_at"], _end_of(record, committed), ENDS[record["status"]])
        found.append((flow, _stages(lake, record, committed)))
    return found


def records(
    lake: Lake, of_run: Mapping[str, Sequence[Version]], told: Collection[str] = (), running: str | None = None
) -> list[Record]:
    """Run records by their start; a run whose record is gone is told from its versions.

    One run at a time holds the lake, so another one that still says `running` was killed.
    """
    paths = {path.stem: path for path in (lake.home / "runs").glob("*.json") if path.stem not in told}
    found = [read_record(path) for path in paths.values()]
    found += [_lost_record(run, made) for run, made in of_run.items() if run not in paths and run not in told]
    found.sort(key=lambda record: (datetime.fromisoformat(record["started_at"]), record["id"]))
    alive = running or (found[-1]["id"] if found else None)
    return [
        {**record, "status": "interrupted"} if record["status"] == "running" and record["id"] != alive else record
        for record in found
    ]


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


def _stages(lake: Lake, record: Record, committed: Sequence[Version]) -> list[JobRun]:
    """The stages that a run came to, each from where the one before it ended, and the one that it is or stopped in.

    A version that an earlier run had made was found, not made: its stage ends when it begins.
    """
    known, own = set(lake.numbers()), {version.number: version for version in committed}
    numbers = [number for number in record["versions"] if number in known]
    numbers += [number for number in own if number not in numbers]  # killed before it could record its last one
    found: list[JobRun] = []
    time, given = record["started_at"], None
    for number in numbers:
        made = own.get(number) or lake.version(number)
        ended = made.manifest["created_at"] if number in own else time
        parent = made.manifest["parent"]
        given = lake.version(parent) if parent in known else None
        found.append(JobRun(record, made.stage, time, ended, "COMPLETE", given, made))
        time, given = ended, made
    end, stage = ENDS[record["status"]], record["stage"]
    if end != "COMPLETE" and stage and all(job_run.stage != stage for job_run in found):
        found.append(JobRun(record, stage, time, _end_of(record, committed), end, given))
    return found


def _end_of(record: Record, committed: Sequence[Version]) -> str:
    last = committed[-1].manifest["created_at"] if committed else record["started_at"]
    return str(record["ended_at"] or last)
