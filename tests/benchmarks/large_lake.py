"""A lake of any size in a minute: one shard of drawn images that ingest reads, and others whose columns are made up.

Captions are of made-up words, their frequencies as in language; uids, scores and decisions are random. Three versions:
what ingest left, and two that filtered and deduplicated at different thresholds and were audited.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks import audit, committing
from tasks.files import write_json, write_table
from tasks.lake import Part, Version
from tasks.samples import DECISION, SAMPLES, SCORE
from tests.drawn_pool import draw_pool
from tests.tasks.decided_pool import ingested, serial

WORDS = 50_000
CATEGORY = "violence"
RUNS = ("00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002")


def made_lake(folder: Path, rows: int, rows_of_part: int = 10_000) -> Version:
    """A lake at folder/lake with about `rows` samples; returns its newest version."""
    draw_pool(folder / "pool", rows_of_part, shard_rows=rows_of_part, side=32)
    first = ingested(folder / "lake", folder / "pool")
    parts = [*first.parts, *(_part(i, rows_of_part) for i in range(1, -(-rows // rows_of_part)))]
    draft = dataclasses.replace(first, parts=tuple(parts))
    for i, part in enumerate(parts):
        if i:
            write_table(draft.column_path("samples", part), _samples(part, i))
    ingest = dataclasses.replace(draft, columns={**draft.columns, "decision": "d0"})
    _decide(ingest, "d0", None)
    versions = [committed(ingest, RUNS[0], complete=False)]
    for number, threshold in enumerate((0.98, 0.96), 1):
        made = ingest.derive("dedup", columns={"decision": f"d{number}", f"score.{CATEGORY}": "s"})
        _decide(made, f"d{number}", threshold)
        made = audit.run(made, audit.Config(), serial)
        versions.append(committed(made, RUNS[number - 1], complete=True))
    return versions[-1]


def committed(draft: Version, run: str, *, complete: bool) -> Version:
    """The draft as the lake's next version."""
    newest = draft.lake.latest()
    facts: dict[str, Any] = {
        "parent": None, "previous": newest.number if newest else None, "run": run, "gate": [], "code": None,
        "created_at": f"2026-01-{1 + len(draft.lake.numbers()) % 28:02d}T08:00:00+00:00", "complete": complete,
        "inputs": {},
    }  # fmt: skip
    record = {
        "id": run, "pool": "small", "source": "pool", "started_at": "2026-01-01T08:00:00+00:00",
        "ended_at": "2026-01-01T09:00:00+00:00", "status": "done", "stage": None, "error": None, "versions": [],
        "gate": [],
    }  # fmt: skip
    write_json(draft.lake.home / "runs" / f"{run}.json", record)
    return committing.commit(draft, committing.content(draft), facts)


def _part(number: int, rows: int) -> Part:
    return Part(part=f"{number:016x}", path=f"{number:05d}.tar", digest=f"{number:064x}", rows=rows)


def _samples(part: Part, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    text = rng.bytes(16 * part.rows).hex()
    keys = [f"{seed:05d}{row:04d}" for row in range(part.rows)]
    return pa.table(
        {
            "uid": [text[32 * i : 32 * i + 32] for i in range(part.rows)],
            "key": keys,
            "member": [f"{key}.jpg" for key in keys],
            "offset": np.arange(part.rows) * 65_536 + 512,
            "caption": captions(rng, part.rows),
            "width": rng.integers(200, 2_000, part.rows),
            "height": rng.integers(200, 2_000, part.rows),
            "sha256": [None] * part.rows,
            "status": ["ok"] * part.rows,
            "reason": [None] * part.rows,
        },
        schema=SAMPLES,
    )


def captions(rng: np.random.Generator, rows: int, length: int = 9) -> list[str]:
    """Captions of `length` words: the one of rank r about once in r."""
    ranks = np.minimum(rng.zipf(1.2, (rows, length)), WORDS)
    return [" ".join(map(_word, row)) for row in ranks.tolist()]


def _word(rank: int) -> str:
    """word17 → a word of letters: 17 in base 20 by consonant and vowel."""
    letters = ""
    while rank:
        rank, place = divmod(rank, 100)
        letters += "bcdfghjklmnprstvwxyz"[place // 5] + "aeiou"[place % 5]
    return letters


def _decide(version: Version, key: str, threshold: float | None) -> None:
    """Scores as they are for every threshold, and what a threshold makes of them; 5% are near-duplicates."""
    for i, part in enumerate(version.parts):
        rng = np.random.default_rng(1_000_000 + i)
        scores, copies = rng.beta(0.3, 4.0, part.rows).astype(np.float32), rng.random(part.rows) < 0.05
        filtered = scores >= np.float32(2.0 if threshold is None else threshold - 0.4)
        duplicate = copies & ~filtered & (threshold is not None)
        write_table(version.lake.column_path("decision", key, part.part), _decision(filtered, duplicate, rng))
        write_table(version.lake.column_path(f"score.{CATEGORY}", "s", part.part), pa.table([scores], schema=SCORE))


def _decision(filtered: np.ndarray, duplicate: np.ndarray, rng: np.random.Generator) -> pa.Table:
    rows, kept = len(filtered), ~filtered & ~duplicate
    verdicts = np.select([filtered, duplicate], ["filtered", "duplicate"], "kept")
    stages = np.select([filtered, duplicate], ["filter", "dedup"], "")
    reasons = np.select([filtered, duplicate], [f"{CATEGORY}: score", "near-duplicate"], "")
    return pa.table(
        {
            "verdict": verdicts,
            "stage": pa.array(stages, mask=kept),
            "reason": pa.array(reasons, mask=kept),
            "duplicate_of": pa.array(["0" * 32] * rows, mask=~duplicate),
            "duplicate_similarity": pa.array(rng.uniform(0.95, 1, rows).astype(np.float32), mask=~duplicate),
            "weight": pa.array(rng.lognormal(0, 0.2, rows), mask=~kept),
        },
        schema=DECISION,
    )
