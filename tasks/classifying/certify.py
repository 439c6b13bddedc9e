"""What labels can say of a threshold: exact intervals, the threshold that reaches a recall, and the curve of both.

Recall on labelled positives is an estimate on positives like those found; it carries no guarantee for the pool
(METHODS.md, section 1). Clopper and Pearson (Biometrika 1934).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray

NOTE: Final = "estimate on labelled positives, not a certificate"


@dataclass(frozen=True)
class Estimate:
    """k of n, and what share at least that speaks for."""

    k: int
    n: int
    estimate: float | None  # None where n = 0
    lower: float  # one-sided bound
    confidence: float
    note: str = NOTE


def lower_bound(k: int, n: int, confidence: float) -> float:
    """The exact one-sided lower bound of a share after k successes in n trials; 0 where k = 0."""
    from scipy.special import betaincinv

    if not 0 <= k <= n:
        raise ValueError(f"k successes in n trials were expected, {k} in {n} were given")
    return float(betaincinv(k, n - k + 1, 1 - confidence)) if k else 0.0


def estimate(k: int, n: int, confidence: float, bound_k: int | None = None) -> Estimate:
    """k of n with its Clopper-Pearson bound, to six digits; `bound_k` is what the bound rests on where not on k."""
    lower = lower_bound(k if bound_k is None else bound_k, n, confidence)
    return Estimate(k, n, round(k / n, 6) if n else None, round(lower, 6), confidence)


def needed(n: int, recall: float) -> int:
    """How many of n positives a threshold must reach: 99% of 41 means all of them."""
    return max(1, ceil(recall * n - 1e-9))


def choose_threshold(positives: NDArray[np.float32], recall: float, confidence: float) -> tuple[float, Estimate]:
    """The largest threshold that `recall` of the n ≥ 1 out-of-fold scores of positives reach; and what it promises.

    The threshold is chosen on the scores that it is judged by, so it is an order statistic: the j-th smallest of n,
    j = n − k + 1, with k fixed by n and recall. Of a new positive whose score is exchangeable with these, the chance
    to reach it is distributed as Beta(k, n − k + 1), or above where scores tie, whatever the scores' distribution.
    Its quantile is the bound, and that is Clopper-Pearson's for k of n; more than k where scores tie changes nothing.
    """
    n = len(positives)
    k = needed(n, recall)
    threshold = np.sort(positives)[n - k]
    return float(threshold), estimate(int((positives >= threshold).sum()), n, confidence, bound_k=k)


def at_threshold(positives: NDArray[np.float32], threshold: float, confidence: float) -> Estimate:
    """Recall at a threshold that was set without these scores."""
    return estimate(int((positives >= np.float32(threshold)).sum()), len(positives), confidence)


def reaching(scores: NDArray[np.float32], thresholds: NDArray[np.float32]) -> NDArray[np.int64]:
    """(t,) how many scores are at or above each threshold."""
    return len(scores) - np.searchsorted(np.sort(scores), thresholds, side="left")


def threshold_of_size(scores: NDArray[np.float32], size: int) -> float | None:
    """The smallest threshold that at most `size` scores reach; None where even the largest score is reached by more.

    It is one of the scores.
    """
    distinct = np.unique(scores)
    fits = np.flatnonzero(reaching(scores, distinct) <= size)
    return float(distinct[fits[0]]) if len(fits) else None
