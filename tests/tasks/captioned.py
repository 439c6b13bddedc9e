"""A version in a temporary lake, made of captions and of what was decided of them; and map_parts without a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.files import write_table
from tasks.lake import Lake, Part, Version
from tasks.samples import DECISION, SAMPLES

PARTS = 6  # at most, of at least three samples


def map_here(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    return [function(item) for item in items]


def uid(sample: int) -> str:
    return f"{sample:032x}"


def captioned(
    root: Path,
    captions: Sequence[str | None],
    verdicts: Sequence[str] | None = None,
    weights: Sequence[float | None] | None = None,
    groups: Sequence[Sequence[int]] = (),
) -> Version:
    """A version of these samples in several parts; groups are near-duplicate groups of sample numbers."""
    lake, rows = Lake(root, "pool"), len(captions)
    verdicts = verdicts or ["kept"] * rows
    columns = {"uid": [uid(i) for i in range(rows)], "caption": list(captions), "status": ["ok"] * rows}
    samples = _table(SAMPLES, rows, columns)
    parts = []
    size = max(3, -(-rows // PARTS))
    for start in range(0, rows, size):
        piece = samples.slice(start, size)
        parts.append(Part(f"{start:016x}", f"{start:05d}.tar", "0" * 64, len(piece)))
        write_table(lake.column_path("samples", "s", parts[-1].part), piece)
    artifacts = {}
    if groups:
        artifacts["groups"] = Lake.key([list(group) for group in groups])
        members = [(number, uid(i)) for number, group in enumerate(groups) for i in group]
        table = pa.table({"group": [n for n, _ in members], "uid": [u for _, u in members]})
        with lake.new_artifact("groups", artifacts["groups"]) as folder:
            write_table(folder / "groups.parquet", table)
    decision = Lake.key(list(verdicts), list(weights or []))
    version = Version(lake, "filter", tuple(parts), {"samples": "s", "decision": decision}, artifacts)
    version.write_decision(_table(DECISION, rows, {"verdict": verdicts, "weight": weights or [None] * rows}), decision)
    return version


def _table(schema: pa.Schema, rows: int, known: dict[str, Sequence[Any]]) -> pa.Table:
    columns = [pa.array(known[f.name], f.type) if f.name in known else pa.nulls(rows, f.type) for f in schema]
    return pa.table(columns, schema=schema)
