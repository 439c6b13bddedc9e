"""Near pairs within clusters: those at home in a cluster with each other, and with those that visit it.

A vector's row number is its rank; in a cluster the preferred come first. A vector that has found PAIRS_PER_SAMPLE near
ones there, the preferred ones, is compared no further in it and is said to be cut: a crowd of n near copies costs time
and memory in proportion to n.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.duplicates import products
from tasks.duplicates.assignment import Assigned, by_label
from tasks.duplicates.exact_queries import cosines_of
from tasks.duplicates.products import Passed, Screened, screened, space_again
from tasks.duplicates.stored import MapParts, Stored, gather, gather_again, opened

PAIRS_PER_SAMPLE = 64
WHOLE = 8_192  # vectors that are compared with a cluster at a time; products are at most WHOLE × COLUMNS
COLUMNS = 4_096
FIRST = 1_024  # columns of the first product of a large cluster: in a crowd each row finds enough among them
FILES = 256  # as many tasks go to a worker at a time as there are times so many files: each time their names go along
TASK = 4_096  # vectors of one task, those at home in its clusters and those that visit these


class Near(NamedTuple):
    """Verified pairs of rows."""

    pairs: NDArray[np.int64]  # (m, 2)
    similarity: NDArray[np.float64]  # (m,), cosine, rounded
    step: NDArray[np.int8]  # (m,), 0 where both are at home in the cluster, else how far down the visit was
    cut: NDArray[np.int64]  # rows that were compared no further


class Cluster(NamedTuple):
    """Who is compared in one cluster."""

    home: NDArray[np.int64]  # (h,), rows at home in it
    visitor: NDArray[np.int64]  # (v,), rows that visit it
    step: NDArray[np.int8]  # (v,), of the visit
    known: int  # of them that have been compared with each other

    @property
    def size(self) -> int:
        return len(self.home) + len(self.visitor)


class Work(NamedTuple):
    """One block of a cluster's comparison, in places of the task's vectors."""

    start: int  # of the cluster: those at home in it, then those that visit it
    size: int  # at home in it
    first: int  # of the rows that are compared, counted from the start
    stop: int  # behind them


class Task(NamedTuple):
    """Clusters that are compared by one worker, one after the other."""

    vectors: Stored  # (m,), cluster by cluster
    rank: NDArray[np.int64]  # (m,)
    step: NDArray[np.int8]  # (m,), of the visit; 0 for those at home
    threshold: float
    work: list[Work]


def compare(vectors: Stored, assigned: Assigned, threshold: float, map_parts: MapParts) -> list[Near]:
    """Near pairs in all clusters."""
    every, together = list(tasks(vectors, assigned, threshold)), 1 + len(vectors.files) // FILES
    jobs = [every[start : start + together] for start in range(0, len(every), together)]
    return [near for found in map_parts(compare_tasks, jobs) for near in found]


def tasks(vectors: Stored, assigned: Assigned, threshold: float) -> Iterator[Task]:
    """Clusters together up to TASK vectors; a cluster larger than that in several tasks."""
    held: list[Cluster] = []
    room = TASK
    for cluster in _clusters(assigned):
        if held and cluster.size > room:
            yield _together(vectors, held, threshold)
            held, room = [], TASK
        if cluster.size > TASK:
            task = _together(vectors, [cluster], threshold)
            yield from (_until(block, task) for block in task.work)
        else:
            held.append(cluster)
            room -= cluster.size
    if held:
        yield _together(vectors, held, threshold)


def _clusters(assigned: Assigned) -> Iterator[Cluster]:
    """Those in which there is something to compare."""
    order = by_label(assigned.home)
    homes = np.cumsum(np.bincount(assigned.home + 1))
    visits = np.searchsorted(assigned.visited, np.arange(len(homes)))
    for number, (home, guests) in enumerate(zip(pairwise(homes.tolist()), pairwise(visits.tolist()), strict=True)):
        known = home[1] - home[0] if number < assigned.compared else 0
        cluster = Cluster(order[slice(*home)], assigned.visitor[slice(*guests)], assigned.step[slice(*guests)], known)
        if len(cluster.home) and cluster.size > known:
            yield cluster


def _together(vectors: Stored, held: list[Cluster], threshold: float) -> Task:
    """Their vectors one after the other."""
    rank = np.concatenate([rows for one in held for rows in (one.home, one.visitor)])
    step = np.concatenate([steps for one in held for steps in (np.zeros(len(one.home), np.int8), one.step)])
    starts = accumulate((one.size for one in held), initial=0)
    work = [
        Work(start, len(one.home), first, min(first + WHOLE, one.size))
        for start, one in zip(starts, held, strict=False)
        for first in range(one.known, one.size, WHOLE)
    ]
    return Task(vectors._replace(number=vectors.number[rank]), rank, step, threshold, work)


def _until(block: Work, task: Task) -> Task:
    """The task of that block alone, without the vectors behind it: its rows are compared with those before them."""
    stop = block.start + block.stop
    vectors = task.vectors._replace(number=task.vectors.number[:stop])
    return Task(vectors, task.rank[:stop], task.step[:stop], task.threshold, [block])


class AtHand(NamedTuple):
    """Vectors of a task, all in memory."""

    every: Screened

    def part(self, start: int, stop: int) -> Screened:
        return self.every.part(start, stop)

    def cosines(self, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
        return products.cosines(self.every.stored, pairs[:, 0], self.every.stored, pairs[:, 1])


class Afar(NamedTuple):
    """Vectors of a task that are too many for that: they are read as they are needed."""

    vectors: Stored

    def part(self, start: int, stop: int) -> Screened:
        import torch

        return screened(torch.from_numpy(gather(self.vectors, np.arange(start, stop))))

    def cosines(self, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
        return cosines_of(self.vectors, pairs)


def compare_tasks(job: list[Task]) -> list[Near]:
    """The near pairs of each task; all have the same files."""
    files = opened(job[0].vectors).files
    return [compare_task(task._replace(vectors=task.vectors._replace(files=files))) for task in job]


def compare_task(task: Task) -> Near:
    """The near pairs of its clusters, each once a cluster."""
    vectors, n = opened(task.vectors), len(task.rank)
    held = AtHand(screened(gather_again(vectors, np.arange(n)), space_again)) if n <= TASK else Afar(vectors)
    found = [_compare(work, held, task.threshold) for work in task.work]
    pairs, cut = np.concatenate([pairs for pairs, _ in found]), np.concatenate([cut for _, cut in found])
    cosine = held.cosines(pairs)
    upheld = cosine >= task.threshold
    pairs, cosine = pairs[upheld], cosine[upheld]
    return Near(np.sort(task.rank[pairs], axis=1), cosine, task.step[pairs[:, 0]], task.rank[cut])


def _compare(work: Work, held: AtHand | Afar, threshold: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of pairs that may be near, (m, 2), a row and one before it or one that it visits; and of those cut."""
    first, stop = work.start + work.first, work.start + work.stop
    until = np.minimum(np.arange(work.first, work.stop), work.size)
    columns = ((begin, held.part(work.start + begin, work.start + end)) for begin, end in _blocks(work))
    row, column, cut = _passed(held.part(first, stop), until, columns, threshold)
    return np.column_stack([row + first, column + work.start]), cut + first


def _blocks(work: Work) -> Iterator[tuple[int, int]]:
    """Where each block of those at home begins and ends, as far as any row is compared."""
    end = min(work.stop, work.size)
    return pairwise([0, *(range(FIRST, end, COLUMNS) if end > 2 * FIRST else ()), end])


def _passed(
    rows: Screened, until: NDArray[np.int64], columns: Iterator[tuple[int, Screened]], threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of what may be near, with column < until[row], where `until` (m,) ascends; and the rows cut."""
    room, here = np.full(len(until), PAIRS_PER_SAMPLE), np.arange(len(until))
    found = [(here[:0], here[:0])]
    for begin, block in columns:
        whole = len(here) == len(until)
        passed = products.near(rows if whole else rows.some(here), block, threshold, until[here] - begin)
        row, column, room[here] = _within(passed, room[here])
        found.append((here[row], column + begin))
        here = here[room[here] > 0]
        if len(here) == 0:
            break
    row, column = (np.concatenate(field) for field in zip(*found, strict=True))
    return row, column, np.flatnonzero(room <= 0)


def _within(passed: Passed, room: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """Row and column of what passed, without what comes after a row's `room` of sure ones; and the room left."""
    row, column, certain = passed
    counts = np.bincount(row[certain], minlength=len(room))
    if (counts > room).any():
        before = certain.cumsum() - certain - (counts.cumsum() - counts)[row]  # sure ones of the same row
        stay = before < room[row]
        row, column = row[stay], column[stay]
    return row, column, np.maximum(room - counts, 0)
