"""Which samples moved between two versions, from which verdict and reason to which.

Parts whose files both versions share are not read; the rest is matched by uid on DuckDB (sql/lineage/moved.sql). Where
several samples of a version have a uid, the usable one comes first.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks import queries
from tasks.files import read_table
from tasks.lake import Version

EXAMPLES: Final = 5  # samples shown of a move
_DECIDED: Final = pa.schema(
    [
        ("row", pa.int64()),
        ("uid", pa.string()),
        ("verdict", pa.string()),
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("weight", pa.float64()),
    ]
)


def moved(before: Version, after: Version) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The moves, the largest first, and how many samples entered, left, moved and stayed.

    A move: before, after (verdicts; None: not there), reason_before, reason_after ("stage: reason", or empty),
    samples, examples [{uid, caption}].
    """
    shared = _shared(before, after)
    with queries.database({"before": _decided(before, shared), "after": _decided(after, shared)}) as database:
        rows = database.run("lineage", "moved", examples=EXAMPLES).to_pylist()
    in_shared = sum(part.rows for part in after.parts if part.part in shared)
    moves = [row for row in rows if not row["same"]]
    captions = _captions(before, moves) | _captions(after, moves)
    return [_move(move, captions) for move in moves], _totals(rows, before.rows, after.rows, in_shared)


def _totals(rows: list[dict[str, Any]], before: int, after: int, in_shared: int) -> dict[str, int]:
    entered = sum(row["samples"] for row in rows if row["before"] is None)
    left = sum(row["samples"] for row in rows if row["after"] is None)
    unchanged = in_shared + sum(row["samples"] for row in rows if row["same"])
    return {
        "before": before,
        "after": after,
        "entered": entered,
        "left": left,
        "moved": after - entered - unchanged,
        "unchanged": unchanged,
        "weights_changed": sum(row["weights_changed"] for row in rows if None not in (row["before"], row["after"])),
    }


def _move(row: dict[str, Any], captions: dict[str, str | None]) -> dict[str, Any]:
    names = ("before", "reason_before", "after", "reason_after", "samples")
    examples = [{"uid": uid, "caption": captions[uid]} for uid in row["examples"]]
    return {name: row[name] for name in names} | {"examples": examples}


def _shared(before: Version, after: Version) -> set[str]:
    """Parts of both versions whose samples and decisions are the same files, or files of the same content."""
    if before.columns.get("samples") != after.columns.get("samples"):
        return set()
    digest = before.lake.digest
    known = {part.part: before.column_path("decision", part) for part in before.parts}
    here = {part.part: after.column_path("decision", part) for part in after.parts if part.part in known}
    return {part for part, path in here.items() if path == known[part] or digest(path) == digest(known[part])}


def _decided(version: Version, without: set[str]) -> pa.Table:
    """What was decided of the samples of the other parts; `row` is the sample's row in the version."""
    tables, start = [_DECIDED.empty_table()], 0
    for part in version.parts:
        if part.part not in without:
            decision = read_table(version.column_path("decision", part), ["verdict", "stage", "reason", "weight"])
            uid = read_table(version.column_path("samples", part), ["uid"])["uid"]
            row = pa.array(np.arange(start, start + part.rows))
            tables.append(pa.table([row, uid, *decision.columns], schema=_DECIDED))
        start += part.rows
    return pa.concat_tables(tables)


def _captions(version: Version, moves: list[dict[str, Any]]) -> dict[str, str | None]:
    """The captions of the moves' examples that the version has, by uid."""
    wanted = pa.array({uid for move in moves for uid in move["examples"]}, pa.string())
    found: dict[str, str | None] = {}
    for part in version.parts if len(wanted) else ():
        samples = read_table(version.column_path("samples", part), ["uid", "caption"])
        samples = samples.filter(pc.is_in(samples["uid"], wanted))
        found |= dict(zip(samples["uid"].to_pylist(), samples["caption"].to_pylist(), strict=True))
    return found
