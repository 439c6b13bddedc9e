"""Near-duplicates by an Annoy forest: a union of random clusterings, as deep as it needs to be for a recall.

The vectors are centred, or the cone that they lie in would be cut through the origin. Queries whose near vectors are
known by comparing them with all say how many trees and which search_k reach the recall.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks import neighbors
from tasks.duplicates.exact_queries import cosines_of, near_to
from tasks.duplicates.near_pairs import PAIRS_PER_SAMPLE, Near
from tasks.duplicates.products import SLACK
from tasks.duplicates.stored import Chunk, MapParts, Stored, chunks, gather, read
from tasks.neighbors import nearest

QUERIES = 1_000  # whose near vectors are known
TREES, SEARCH_K = (10, 20, 40), (100, 200, 400, 800, 1600, 3200)
FIRST = 16  # neighbours asked for at first


class Forest(NamedTuple):
    """Where the index lies, how it is asked, and what for."""

    file: Path
    search_k: int
    threshold: float
    dim: int


def near(vectors: Stored, threshold: float, recall: float, seed: int, folder: Path, map_parts: MapParts) -> list[Near]:
    """Verified pairs. Annoy needs all vectors in memory as float32 while it builds."""
    n = len(vectors.number)
    asked = np.sort(np.random.default_rng(seed).choice(n, min(n, QUERIES), replace=False))
    known = near_to(vectors, asked, threshold, map_parts)[0]
    known = known[np.bincount(known[:, 0], minlength=n)[known[:, 0]] < PAIRS_PER_SAMPLE]  # of others not all are asked
    forest = _grow(vectors, known, Forest(folder / "forest.ann", 0, threshold, vectors.dim), recall, seed)
    found = map_parts(partial(_ask, forest, n), chunks(vectors))
    forest.file.unlink()
    return [_verified(vectors, part, threshold) for part in found]


def _grow(vectors: Stored, known: NDArray[np.int64], forest: Forest, recall: float, seed: int) -> Forest:
    """The fewest trees and the least search_k that find that share of the known pairs; the most where none does."""
    rows = gather(vectors, np.arange(len(vectors.number)))
    queries = np.unique(known[:, 0])
    for trees in TREES:
        index = neighbors.build(rows, trees, seed)
        for search_k in SEARCH_K:
            ids = nearest(index, rows[queries], PAIRS_PER_SAMPLE, search_k).ids
            place = np.searchsorted(queries, known[:, 0])
            if not len(known) or (ids[place] == known[:, 1, None]).any(axis=1).mean() >= recall:
                neighbors.save(index, forest.file)
                return forest._replace(search_k=search_k)
    neighbors.save(index, forest.file)
    return forest._replace(search_k=SEARCH_K[-1])


def _ask(forest: Forest, n: int, chunk: Chunk) -> Near:
    """The near rows of each of a chunk, twice as many for one all of whose neighbours are near, up to a limit."""
    index = neighbors.load(forest.file, forest.dim)
    reach = np.sqrt(2 - 2 * (forest.threshold - SLACK))
    rows, here, k, pairs = read(chunk).astype(np.float32), np.arange(len(chunk.rows)), FIRST, []
    while len(here):
        found = nearest(index, rows[here], k, search_k=max(forest.search_k, 4 * k))
        apart = (found.distances <= reach) & (found.ids != chunk.rows[here, None])
        row, rank = apart.nonzero()
        pairs.append(np.column_stack([chunk.rows[here[row]], found.ids[row, rank], np.full(len(row), k)]))
        full = found.distances[:, -1] <= reach
        if k >= 2 * PAIRS_PER_SAMPLE:
            break
        here, k = here[full], 2 * k
    cut = chunk.rows[here[full]] if len(here) else np.empty(0, np.int64)
    every = np.concatenate(pairs)
    step = np.log2(every[:, 2] / FIRST).astype(np.int8)
    return Near(np.sort(every[:, :2], axis=1), np.empty(0), step, cut)


def _verified(vectors: Stored, part: Near, threshold: float) -> Near:
    pairs, first = np.unique(part.pairs, axis=0, return_index=True)
    similarity = cosines_of(vectors, pairs)
    upheld = similarity >= threshold
    return Near(pairs[upheld], similarity[upheld], part.step[first][upheld], part.cut)
