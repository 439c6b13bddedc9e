"""A run's record: runs/<id>.json, written when the run begins, after every stage, and when it ends, however it ends."""

from __future__ import annotations

import dataclasses
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from flows.checks.secrets import hidden
from flows.serving.interrupts import heard
from tasks.files import write_json
from tasks.lake import Lake
from tasks.lock import now


@dataclasses.dataclass
class Record:
    """One attempt."""

    pool: str
    source: str
    id: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))
    started_at: str = dataclasses.field(default_factory=now)
    ended_at: str | None = None
    status: str = "running"  # running | done | nothing new | failed | interrupted
    stage: str | None = None  # where it is, or stopped
    error: str | None = None
    versions: list[int] = dataclasses.field(default_factory=list)
    gate: list[dict[str, Any]] = dataclasses.field(default_factory=list)  # what failed
    stages: list[dict[str, Any]] = dataclasses.field(default_factory=list)  # stage, seconds, parts worked on, samples

    def took(self, stage: str, seconds: float, parts: int, samples: int) -> str:
        """Note how long a stage took, and say so."""
        self.stages.append({"stage": stage, "seconds": round(seconds, 2), "parts": parts, "samples": samples})
        return f"{seconds:,.1f} s, {parts:,} parts worked on"

    def write(self, lake: Lake) -> None:
        write_json(lake.home / "runs" / f"{self.id}.json", dataclasses.asdict(self))


@contextmanager
def recorded(record: Record, lake: Lake) -> Iterator[Record]:
    """Write the record at the start and at the end; what ends the block otherwise is recorded and goes on."""
    record.write(lake)
    try:
        yield record
    except BaseException as problem:
        heard()
        record.status = "failed" if isinstance(problem, Exception) else "interrupted"
        record.error = hidden(f"{type(problem).__name__}: {problem}")
        raise
    else:
        if record.status == "running":
            record.status, record.stage = "done", None
    finally:
        record.ended_at = now()
        record.write(lake)


@cache
def code_revision() -> str:
    """The commit that runs, marked where files differ from it; the release where there is no repository."""
    here = Path(__file__).parents[2]
    try:
        git = ["git", "-C", str(here)]
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        dirty = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return f"release {metadata.version('sluice')}"
    return head + ("+changes" if dirty.strip() else "")
