"""Runs and versions written by hand: what lineage is told from."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from tasks import committing
from tasks.files import write_json
from tasks.lake import Lake, Version, open_lake
from tests.tasks.captioned import captioned

PASSED = {
    "metric": "kept", "passed": True, "value": 4.0, "low": 1, "high": None, "meaning": "samples kept", "problem": None,
}  # fmt: skip
FAILED = {**PASSED, "metric": "filtered_share", "passed": False, "value": 0.5, "low": 0, "high": 0.2}
UNKNOWN = {**FAILED, "value": None, "problem": "could not read /srv/pools/secret/00000.tar"}


def run_id(number: int) -> str:
    return str(uuid.UUID(int=number, version=4))


def record(lake: Lake, number: int, status: str = "done", **facts: Any) -> Path:
    known: dict[str, Any] = {
        "id": run_id(number), "pool": lake.pool, "source": "emoji",
        "started_at": f"2026-11-21T{number:02d}:00:00+00:00",
        "ended_at": f"2026-11-21T{number:02d}:30:00+00:00", "status": status, "stage": None, "error": None,
        "versions": [], "gate": [],
    }  # fmt: skip
    path = lake.home / "runs" / f"{known['id']}.json"
    write_json(path, known | facts)
    return path


def commit(draft: Version, stage: str, run: int, minute: int, **facts: Any) -> Version:
    known: dict[str, Any] = {
        "parent": draft.number, "previous": None, "run": run_id(run), "gate": [PASSED], "code": "abc123",
        "created_at": f"2026-11-21T{run:02d}:{minute:02d}:00+00:00", "complete": False, "inputs": None,
    }  # fmt: skip
    draft = draft.derive(stage)
    return committing.commit(draft, committing.content(draft), known | facts)


def one_run(root: Path) -> Lake:
    """A lake with one run that committed two stages."""
    lake = open_lake(root / "lake", "pool", str(root / "emoji"))
    draft = captioned(
        lake.root, ["a cat", "a dog", "a kiss", "a bird", "a fish"], ["kept", "kept", "filtered", "kept", "kept"]
    )
    first = commit(draft, "ingest", 1, 10, parent=None)
    second = commit(first, "filter", 1, 20, complete=True)
    record(lake, 1, versions=[first.number, second.number])
    return lake


def named(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["job"]["name"], event["eventType"]) for event in found]
