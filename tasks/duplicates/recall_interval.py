"""A share of pairs or rows from the findings of exact queries, with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.duplicates.queried import Stratum

CONFIDENCE = 0.95
FEW = 30  # queries with a miss; with fewer a normal interval is too short


class Estimate(NamedTuple):
    """A share with an interval of level CONFIDENCE; exact where every row was asked."""

    estimate: float
    lower: float
    upper: float
    queries: int
    exact: bool


def interval(found: int, strata: Sequence[Stratum], each: float = 1.0) -> Estimate:
    """Recall from the number of found pairs and the misses of the queries of one or two strata.

    With FEW or more queries that miss something: normal, with finite-population correction. With fewer: an exact upper
    bound of the rows that miss something, times the mean misses of those that were seen, but not below `each`.
    """
    queries = sum(len(s.missed) for s in strata)
    misses = sum(s.size * s.missed.mean() for s in strata if len(s.missed)) / 2
    if all(len(s.missed) == s.size for s in strata):
        recall = _share(found, misses)
        return Estimate(recall, recall, recall, queries, exact=True)
    affected = [int(np.count_nonzero(s.missed)) for s in strata]
    seen = sum(float(s.missed.sum()) for s in strata) / 2  # a missed pair is seen twice at most
    if sum(affected) >= FEW:
        half = 1.96 * sum(_variance(s) for s in strata) ** 0.5
        most, least = misses + half, max(misses - half, seen)
    else:
        drawn = [(s.size, len(s.missed), hits) for s, hits in zip(strata, affected, strict=True)]
        most, least = at_most(drawn) * max(2 * seen / max(sum(affected), 1), each) / 2, seen
    return Estimate(_share(found, misses), _share(found, max(most, misses)), _share(found, least), queries, exact=False)


def share_of_rows(stratum: Stratum, each: float = 1.0) -> Estimate:
    """Of affected rows, where a query's finding counts itself and the rows that are affected with it."""
    asked, affected, count = len(stratum.missed), int(np.count_nonzero(stratum.missed)), float(stratum.missed.sum())
    rate = count / max(asked, 1)
    if asked == stratum.size:
        return Estimate(rate, rate, rate, asked, exact=True)
    upper = at_most([(stratum.size, asked, affected)]) * max(count / max(affected, 1), each) / stratum.size
    return Estimate(min(rate, 1.0), affected / stratum.size, min(upper, 1.0), asked, exact=False)


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
