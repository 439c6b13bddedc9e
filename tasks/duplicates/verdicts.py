"""What became of each sample: its verdict, and the group of near-duplicates that it is in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.duplicates.preferred import NOBODY, Pool
from tasks.duplicates.survivors import Settled, groups
from tasks.samples import DUPLICATE, FILTERED

NEAR, COPY = "near-duplicate", "exact copy"
CAPTIONS, UIDS = 5, 30  # of a group's portrait


def refuse(decision: pa.Table, sample: NDArray[np.int64], reason: str) -> pa.Table:
    """The decision table with those samples filtered by this stage."""
    news = {"verdict": FILTERED, "stage": "dedup", "reason": reason}
    return replaced(decision, sample, {name: pa.repeat(value, len(sample)) for name, value in news.items()})


def decide(decision: pa.Table, pool: Pool, settled: Settled) -> pa.Table:
    """The decision table of the whole version, with the removed samples as duplicates of their survivor."""
    representative, similarity = representatives(pool, settled)
    removed = removals(pool, representative)
    survivor = pa.array(representative[removed])
    digest, uid = pool.table["sha256"].combine_chunks(), pool.table["uid"].combine_chunks()
    copied = pc.equal(digest.take(pa.array(removed)), digest.take(survivor))
    news = {
        "verdict": pa.repeat(DUPLICATE, len(removed)),
        "stage": pa.repeat("dedup", len(removed)),
        "reason": pc.if_else(copied, COPY, NEAR),
        "duplicate_of": uid.take(survivor),
        "duplicate_similarity": pa.array(similarity[removed], pa.float32()),
    }
    return replaced(decision, pool.sample[removed], news)


def replaced(decision: pa.Table, sample: NDArray[np.int64], news: dict[str, pa.Array]) -> pa.Table:
    """The decision table with those samples' new values of some columns."""
    order = np.argsort(sample)
    mask = np.zeros(len(decision), np.bool_)
    mask[sample] = True
    for name, values in news.items():
        place, field = decision.schema.get_field_index(name), decision.schema.field(name)
        column = decision[name].combine_chunks()
        column = pc.replace_with_mask(column, pa.array(mask), values.cast(field.type).take(pa.array(order)))
        decision = decision.set_column(place, field, column)
    return decision


def removals(pool: Pool, representative: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows that the filter kept and another stands for."""
    row = np.arange(len(pool.sample))
    return row[pool.kept & (representative != row) & (representative != NOBODY)]


def representatives(pool: Pool, settled: Settled) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The surviving sample near to each of n, itself where it survives, NOBODY where none is; and the cosine."""
    kind = settled.survivor[pool.kind]
    representative = np.where(kind == NOBODY, NOBODY, pool.leaders()[kind])
    return representative, settled.similarity[pool.kind]


def group_table(pool: Pool, settled: Settled) -> pa.Table:
    """One row a member of a group of two samples or more: the largest group first, in it the preferred member first."""
    number = groups(settled)[pool.kind]
    _, first, number, size = np.unique(number, return_index=True, return_inverse=True, return_counts=True)
    place = np.empty(len(size), dtype=np.int64)
    place[np.lexsort((first, -size))] = np.arange(len(size))
    member = np.flatnonzero(size[number] > 1)
    member = member[np.argsort(place[number[member]], kind="stable")]
    representative, similarity = representatives(pool, settled)
    uid = pool.table["uid"].combine_chunks()
    nobody = representative[member] == NOBODY
    return pa.table(
        {
            "group": pa.array(place[number[member]]),
            "uid": uid.take(member),
            "caption": pool.table["caption"].take(member),
            "representative": uid.take(pa.array(representative[member], mask=nobody)),
            "similarity": pa.array(similarity[member], pa.float32(), mask=nobody),
            "verdict": pool.table["verdict"].take(member),
        }
    )


def portrait(group: pa.Table) -> dict[str, Any]:
    """A group as the report shows it: the preferred members, and what they are said to be."""
    captions = [caption for caption in dict.fromkeys(group["caption"].to_pylist()) if caption]
    return {
        "size": len(group),
        "captions": captions[:CAPTIONS],
        "uids": group["uid"].slice(0, UIDS).to_pylist(),
    }
