"""How many pairs a search missed, estimated from queries answered exactly.

The pairs found are known, so only the misses are estimated: M̂ = ½ Σ_h N_h ū_h, where ū_h is the mean number of pairs
that a query of stratum h misses. Where the search clustered, one stratum is the tenth with the smallest gap to the
first cluster not probed, since nearly all misses lie there. METHODS.md, section 3.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.duplicates.candidates import Found
from tasks.duplicates.clustering import parallel
from tasks.duplicates.exact_queries import near_to
from tasks.duplicates.queried import Queried, more
from tasks.duplicates.recall_interval import Estimate, interval, share_of_rows
from tasks.duplicates.stored import MapParts, Stored

LOW_GAP, LOW_GAP_QUERIES = 0.1, 0.25  # share of the rows in the stratum of small gaps, and of the queries
TWICE = 2.0  # what a pair counts that is seen from one side only
BANDS = (0.0, 0.8, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99, 1.0)  # cosines at which a band begins, those above the threshold

Drawn = list[tuple[int, NDArray[np.int64]]]  # of each stratum its size and the rows to ask


class Asked(NamedTuple):
    """How many exact queries, drawn how, answered by whom."""

    threshold: float  # cosine
    queries: int
    seed: int
    map_parts: MapParts = parallel


class Earlier(NamedTuple):
    """What was asked of an earlier version, all of whose rows are still there; and the rows that are new since."""

    queried: Queried
    new: NDArray[np.int64]  # (k,)


class Band(NamedTuple):
    """Recall of the pairs whose cosine is at least `low` and below `high`; of the last one `high` is included."""

    low: float
    high: float
    found: int
    recall: Estimate


def estimate(
    vectors: Stored, found: Found, asked: Asked, earlier: Earlier | None = None
) -> tuple[Estimate, list[Band], Queried]:
    """Share of the near pairs among n vectors that `found` has, in all and in each band of similarity; the queries.

    After an `earlier` search only new rows are asked, in proportion. Pairs of a saturated row are left out on both
    sides: the search stopped at PAIRS_PER_SAMPLE of them on purpose.
    """
    n = len(vectors.number)
    drawn = draw_more(found.gap, n, asked, earlier) if earlier is not None else None
    if earlier is None or drawn is None:
        each, queried = 1.0, missed(vectors, found, draw(found.gap, n, asked.queries, asked.seed), asked)
    else:
        each, queried = TWICE, earlier.queried.plus(missed(vectors, found, drawn, asked, earlier.new))
    complete = found.similarity[~found.saturated[found.pairs].any(axis=1)]
    edges = [asked.threshold, *(edge for edge in BANDS if edge > asked.threshold)]
    edges = edges if len(edges) > 1 else [asked.threshold, asked.threshold]
    bands = []
    for low, high in pairwise(edges):
        last = 2.0 if high == edges[-1] else high
        here = int(((complete >= low) & (complete < last)).sum())
        bands.append(Band(low, high, here, interval(here, queried.strata(low, last), each)))
    return interval(len(complete), queried.strata(), each), bands, queried


def draw(gap: NDArray[np.float32] | None, n: int, queries: int, seed: int) -> Drawn:
    """Drawn without replacement; all rows where there are no more than queries."""
    if n <= queries:
        return [(n, np.arange(n))]
    rng = np.random.default_rng([seed, 1])
    low = int(n * LOW_GAP) if gap is not None and len(np.unique(gap)) > 1 else 0
    order = np.argsort(gap, kind="stable") if gap is not None and low else np.arange(n)
    ask = min(low, round(queries * LOW_GAP_QUERIES))
    strata = [(order[:low], ask), (order[low:], queries - ask)] if ask else [(order, queries)]
    return [(len(rows), np.sort(rng.choice(rows, size=take, replace=False))) for rows, take in strata]


def draw_more(gap: NDArray[np.float32] | None, n: int, asked: Asked, earlier: Earlier) -> Drawn | None:
    """Of the new rows, in the proportion of the earlier ones; None where asking of all rows costs no more."""
    two = len(earlier.queried.size) == 2
    if (earlier.queried.asked == earlier.queried.size).all() or (two and gap is None):
        return None
    rng = np.random.default_rng([asked.seed, 2, n])
    order = earlier.new[np.argsort(gap[earlier.new], kind="stable")] if two and gap is not None else earlier.new
    low = int(len(order) * LOW_GAP)
    strata = [order[:low], order[low:]] if two else [order]
    takes = more(earlier.queried, [len(rows) for rows in strata], rng)
    if sum(takes) > asked.queries:
        return None
    some = (np.sort(rng.choice(rows, size=take, replace=False)) for rows, take in zip(strata, takes, strict=True))
    return [(len(rows), drawn) for rows, drawn in zip(strata, some, strict=True)]


def missed(vectors: Stored, found: Found, drawn: Drawn, asked: Asked, new: NDArray[np.int64] | None = None) -> Queried:
    """Near pairs of each query that are not among the found ones, by comparing it with all n vectors.

    With `new` (k,), the only rows that are asked: a pair with another row is seen from one side only, and counts twice.
    """
    n = len(vectors.number)
    known = found.pairs[:, 0] * n + found.pairs[:, 1]
    queries = np.concatenate([rows for _, rows in drawn])
    pairs, similarity = near_to(
        vectors, np.sort(queries[~found.saturated[queries]]), asked.threshold, asked.map_parts, ~found.saturated
    )
    code = pairs.min(axis=1, initial=n) * n + pairs.max(axis=1, initial=0)
    lacking = ~np.isin(code, known)
    pairs, similarity = pairs[lacking], similarity[lacking]
    weight = np.ones(len(pairs)) if new is None else np.where(np.isin(pairs[:, 1], new), 1.0, TWICE)
    return as_queried(drawn, n, pairs[:, 0], weight, similarity)


def as_queried(
    drawn: Drawn, n: int, row: NDArray[np.int64], weight: NDArray[np.float64], similarity: NDArray[np.float64]
) -> Queried:
    """What m findings are, by the stratum and the number of the query that made each: `row` (m,) is its row."""
    stratum, number = np.zeros(n, np.int8), np.zeros(n, np.int64)
    for place, (_, rows) in enumerate(drawn):
        stratum[rows], number[rows] = place, np.arange(len(rows))
    sizes, asked = np.array([[size, len(rows)] for size, rows in drawn], np.int64).T
    return Queried(sizes, asked, stratum[row], number[row], weight, similarity)


def residual(
    vectors: Stored, survives: NDArray[np.bool_], asked: Asked, earlier: Earlier | None = None
) -> tuple[Estimate, Queried]:
    """Share of the surviving rows (n,) that have another within the threshold, from exact queries among them.

    After an `earlier` version whose survivors all still survive only the new survivors are asked, in proportion, and an
    earlier one that is near to such counts with it.
    """
    rows = np.flatnonzero(survives)
    drawn = draw_more(None, len(rows), asked, earlier) if earlier is not None else None
    if earlier is None or drawn is None:
        drawn = [(len(rows), rows[some]) for _, some in draw(None, len(rows), asked.queries, asked.seed)]
        pairs, _ = near_to(vectors, drawn[0][1], asked.threshold, asked.map_parts, survives)
        each, hit, before = 1.0, np.unique(pairs[:, 0]), None
    else:
        pairs, _ = near_to(vectors, drawn[0][1], asked.threshold, asked.map_parts, survives)
        with_it = pairs[~np.isin(pairs[:, 1], earlier.new), 0]
        each, hit, before = TWICE, np.concatenate([np.unique(pairs[:, 0]), with_it]), earlier.queried
    queried = as_queried(drawn, len(survives), hit, np.ones(len(hit)), np.ones(len(hit)))
    queried = before.plus(queried) if before is not None else queried
    return share_of_rows(queried.strata()[0], each), queried
