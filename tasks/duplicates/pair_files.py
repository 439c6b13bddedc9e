"""The pairs artifact: what a search found, in sample numbers, and what a later search needs to add to it.

pairs.parquet       i, j, similarity, step: near pairs of the samples that stand for their kind, and from these to
                    their copies (step −1)
saturated.parquet   the samples that may have more near ones than are listed
searched.npz        the samples that were compared, and their clusters; methods `probes` and `exact`
centroids.npz       of these clusters; method `probes`
codes.npz           the samples that were usable, and the codes that tell their vectors apart
queried.npz         the exact queries that estimate recall, and what they found
recall.json         what is told of the search
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.duplicates import queried
from tasks.duplicates.candidates import Found
from tasks.duplicates.preferred import NOBODY, Pool
from tasks.duplicates.queried import Queried
from tasks.files import read_table, write_table

if TYPE_CHECKING:
    from tasks.duplicates.increment import Searched

COPY_STEP = -1
SEARCHED = "searched.npz"
CODES, QUERIED = "codes.npz", "queried.npz"


class Known(NamedTuple):
    """An earlier search, seen from the n vectors that there are now; what went away is not in it."""

    pairs: NDArray[np.int64]  # (m, 2), rows, the lower first
    similarity: NDArray[np.float64]  # (m,)
    step: NDArray[np.int8]  # (m,)
    saturated: NDArray[np.int64]  # rows
    row: NDArray[np.int64]  # (k,), the rows that were compared
    home: NDArray[np.int32]  # (k,), their clusters
    gap: NDArray[np.float32]  # (k,)
    trained: int  # vectors that there were when the centroids were trained
    reach: float  # at which all were searched then
    folder: Path  # of the earlier artifact
    queried: Queried | None  # None where a vector went away


def write_pairs(folder: Path, pool: Pool, searched: Searched) -> None:
    """Near pairs between the samples that stand for their kind, and from these to their copies, in sample numbers."""
    found, first = searched.found, pool.stored.number
    copy = np.flatnonzero(first[pool.kind] != pool.sample)
    copies = np.column_stack([first[pool.kind[copy]], pool.sample[copy]])
    pairs = np.sort(np.concatenate([first[found.pairs], copies]), axis=1)
    similarity = np.concatenate([found.similarity, np.ones(len(copies))])
    step = np.concatenate([found.step, np.full(len(copies), COPY_STEP, np.int8)])
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    columns = {"i": pairs[order, 0], "j": pairs[order, 1], "similarity": similarity[order], "step": step[order]}
    write_table(folder / "pairs.parquet", pa.table(columns))
    write_table(folder / "saturated.parquet", pa.table({"sample": first[found.saturated]}))
    if found.assigned is not None:
        clusters = {"home": found.assigned.home, "gap": found.assigned.gap}
        how = {"trained": np.array(searched.trained), "reach": np.array(searched.reach)}
        np.savez(folder / SEARCHED, allow_pickle=False, sample=first, **clusters, **how)


def write_codes(folder: Path, pool: Pool) -> None:
    np.savez(folder / CODES, allow_pickle=False, sample=pool.sample, code=pool.code)


def read_codes(folder: Path, number: NDArray[np.int64], rows: int) -> NDArray[np.uint64]:
    """Of a version's samples, 0 of those that the earlier one had not. (rows, 2); `number` as in read_known."""
    code = np.zeros((rows, 2), np.uint64)
    with np.load(folder / CODES) as file:
        sample, known = number[file["sample"]], file["code"]
    there = sample != NOBODY
    code[sample[there]] = known[there]
    return code


def read_pairs(folder: Path, pool: Pool) -> tuple[Found, dict[str, Any]]:
    """The pairs of kinds, and what is told of their search."""
    table = read_table(folder / "pairs.parquet")
    kind = np.full(int(pool.sample.max(initial=-1)) + 1, NOBODY, dtype=np.int64)
    kind[pool.sample] = pool.kind
    pairs = np.sort(np.column_stack([kind[np.asarray(table["i"])], kind[np.asarray(table["j"])]]), axis=1)
    near = pairs[:, 0] != pairs[:, 1]
    saturated = np.zeros(pool.kinds, np.bool_)
    saturated[kind[np.asarray(read_table(folder / "saturated.parquet")["sample"])]] = True
    told = json.loads((folder / "recall.json").read_text("utf-8"))
    found = Found(pairs[near], np.asarray(table["similarity"])[near], saturated, np.asarray(table["step"])[near])
    return found, told


def read_known(folder: Path, pool: Pool, number: NDArray[np.int64]) -> Known | None:
    """What an earlier search knows of the vectors of this pool; None where later vectors cannot be added to it.

    `number` is the number that each sample has now, NOBODY where it went away. A sample that stood for its kind and no
    longer does is not known: its vector and that of the one in its place may differ.
    """
    if not (folder / SEARCHED).exists():
        return None
    row = np.full(max(int(number.max(initial=-1)), int(pool.sample.max(initial=-1))) + 2, NOBODY)
    row[pool.stored.number] = np.arange(pool.kinds)
    row = row[number]  # by earlier number; the last entry, NOBODY, is that of NOBODY
    table = read_table(folder / "pairs.parquet")
    pairs = np.sort(np.column_stack([row[np.asarray(table["i"])], row[np.asarray(table["j"])]]), axis=1)
    here = (pairs[:, 0] != NOBODY) & (np.asarray(table["step"]) != COPY_STEP)
    saturated = row[np.asarray(read_table(folder / "saturated.parquet")["sample"])]
    with np.load(folder / SEARCHED) as file:
        rows, trained, reach = row[file["sample"]], int(file["trained"]), float(file["reach"])
        home, gap = file["home"], file["gap"]
    there = rows != NOBODY
    return Known(
        pairs[here],
        np.asarray(table["similarity"])[here],
        np.asarray(table["step"])[here],
        saturated[saturated != NOBODY],
        rows[there],
        home[there],
        gap[there],
        trained,
        reach,
        folder,
        queried.load(folder / QUERIED) if there.all() else None,
    )
