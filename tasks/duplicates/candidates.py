"""Pairs of near-duplicates, found by one of several searches behind one interface, each pair verified exactly.

The article compares images only within the K clusters of a clustering: one found 85% of its pairs, the union over
five clusterings of different random subsets 97%. `clusters` does that. `probes` uses one clustering and compares a
point also in the next-nearest clusters when it lies near a boundary: better recall at a fraction of the cost.
`annoy` asks a forest, `exact` compares all.

A row's number is its rank: lower rows are preferred. A row keeps at most PAIRS_PER_SAMPLE near rows below it, the
lowest ones, and is then `saturated`, so that a crowd of n near copies costs time and memory in proportion to n.

Results do not depend on the number of workers: work is cut by the vectors and not by who does it, each product is made
on one thread, and every pair is decided by a cosine in float64 from the stored vectors, rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.duplicates import centroids, forest, near_pairs, probing
from tasks.duplicates.assignment import Assigned, Reach, assign, ranks
from tasks.duplicates.centroids import Plan
from tasks.duplicates.clustering import parallel
from tasks.duplicates.near_pairs import Near
from tasks.duplicates.products import DECIMALS, SLACK
from tasks.duplicates.stored import MapParts, Stored, stored

__all__ = ["DECIMALS", "METHODS", "SLACK", "Found", "Search", "find"]


@dataclass(frozen=True)
class Search:
    """What to search for, and how hard."""

    threshold: float  # cosine
    clusters: int | None = None  # K; None: from n
    clusterings: int = 5  # of method `clusters`
    recall: float = 0.999  # of pairs; `annoy` chooses trees and search_k for it, `probes` how wide to visit
    reach: float = probing.REACHES[0]  # of method `probes`
    seed: int = 0


class Found(NamedTuple):
    """Verified pairs of n vectors, each once, sorted."""

    pairs: NDArray[np.int64]  # (m, 2), the lower row first
    similarity: NDArray[np.float64]  # (m,), cosine, rounded
    saturated: NDArray[np.bool_]  # (n,), the rows that may have more near rows than were kept
    step: NDArray[np.int8]  # (m,), the first probe, clustering or round of questions that found it, from 0
    gap: NDArray[np.float32] | None = None  # (n,), the larger, the farther is the first cluster not probed
    assigned: Assigned | None = None  # the clusters of one clustering, to which later vectors can be added


class Candidates(NamedTuple):
    """What a method found: verified pairs, which may repeat."""

    near: list[Near]
    gap: NDArray[np.float32] | None = None
    assigned: Assigned | None = None


def find(
    vectors: Stored | NDArray[np.floating[Any]],
    method: str,
    search: Search,
    folder: Path | None = None,
    map_parts: MapParts = parallel,
) -> Found:
    """Near-duplicates among n distinct float16 or float32 vectors of about unit norm, the preferred first.

    `method` is one of METHODS. The vectors are read in blocks, never in memory as a whole, but for `annoy`; the folder
    (by default a temporary one) is for what the search leaves. Memory: 26 bytes a pair, 40 a vector.
    METHODS.md, section 3.
    """
    rows = vectors if isinstance(vectors, Stored) else stored([vectors])
    n = len(rows.number)
    if n < 2:
        return Found(np.empty((0, 2), np.int64), np.empty(0), np.zeros(n, np.bool_), np.empty(0, np.int8))
    with nullcontext(folder) if folder else TemporaryDirectory() as place:
        candidates = METHODS[method](rows, search, Path(place), map_parts)
    return each_once(candidates, n)


def exact(vectors: Stored, search: Search, folder: Path, map_parts: MapParts) -> Candidates:
    """All rows with all rows: n²/2 comparisons."""
    n = len(vectors.number)
    nobody = np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int8)
    together = Assigned(np.zeros(n, np.int32), *nobody, np.zeros(n, np.float32))
    return Candidates(near_pairs.compare(vectors, together, search.threshold, map_parts), assigned=together)


def clusters(vectors: Stored, search: Search, folder: Path, map_parts: MapParts) -> Candidates:
    """The article's: the union over `clusterings` of different random subsets, compared within clusters only."""
    n, near = len(vectors.number), []
    k = search.clusters or (1 if n <= probing.ALL_TO_ALL else round(2 * n**0.5))
    for number in range(search.clusterings):
        rng = np.random.default_rng([search.seed, number])
        trained = centroids.train(vectors, Plan(k, 50_000, 10, levels=1), rng)
        centroids.save(trained, folder / "centroids.npz")
        assigned = assign(vectors, folder / "centroids.npz", Reach(1, 0.0), map_parts)
        found = near_pairs.compare(vectors, assigned, search.threshold, map_parts)
        near += [part._replace(step=np.full_like(part.step, number)) for part in found]
    return Candidates(near)


def probes(vectors: Stored, search: Search, folder: Path, map_parts: MapParts) -> Candidates:
    """One clustering; a vector near to the boundary of other clusters is compared with these too."""
    assigned = probing.assigned(vectors, search, folder, map_parts)
    near = near_pairs.compare(vectors, assigned, search.threshold, map_parts)
    return Candidates(near, assigned.gap, assigned)


def annoy(vectors: Stored, search: Search, folder: Path, map_parts: MapParts) -> Candidates:
    """A forest, with as many trees and as large a search_k as the recall asks for."""
    return Candidates(forest.near(vectors, search.threshold, search.recall, search.seed, folder, map_parts))


METHODS: dict[str, Callable[[Stored, Search, Path, MapParts], Candidates]] = {
    "clusters": clusters,
    "probes": probes,
    "annoy": annoy,
    "exact": exact,
}


def each_once(candidates: Candidates, n: int) -> Found:
    """Each pair once, with the first step that found it, and the lowest of each row."""
    pairs, similarity, step, cut = (np.concatenate(field) for field in zip(*candidates.near, strict=True))
    code = pairs[:, 0] * n + pairs[:, 1]
    order = np.lexsort((step, code))
    order = order[np.diff(code[order], prepend=-1) > 0]
    chosen = order[_lowest(pairs[order])]
    pairs = pairs[chosen]
    saturated = np.bincount(pairs[:, 1], minlength=n) >= near_pairs.PAIRS_PER_SAMPLE
    saturated[cut] = True
    return Found(pairs, similarity[chosen], saturated, step[chosen], candidates.gap, candidates.assigned)


def _lowest(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of sorted pairs, those with the PAIRS_PER_SAMPLE lowest partners of each higher row. (k,) places"""
    order = np.argsort(pairs[:, 1], kind="stable")
    return np.sort(order[ranks(pairs[order, 1]) < near_pairs.PAIRS_PER_SAMPLE])
