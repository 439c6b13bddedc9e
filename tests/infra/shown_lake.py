"""A lake with all that the dashboard's pages show: two versions, hostile captions, scores, groups, a failed run."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks import committing
from tasks.files import read_table, write_json, write_table
from tasks.lake import Version
from tests.tasks.decided_pool import curated, ingested, samples, write_tars
from tests.tasks.queued import FACTS, HOSTILE

GATE = {
    "metric": "samples_without_verdict", "passed": True, "value": 0.0, "low": 0.0, "high": 0.0,
    "meaning": "every sample has a verdict", "problem": None,
}  # fmt: skip
FAILURE = "GateFailed: <b>kept</b> [x](javascript:alert(1)) is too small"
COUNT = 36  # samples


def shown_lake(folder: Path) -> Version:
    """folder/lake, of folder/pool; returns the newer version. The last samples have the hostile captions."""
    items, first = samples(COUNT), COUNT - len(HOSTILE)
    named = [(ending, image, caption) for (ending, image, _), caption in zip(items[first:], HOSTILE, strict=True)]
    pool = write_tars(folder / "pool", [*items[:first], *named])
    run = str(uuid.uuid4())
    one = _committed(ingested(folder / "lake", pool), run, complete=False)
    two = _committed(_grouped(curated(folder / "lake", pool)), run, complete=True, parent=1)
    record(two, "done", versions=[1, 2])
    record(two, "failed", started_at="2026-02-03T00:00:00+00:00", stage="filter", error=FAILURE)
    assert one.number == 1
    return two


def _grouped(version: Version) -> Version:
    """With all columns of dedup's table of groups."""
    table = read_table(version.artifact("groups") / "groups.parquet")
    first, rows = table["uid"][0], table.num_rows
    table = table.append_column("representative", pa.array([first] * rows))
    table = table.append_column("verdict", pa.array(["kept"] * rows))
    table = table.append_column("similarity", pa.array([None, *[0.97] * (rows - 1)], pa.float32()))
    with version.lake.new_artifact("groups", "whole") as folder:
        write_table(folder / "groups.parquet", table)
    return version.derive(version.stage, artifacts={"groups": "whole"})


def _committed(draft: Version, run: str, **facts: Any) -> Version:
    return committing.commit(draft, committing.content(draft), {**FACTS, "gate": [GATE], "run": run, **facts})


def record(version: Version, status: str, **facts: Any) -> None:
    """A run's record."""
    number = str(uuid.uuid4())
    known = {
        "id": number, "pool": "small", "source": "pool", "started_at": "2026-02-02T00:00:00+00:00",
        "ended_at": "2026-02-02T01:00:00+00:00", "status": status, "stage": None, "error": None, "versions": [],
        "gate": [],
    }  # fmt: skip
    write_json(version.lake.home / "runs" / f"{number}.json", {**known, **facts})
