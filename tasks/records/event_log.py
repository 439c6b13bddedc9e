"""The log of what happened on a pool, events/openlineage.ndjson: one OpenLineage event a line, runs by their start.

It grows by what is new: told.json beside it says of which runs it tells everything, and how long it was then. What was
written after that, by a run that was killed, is cut off and made again; without told.json the whole log is.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Final

from tasks.files import write_json, writing
from tasks.lake import Lake
from tasks.records.job_runs import JobRun, job_runs
from tasks.records.lineage import PRODUCER, known_sizes, run_events
from tasks.storing.copying import put

LOG: Final = "openlineage.ndjson"
TOLD: Final = "told.json"


@dataclasses.dataclass(frozen=True)
class Told:
    """What the log tells."""

    producer: str = PRODUCER
    bytes: int = 0  # of the log, whole lines
    floor: int = 0  # versions up to this number are of runs that have ended
    runs: tuple[str, ...] = ()  # ids of runs that have ended
    begun: dict[str, int] = dataclasses.field(default_factory=dict)  # ids of others → their lines


def write_events(lake: Lake, running: str | None = None) -> Path:
    """Bring the log up to date; returns it. `running` is the id of the run that is at work.

    The same lake gives the same bytes, told at once or bit by bit, while runs begin one after another by the clock.
    Raises LakeError: a damaged run record or manifest.
    """
    folder = lake.home / "events"
    path = folder / LOG
    told, sizes, lines = _read(folder / TOLD, path), known_sizes(), []
    runs, begun, floor = list(told.runs), dict(told.begun), told.floor
    for flow, stages in job_runs(lake, frozenset(runs), floor, running):
        made = [_line(event) for event in run_events(lake, flow, stages, sizes)]
        lines += made[begun.pop(flow.record["id"], 0) :]
        if flow.end is None:
            begun[flow.record["id"]] = len(made)
        else:
            runs.append(flow.record["id"])
            floor = max(floor, *_numbers(flow, stages))
    if lines or not path.exists():
        size = _append(path, told.bytes, b"".join(lines))
        write_json(folder / TOLD, dataclasses.asdict(Told(PRODUCER, size, floor, tuple(runs), begun)))
    return path


def rewrite_events(lake: Lake) -> Path:
    """The whole log anew: what it was told from has changed. LakeError: a damaged run record or manifest."""
    (lake.home / "events" / TOLD).unlink(missing_ok=True)
    return write_events(lake)


def _line(event: dict[str, object]) -> bytes:
    return json.dumps(event, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _numbers(flow: JobRun, stages: list[JobRun]) -> list[int]:
    """Numbers of the versions that a run committed."""
    made = [stage.made for stage in stages if stage.made is not None]
    return [0, *(one.number or 0 for one in made if one.manifest["run"] == flow.record["id"])]


def _read(path: Path, log: Path) -> Told:
    """What the log tells; nothing where it is of another derivation, or not what told.json speaks of."""
    try:
        found = Told(**json.loads(path.read_text("utf-8")))
        whole = found.producer == PRODUCER and found.bytes <= log.stat().st_size
    except (OSError, ValueError, TypeError):
        return Told()
    return found if whole else Told()


def _append(path: Path, size: int, lines: bytes) -> int:
    """Cut the log to `size` bytes and write the lines; returns its new size."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.truncate(size)
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
    put(path, path)
    return size + len(lines)
