"""A committed version with embeddings and a category that a labeller knows, for rounds of labelling."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks import committing
from tasks.classifying.given import log_path
from tasks.files import write_table
from tasks.labels.label_log import Entry, append
from tasks.labels.rounds import Round
from tasks.lake import Lake, Version
from tasks.lock import now
from tasks.samples import SAMPLES
from tests.tasks.categorised import belongs, categorised, embeddings, uid


def here(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    return [function(item) for item in items]


def labelled_pool(root: Path, rows: int = 400, apart: float = 0.6, quarantined: Sequence[int] = ()) -> Version:
    """A committed version after ingest; every fourth sample is positive, half of the captions say "woman"."""
    draft = categorised(root, embeddings(rows, apart), quarantined=quarantined)
    start = 0
    for part in draft.parts:
        path = draft.column_path("samples", part)
        table = draft.table("samples").slice(start, part.rows)
        captions = [f"a {'woman' if row % 8 < 4 else 'dog'}, {row}" for row in range(start, start + part.rows)]
        place = SAMPLES.get_field_index("caption")
        path.unlink()
        write_table(path, table.set_column(place, SAMPLES.field(place), pa.array(captions)))
        start += part.rows
    facts = {"parent": None, "previous": None, "run": "r", "gate": [], "code": "c", "created_at": now()}
    return committing.commit(draft, committing.content(draft), {**facts, "complete": False, "inputs": None})


def say(
    lake: Lake,
    labels: Iterable[tuple[int, str]],
    annotator: str = "ada",
    source: str = "import",
    category: str = "knife",
) -> None:
    """Append row → label to the log."""
    entries = [Entry(uid(row), category, label, annotator, now(), source, "") for row, label in labels]
    append(log_path(lake, category), entries)


def truth(rows: Iterable[int], total: int = 400) -> list[tuple[int, str]]:
    known = belongs(total)
    return [(row, str(int(known[row]))) for row in rows]


def answer(lake: Lake, asked: Round, total: int = 400) -> None:
    """Every item of a round, answered as the truth is."""
    known = belongs(total)
    entries = [
        Entry(item.uid, asked.category, str(int(known[int(item.uid, 16)])), "ada", now(), item.arm, asked.model)
        for item in asked.items
    ]
    append(log_path(lake, asked.category), entries)


def recall_of(flagged: np.ndarray, total: int = 400) -> float:
    known = belongs(total)
    return float((flagged & known).sum() / known.sum())
