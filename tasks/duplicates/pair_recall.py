"""How many pairs a search missed, estimated from queries answered exactly.

The pairs found are known, so only the misses are estimated: M̂ = ½ Σ_h N_h ū_h, where ū_h is the mean number of pairs
that a query of stratum h misses. Where the search clustered, one stratum is the tenth with the smallest gap to the
first cluster not probed, since nearly all misses lie there. METHODS.md, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.duplicates.candidates import Found
from tasks.duplicates.clustering import parallel
from tasks.duplicates.exact_queries import near_to
from tasks.duplicates.stored import MapParts, Stored

CONFIDENCE = 0.95
FEW = 30  # queries with a miss; with fewer a normal interval is too short
LOW_GAP, LOW_GAP_QUERIES = 0.1, 0.25  # share of the rows in the stratum of small gaps, and of the queries
BANDS = (0.0, 0.8, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99, 1.0)  # cosines at which a band begins, those above the threshold


class Asked(NamedTuple):
    """How many exact queries, drawn how, answered by whom."""

    threshold: float  # cosine
    queries: int
    seed: int
    map_parts: MapParts = parallel


class Estimate(NamedTuple):
    """A share with an interval of level CONFIDENCE; exact where every row was asked."""

    estimate: float
    lower: float
    upper: float
    queries: int
    exact: bool


class Stratum(NamedTuple):
    """What the queries of one stratum found."""

    size: int  # rows in it
    missed: NDArray[np.int64]  # (queries,), near pairs of each query that the search does not have


class Band(NamedTuple):
    """Recall of the pairs whose cosine is at least `low` and below `high`; of the last one `high` is included."""

    low: float
    high: float
    found: int
    recall: Estimate


def estimate(vectors: Stored, found: Found, asked: Asked) -> tuple[Estimate, list[Band]]:
    """Share of the near pairs among n vectors that `found` has, in all and in each band of similarity.

    Pairs of a saturated row are left out on both sides: the search stopped at PAIRS_PER_SAMPLE of them on purpose.
    """
    drawn = draw(found.gap, len(vectors.number), asked.queries, asked.seed)
    misses = missed(vectors, found, np.concatenate([rows for _, rows in drawn]), asked)
    complete = found.similarity[~found.saturated[found.pairs].any(axis=1)]
    edges = [asked.threshold, *(edge for edge in BANDS if edge > asked.threshold)]
    edges = edges if len(edges) > 1 else [asked.threshold, asked.threshold]
    bands = []
    for low, high in pairwise(edges):
        last = 2.0 if high == edges[-1] else high
        here = int(((complete >= low) & (complete < last)).sum())
        bands.append(Band(low, high, here, _interval(here, drawn, _within(misses, low, last))))
    return _interval(len(complete), drawn, misses), bands


class Misses(NamedTuple):
    """Near pairs that a search does not have."""

    query: NDArray[np.int64]  # (m,), row
    similarity: NDArray[np.float64]  # (m,)


def _within(misses: Misses, low: float, high: float) -> Misses:
    here = (misses.similarity >= low) & (misses.similarity < high)
    return Misses(misses.query[here], misses.similarity[here])


def _interval(found: int, drawn: list[tuple[int, NDArray[np.int64]]], misses: Misses) -> Estimate:
    n = max((int(rows.max(initial=0)) for _, rows in drawn), default=0) + 1
    counts = np.bincount(misses.query, minlength=n)
    return interval(found, [Stratum(size, counts[rows]) for size, rows in drawn])


def draw(gap: NDArray[np.float32] | None, n: int, queries: int, seed: int) -> list[tuple[int, NDArray[np.int64]]]:
    """(size, rows to ask) of each stratum, drawn without replacement; all rows where there are no more than queries."""
    if n <= queries:
        return [(n, np.arange(n))]
    rng = np.random.default_rng([seed, 1])
    low = int(n * LOW_GAP) if gap is not None and len(np.unique(gap)) > 1 else 0
    order = np.argsort(gap, kind="stable") if gap is not None and low else np.arange(n)
    ask = min(low, round(queries * LOW_GAP_QUERIES))
    strata = [(order[:low], ask), (order[low:], queries - ask)] if ask else [(order, queries)]
    return [(len(rows), np.sort(rng.choice(rows, size=take, replace=False))) for rows, take in strata]


def missed(vectors: Stored, found: Found, queries: NDArray[np.int64], asked: Asked) -> Misses:
    """Near pairs of each query that are not among the found ones, by comparing it with all n vectors."""
    n = len(vectors.number)
    known = found.pairs[:, 0] * n + found.pairs[:, 1]
    pairs, similarity = near_to(
        vectors, np.sort(queries[~found.saturated[queries]]), asked.threshold, asked.map_parts, ~found.saturated
    )
    code = pairs.min(axis=1, initial=n) * n + pairs.max(axis=1, initial=0)
    new = ~np.isin(code, known)
    return Misses(pairs[new, 0], similarity[new])


def interval(found: int, strata: Sequence[Stratum]) -> Estimate:
    """Recall from the number of found pairs and the misses of the queries of one or two strata.

    With FEW or more queries that miss something: normal, with finite-population correction. With fewer: an exact upper
    bound of the rows that miss something, times the mean misses of those that were seen, 1 where none was.
    """
    queries = sum(len(s.missed) for s in strata)
    misses = sum(s.size * s.missed.mean() for s in strata if len(s.missed)) / 2
    if all(len(s.missed) == s.size for s in strata):
        recall = _share(found, misses)
        return Estimate(recall, recall, recall, queries, exact=True)
    affected = [int(np.count_nonzero(s.missed)) for s in strata]
    seen = sum(int(s.missed.sum()) for s in strata) / 2  # a missed pair is seen twice at most
    if sum(affected) >= FEW:
        half = 1.96 * sum(_variance(s) for s in strata) ** 0.5
        most, least = misses + half, max(misses - half, seen)
    else:
        drawn = [(s.size, len(s.missed), hits) for s, hits in zip(strata, affected, strict=True)]
        most, least = at_most(drawn) * max(2 * seen / max(sum(affected), 1), 1.0) / 2, seen
    return Estimate(_share(found, misses), _share(found, max(most, misses)), _share(found, least), queries, exact=False)


def at_most(drawn: Sequence[tuple[int, int, int]], confidence: float = CONFIDENCE) -> int:
    """Upper bound of the affected rows, from (size, queries, affected queries) of one or two strata.

    The largest total under which an estimate as low as the one seen keeps a chance of 1 − confidence (Buehler 1957),
    on a grid of totals that is rounded upwards.
    """
    (size, asked, hits), (size_0, asked_0, hits_0) = drawn[-1], drawn[0] if len(drawn) == 2 else (0, 0, 0)
    weight, weight_0 = size / asked, size_0 / max(asked_0, 1)
    seen = weight * hits + weight_0 * hits_0
    x_0 = np.arange((int(seen / weight_0 + 1e-9) if asked_0 else 0) + 1)
    x = np.floor((seen - weight_0 * x_0) / weight + 1e-9).astype(np.int64)  # the most beside x_0 in the last stratum
    grid, grid_0 = _grid(size, asked - hits), _grid(size_0, asked_0 - hits_0)
    below = np.cumsum(_chance(np.arange(x[0] + 1), size, grid, asked), axis=1)  # P(X ≤ x)
    chance = _chance(x_0, size_0, grid_0, asked_0) @ below[:, x].T  # (grid_0, grid)
    row, column = (chance >= 1 - confidence).nonzero()
    above, above_0 = np.append(grid[1:] - 1, grid[-1]), np.append(grid_0[1:] - 1, grid_0[-1])
    return int((above_0[row] + above[column]).max())


def _chance(x: NDArray[np.int64], size: int, affected: NDArray[np.int64], asked: int) -> NDArray[np.float64]:
    """Hypergeometric: of `asked` out of `size` rows, x are affected. (len(affected), len(x))"""
    from scipy.special import gammaln

    def choose(n: NDArray[np.int64], k: NDArray[np.int64]) -> NDArray[np.float64]:
        possible = (k >= 0) & (k <= n)
        k = np.where(possible, k, 0)
        return np.where(possible, gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1), -np.inf)

    total = choose(np.array(size), np.array(asked))
    return np.exp(choose(affected[:, None], x) + choose(size - affected[:, None], asked - x) - total)


def _grid(size: int, clean: int) -> NDArray[np.int64]:
    """Possible numbers of affected rows where `clean` rows are known not to be: 0, 1, 2, … in steps of 5%."""
    largest = size - clean
    steps = np.geomspace(1, max(largest, 1), 2 + int(20 * np.log(max(largest, 1))))
    return np.unique(np.append(np.round(steps), [0, largest])).astype(np.int64) if largest else np.zeros(1, np.int64)


def _variance(stratum: Stratum) -> float:
    """Of the stratum's part of M̂."""
    m = len(stratum.missed)
    if m < 2:
        return 0.0
    return stratum.size**2 / 4 * (1 - m / stratum.size) * float(stratum.missed.var(ddof=1)) / m


def _share(found: int, misses: float) -> float:
    return found / (found + misses) if found + misses else 1.0


def residual(vectors: Stored, survives: NDArray[np.bool_], asked: Asked) -> Estimate:
    """Share of the surviving rows (n,) that have another within the threshold, from exact queries among them."""
    rows = np.flatnonzero(survives)
    n = len(rows)
    if n == 0:
        return Estimate(0.0, 0.0, 0.0, 0, exact=True)
    ((_, drawn),) = draw(None, n, asked.queries, asked.seed)
    pairs, _ = near_to(vectors, rows[drawn], asked.threshold, asked.map_parts, survives)
    affected = len(np.unique(pairs[:, 0]))
    rate = affected / len(drawn)
    if len(drawn) == n:
        return Estimate(rate, rate, rate, n, exact=True)
    return Estimate(rate, affected / n, at_most([(n, len(drawn), affected)]) / n, len(drawn), exact=False)
