"""Shares of a finite population from labels drawn in strata, with intervals that also hold where positives are rare.

Within a stratum labels are a simple random sample without replacement. The stratum's share is a ratio of masses; its
limits are Jeffreys' (Brown, Cai and DasGupta 2001) on effective numbers, for a variance of 0 says nothing where no
label is positive. Strata are then combined by recovered variances (Zou and Donner 2008). METHODS.md, section 2.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.words.changes import divide

LEVEL: Final = 0.95

Floats = NDArray[np.float64]


class Strata(NamedTuple):
    """h strata at a stage. *_mass are sums of the masses that samples have there, *_squares of their squares."""

    size: Floats  # (h,) samples
    mass: Floats  # (h,)
    largest: Floats  # (h,) mass of a sample without a label; 0 where there is none
    labelled: Floats  # (h,) samples with a label
    labelled_mass: Floats  # (h,)
    labelled_squares: Floats  # (h,)
    positive_mass: Floats  # (h,)
    positive_squares: Floats  # (h,)


class Estimate(NamedTuple):
    """A share and its limits; NaN where a stratum has no label."""

    share: float
    lower: float
    upper: float


def limits(strata: Strata, level: float = LEVEL) -> tuple[Floats, Floats, Floats]:
    """(h,) share, and its lower and upper limit, of each stratum; NaN where nothing is labelled.

    Limits are whole samples away from what is labelled, and the upper one, its heaviest other sample at least.
    """
    from scipy.special import betaincinv

    share, trials = divide(strata.positive_mass, strata.labelled_mass), _trials(strata)
    hits, misses, tail = share * trials, (1 - share) * trials, (1 - level) / 2
    lower = np.where(hits > 0, betaincinv(hits + 0.5, misses + 0.5, tail), 0)
    upper = np.where(misses > 0, betaincinv(hits + 0.5, misses + 0.5, 1 - tail), 1)
    sure, possible = _bounds(strata)
    one = divide(strata.largest, strata.mass)
    lower = np.minimum(divide(np.floor(lower * strata.size), strata.size), possible - one)
    upper = np.maximum(divide(np.ceil(upper * strata.size), strata.size), sure + one)
    whole = strata.labelled >= strata.size
    return share, np.where(whole, share, np.clip(lower, 0, share)), np.where(whole, share, np.clip(upper, share, 1))


def _bounds(strata: Strata) -> tuple[Floats, Floats]:
    """(h,) the least and the largest share that the labels leave possible."""
    sure = divide(strata.positive_mass, strata.mass)
    return sure, 1 - divide(strata.labelled_mass - strata.positive_mass, strata.mass)


def _trials(strata: Strata) -> Floats:
    """(h,) as many equal, independent labels would vary as much.

    The finite-population correction counts to a half: beyond, the few samples that are left are far from normal, and
    what was measured of intervals without this limit is coverage down to 0.3.
    """
    share = divide(strata.positive_mass, strata.labelled_mass)
    negative_squares = strata.labelled_squares - strata.positive_squares
    deviations = strata.positive_squares * (1 - share) ** 2 + negative_squares * share**2
    linear = divide(share * (1 - share) * strata.labelled_mass**2, deviations)
    trials = np.fmin(divide(strata.labelled_mass**2, strata.labelled_squares), linear)
    return divide(trials, 1 - np.minimum(divide(strata.labelled, strata.size), 0.5))


def combined(strata: Strata, chosen: NDArray[np.bool_]) -> Estimate:
    """The share over the chosen strata, (h,), each by its mass; NaN where one has no label, or none has mass."""
    there = chosen & (strata.mass > 0)
    if not there.any():
        return Estimate(math.nan, math.nan, math.nan)
    found = Strata(*(values[there] for values in strata))
    part = found.mass / found.mass.sum()
    share, lower, upper = limits(found)
    middle, (least, most) = float(part @ share), (float(part @ bound) for bound in _bounds(found))
    below, above = (math.hypot(*(part * apart).tolist()) for apart in (share - lower, upper - share))
    return Estimate(middle, min(max(middle - below, least), middle), max(min(middle + above, most), middle))


def difference(one: Estimate, other: Estimate) -> Estimate:
    """Of two shares of different strata (Newcombe 1998, method 10)."""
    below = math.hypot(one.share - one.lower, other.upper - other.share)
    above = math.hypot(one.upper - one.share, other.share - other.lower)
    middle = one.share - other.share
    return Estimate(middle, middle - below, middle + above)


def log_odds_ratio(one: Estimate, other: Estimate) -> Estimate:
    """Of two shares of different strata; infinite where one of them is 0 or 1, NaN where that leaves it undefined."""
    (a, a_lower, a_upper), (b, b_lower, b_upper) = (_logits(_inner(each)) for each in (one, other))
    figure = _logits(one).share - _logits(other).share
    below, above = math.hypot(a - a_lower, b_upper - b), math.hypot(a_upper - a, b - b_lower)
    return Estimate(figure, a - b - below, a - b + above)


def _inner(one: Estimate) -> Estimate:
    """A share of 0 or 1 where labels may have missed some, an eighth of its interval away: its logit is then finite.

    That is half a positive where the interval reaches four, about as far as it does where labels show none.
    """
    away = (one.upper - one.lower) / 8
    return one._replace(share=min(max(one.share, one.lower + away), one.upper - away)) if one.share in (0, 1) else one


def _logits(one: Estimate) -> Estimate:
    with np.errstate(divide="ignore", invalid="ignore"):
        lower, share, upper = (
            float(np.log(np.float64(p)) - np.log1p(-np.float64(p))) for p in (one.lower, one.share, one.upper)
        )
    return Estimate(share, lower, upper)
