"""Near pairs within clusters: those at home in a cluster with each other, and with those that visit it.

A vector's row number is its rank. Vectors are laid out cluster by cluster, the preferred first. A vector that has found
PAIRS_PER_SAMPLE near ones in a cluster, the preferred ones, is compared no further there and is said to be cut: a crowd
of n near copies costs time and memory in proportion to n.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.duplicates import products
from tasks.duplicates.assignment import Assigned
from tasks.duplicates.products import Passed, Screened
from tasks.duplicates.stored import MapParts, Stored, lay_out

if TYPE_CHECKING:
    from torch import Tensor

PAIRS_PER_SAMPLE = 64
WHOLE = 8_192  # vectors that are compared with a cluster at a time; products are at most WHOLE × COLUMNS
COLUMNS = 4_096
FIRST = 1_024  # columns of the first product of a large cluster: in a crowd each row finds enough among them
TASK = 8_192  # vectors at home in the clusters of one task


class Near(NamedTuple):
    """Verified pairs of rows."""

    pairs: NDArray[np.int64]  # (m, 2)
    similarity: NDArray[np.float64]  # (m,), cosine, rounded
    step: NDArray[np.int8]  # (m,), 0 where both are at home in the cluster, else how far down the visit was
    cut: NDArray[np.int64]  # rows that were compared no further


class Work(NamedTuple):
    """One block of a cluster's comparison, in places of the file that is laid out."""

    start: int  # of the cluster's home places
    size: int  # at home in the cluster
    first: int  # of the rows that are compared: of those at home, and after them of the visitors
    visitor: NDArray[np.int64]  # rank of each visitor
    place: NDArray[np.int64]  # of each visitor
    step: NDArray[np.int8]  # of each visitor


class Batch(NamedTuple):
    """What one task does: clusters that lie beside each other."""

    file: Path
    threshold: float
    norms: float  # largest norm error of the vectors
    start: int  # first place of its clusters
    rank: NDArray[np.int64]  # of the places from there on
    work: list[Work]


class Hits(NamedTuple):
    """Verified pairs of a row and a column."""

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    similarity: NDArray[np.float64]


def compare(vectors: Stored, assigned: Assigned, threshold: float, folder: Path, map_parts: MapParts) -> list[Near]:
    """Near pairs in all clusters. The laid-out vectors lie in the folder while it lasts: 2·n·d bytes."""
    order = np.argsort(assigned.home, kind="stable")
    file = folder / "by-cluster.npy"
    norms = lay_out(vectors, order, file)
    found = map_parts(compare_batch, list(batches(Batch(file, threshold, norms, 0, order, []), assigned)))
    file.unlink()
    return found


def batches(whole: Batch, assigned: Assigned) -> Iterator[Batch]:
    """Clusters together up to TASK vectors at home; a cluster larger than that in several batches."""
    order = whole.rank
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    sizes = np.bincount(assigned.home)
    starts = np.cumsum([0, *sizes])
    visits = np.searchsorted(assigned.visited, np.arange(len(sizes) + 1))
    held: list[Work] = []
    begin = 0
    for cluster, size in enumerate(sizes.tolist()):
        start, some = int(starts[cluster]), slice(visits[cluster], visits[cluster + 1])
        if held and start + size - begin > TASK:
            yield whole._replace(start=begin, rank=order[begin:start], work=held)
            held = []
        if not held:
            begin = start
        visitor = assigned.visitor[some]
        begins = size if cluster < assigned.compared else 0
        for first in range(begins, size + len(visitor), WHOLE) if size else ():
            held.append(Work(start, size, first, visitor, place[visitor], assigned.step[some]))
            if size > TASK:
                yield whole._replace(start=start, rank=order[start : start + size], work=held)
                held = []
    if held:
        yield whole._replace(start=begin, rank=order[begin:], work=held)


def compare_batch(batch: Batch) -> Near:
    """The near pairs of its clusters, each once a cluster."""
    laid_out = np.load(batch.file, mmap_mode="r")
    found = [_compare(laid_out, batch, work) for work in batch.work]
    return Near(*(np.concatenate(field) for field in zip(*found, strict=True)))


def _compare(laid_out: NDArray[np.floating[Any]], batch: Batch, work: Work) -> Near:
    home = np.arange(work.first, min(work.first + WHOLE, work.size))
    guest = slice(max(work.first - work.size, 0), max(work.first + WHOLE - work.size, 0))
    rows = _screened(laid_out, np.concatenate([work.start + home, work.place[guest]]))
    until = np.concatenate([home, np.full(len(work.place[guest]), work.size)])
    shared = rows.part(0, work.size) if len(home) == work.size <= 2 * FIRST else None
    hits, cut = _hits(rows, until, _columns(laid_out, work, until, shared), batch)
    ranks = batch.rank[work.start - batch.start :][: work.size]
    rank = np.concatenate([ranks[home], work.visitor[guest]])
    step = np.concatenate([np.zeros(len(home), np.int8), work.step[guest]])
    pairs = np.sort(np.column_stack([rank[hits.row], ranks[hits.column]]), axis=1)
    return Near(pairs, hits.similarity, step[hits.row], rank[cut])


def _columns(
    laid_out: NDArray[np.floating[Any]], work: Work, until: NDArray[np.int64], shared: Screened | None
) -> Iterator[tuple[int, Screened]]:
    """(place within the cluster, vectors at home in it) block by block, as far as any row is compared."""
    if shared is not None:
        yield 0, shared
        return
    end = int(until.max(initial=0))
    edges = [0, *range(FIRST, end, COLUMNS), end]
    for begin, stop in pairwise(edges):
        yield begin, _screened(laid_out, work.start + np.arange(begin, stop))


def _screened(laid_out: NDArray[np.floating[Any]], places: NDArray[np.int64]) -> Screened:
    import torch

    return products.screened(torch.from_numpy(np.asarray(laid_out[places])))


def _hits(
    rows: Screened, until: NDArray[np.int64], columns: Iterator[tuple[int, Screened]], batch: Batch
) -> tuple[Hits, NDArray[np.bool_]]:
    """Verified pairs with column < until[row], where `until` (m,) ascends; and which of the rows were cut. (m,)"""
    import torch

    bound = torch.from_numpy(until)
    room, here = torch.full((len(until),), PAIRS_PER_SAMPLE), torch.arange(len(until))
    found = [Hits(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
    for begin, block in columns:
        mine = Screened(rows.stored[here], rows.fast[here]) if len(here) < len(until) else rows
        passed = products.near(mine, block, batch.threshold, batch.norms, bound[here] - begin)
        row, column, room[here] = _within(passed, batch.threshold, room[here])
        cosine = products.cosines(mine.stored, row, block.stored, column)
        upheld = cosine >= batch.threshold
        found.append(Hits(here[row].numpy()[upheld], column.numpy()[upheld] + begin, cosine[upheld]))
        here = here[room[here] > 0]
        if len(here) == 0:
            break
    return Hits(*(np.concatenate(field) for field in zip(*found, strict=True))), (room <= 0).numpy()


def _within(passed: Passed, threshold: float, room: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Row and column of what passed, without what comes after a row's `room` of sure ones; and the room left."""
    import torch

    row, column = passed.row, passed.column
    certain = passed.similarity >= threshold + passed.slack
    counts = torch.bincount(row[certain], minlength=len(room))
    if bool((counts > room).any()):
        first = torch.searchsorted(row, torch.arange(len(room)))
        before = certain.cumsum(0) - certain.long()
        stay = before - before[first.clamp(max=len(row) - 1)][row] < room[row]
        row, column = row[stay], column[stay]
    return row, column, (room - counts).clamp(min=0)
