"""A version with embeddings of which some samples belong to a category, and labels files for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.files import write_array, write_table
from tasks.lake import Lake, Part, Version
from tasks.samples import DECISION, SAMPLES

DIMENSIONS = 8


def uid(sample: int) -> str:
    return f"{sample:032x}"


def belongs(rows: int) -> NDArray[np.bool_]:
    """(rows,) every fourth sample is of the category."""
    return np.arange(rows) % 4 == 0


def embeddings(rows: int, apart: float = 1.0, seed: int = 0) -> NDArray[np.float16]:
    """(rows, DIMENSIONS) of unit norm; the category lies `apart` along the first axis."""
    x = np.random.default_rng(seed).normal(size=(rows, DIMENSIONS))
    x[:, 0] += apart * np.where(belongs(rows), 2.0, -2.0)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float16)


def categorised(
    root: Path, vectors: NDArray[np.float16], part_rows: int = 25, quarantined: Sequence[int] = ()
) -> Version:
    """A version after ingest, a part for every `part_rows` samples; quarantined rows have no embedding."""
    lake, rows = Lake(root, "pool"), len(vectors)
    bad = np.isin(np.arange(rows), quarantined)
    status, verdict = np.where(bad, "quarantined", "ok"), np.where(bad, "quarantined", "kept")
    digests = [hashlib.sha256(uid(i).encode()).hexdigest() for i in range(rows)]
    known = {"uid": [uid(i) for i in range(rows)], "sha256": digests, "status": status}
    samples = _table(SAMPLES, rows, known)
    removed = {"stage": pa.array(["ingest"] * rows, mask=~bad), "reason": pa.array(["no image"] * rows, mask=~bad)}
    decision = _table(DECISION, rows, {"verdict": verdict, **removed})
    vectors = np.where(bad[:, None], 0, vectors).astype(np.float16)
    parts = []
    for start in range(0, rows, part_rows):
        parts.append(Part(f"{start:016x}", f"{start:05d}.tar", "0" * 64, len(vectors[start : start + part_rows])))
        for group, table in (("samples", samples), ("decision", decision)):
            write_table(lake.column_path(group, "k", parts[-1].part), table.slice(start, part_rows))
        write_array(lake.column_path("embedding", "k", parts[-1].part), vectors[start : start + part_rows])
    columns = dict.fromkeys(("samples", "embedding", "decision"), "k")
    return Version(lake, "ingest", tuple(parts), columns)


def write_labels(path: Path, labels: Iterable[tuple[str, int]], category: str = "knife") -> str:
    rows = [f"{name},{category},{label},someone" for name, label in labels]
    path.write_text("\n".join(["uid,category,label,annotator", *rows, ""]), "utf-8")
    return str(path)


def _table(schema: pa.Schema, rows: int, known: dict) -> pa.Table:
    columns = [pa.array(known[f.name], f.type) if f.name in known else pa.nulls(rows, f.type) for f in schema]
    return pa.table(columns, schema=schema)
