"""All versions of a pool in short, and its newest runs: files that hardly change, each read once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import streamlit as st

from infra.dashboard.lake_sql import AN_HOUR
from tasks import manifests
from tasks.errors import LakeError
from tasks.lake import Lake
from tasks.records.job_runs import read_record

RUNS: Final = 30  # the newest, that the pages show


class Entry(NamedTuple):
    """A version in short."""

    number: int
    stage: str
    parent: int | None  # what it was made from
    previous: int | None  # what was published before
    run: str
    digest: str
    complete: bool  # whether it ended a run
    created_at: str
    counts: Mapping[str, int]  # verdict → samples
    retired: bool  # its files were given up

    @property
    def read(self) -> int:
        return sum(self.counts.values())


def entries(lake: Lake) -> list[Entry]:
    """The pool's versions, oldest first."""
    return [_entry(str(lake.home), number, _stamp(lake, number), lake) for number in lake.numbers()]


def _stamp(lake: Lake, number: int) -> tuple[float, bool]:
    """What changes where a deletion request took a caption from the manifest, or the version was retired."""
    path = lake.home / "versions" / f"{number:06d}.json"
    return path.stat().st_mtime if path.exists() else 0.0, manifests.retired_path(lake.home, number).exists()


@st.cache_resource(max_entries=10_000, ttl=AN_HOUR, show_spinner=False)
def _entry(home: str, number: int, stamp: tuple[float, bool], _lake: Lake) -> Entry:
    facts = _lake.manifest(number)
    names = ("stage", "parent", "previous", "run", "digest", "complete", "created_at", "counts")
    return Entry(number=number, retired=stamp[1], **{name: facts[name] for name in names})


def newest_runs(lake: Lake, most: int = RUNS) -> tuple[list[dict[str, Any]], list[str]]:
    """Run records, the newest first, each with `heard` (when it was written last), and what is wrong with damaged ones.

    One run at a time holds the pool, so one that says `running` and was followed by another was killed.
    """
    paths = sorted((lake.home / "runs").glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)[:most]
    found, damaged = [], []
    for path in paths:
        try:
            changed = path.stat().st_mtime
            found.append({**_record(str(path), changed), "heard": datetime.fromtimestamp(changed, UTC).isoformat()})
        except LakeError as problem:
            damaged.append(str(problem))
    found.sort(key=lambda record: record["started_at"], reverse=True)
    for record in found[1:]:
        if record["status"] == "running":
            record["status"] = "interrupted"
    return found, damaged


@st.cache_resource(max_entries=1_000, ttl=AN_HOUR, show_spinner=False)
def _record(path: str, changed: float) -> Mapping[str, Any]:
    return read_record(Path(path))
