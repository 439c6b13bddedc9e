"""How far two properties stand together: pointwise mutual information and log odds ratio of 2×2 tables, with intervals.

Masses are summed over near-duplicate groups, the units of chance. The attribute's share inside the group of terms, and
its share outside, each get an exact binomial interval on an effective number of units; the two are then combined. The
figures are facts of this pool; intervals and tests speak of another pool of this size from the same source (METHODS,
section 2). Logarithms are natural. NaN is undefined, an infinite figure is of what never stands together or apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.words.changes import TOO_FEW_GROUPS, divide

Floats = NDArray[np.float64]
Interval = tuple[Floats, Floats]

# Combinations of a table's four masses: of both, of the group, of the attribute, of all.
BOTH, GROUP, ATTRIBUTE, ALL = np.eye(4)
ONLY_GROUP, ONLY_ATTRIBUTE, OUTSIDE = GROUP - BOTH, ATTRIBUTE - BOTH, ALL - GROUP
CELLS = BOTH, ONLY_GROUP, ONLY_ATTRIBUTE, OUTSIDE - ONLY_ATTRIBUTE


class Tables(NamedTuple):
    """2×2 tables of t pairs of a group and an attribute, and how the units' masses vary."""

    mass: Floats  # (t, 4) of both, of the group, of the attribute, of all: sums over units
    products: Floats  # (t, 4, 4) of each two of a unit's four masses, their product: sums over units
    largest: float  # mass that a unit has


class Shares(NamedTuple):
    """Shares on effective numbers of units, and their intervals."""

    hits: Floats  # (t,)
    trials: Floats  # (t,)
    centre: Floats  # (t,) the share; half a hit away from 0 and 1
    lower: Floats  # (t,)
    upper: Floats  # (t,)


def pmi(tables: Tables) -> Floats:
    """(t,) log of how many times as often the two stand together as if they were independent."""
    both, group, attribute, everything = tables.mass.T
    with np.errstate(divide="ignore"):
        return np.log(divide(both * everything, group * attribute))


def log_odds_ratio(tables: Tables) -> Floats:
    """(t,) log of the attribute's odds inside the group over its odds outside."""
    both, only_group, only_attribute, neither = (tables.mass @ cell for cell in CELLS)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(both) + np.log(neither) - np.log(only_group) - np.log(only_attribute)


def effective_groups(tables: Tables) -> Floats:
    """(t,) the fewest effective units of the group, the attribute, what is outside the group, what lacks the attribute.

    Of no cell inside the table: whether there is an interval must not depend on what it is to tell.
    """
    found: Floats = np.min([_effective(tables, margin) for margin in (GROUP, OUTSIDE, ATTRIBUTE, ALL - ATTRIBUTE)], 0)
    return found


def _effective(tables: Tables, margin: Floats) -> Floats:
    """(t,) (Σm)²/Σm² of the units' masses m in a margin: as many units of equal mass vary as much (Kish 1965)."""
    return np.nan_to_num(divide((tables.mass @ margin) ** 2, _squares(tables, margin)))


def _squares(tables: Tables, combination: Floats) -> Floats:
    """(4,) or (t, 4) → (t,) the combination of a unit's masses, squared and summed over units."""
    found: Floats = np.einsum("...i,...ij,...j->...", combination, tables.products, combination)
    return np.maximum(found, 0)


def intervals(tables: Tables, level: float) -> tuple[Interval, Interval]:
    """Lower and upper bounds of the PMI, and of the log odds ratio, (t,) each. NaN below TOO_FEW_GROUPS effective.

    The two shares are combined on their log and logit scales by recovered variances (Donner and Zou 2012). The
    group's share of all is taken as known: a PMI is a function of it and of the ratio of the two shares.
    """
    inside, outside = _inside_and_outside(tables, level)
    group = np.nan_to_num(divide(tables.mass @ GROUP, tables.mass @ ALL))
    carried = effective_groups(tables) >= TOO_FEW_GROUPS
    ratio, odds = (_difference(_mapped(inside, by), _mapped(outside, by)) for by in (_log, _logit))
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # NaN is of a group that is all: not carried
        lower, upper = (-np.log(group + (1 - group) * np.exp(-bound)) for bound in ratio)
    return _where(carried, (lower, upper)), _where(carried, odds)


def _where(carried: NDArray[np.bool_], interval: Interval) -> Interval:
    return np.where(carried, interval[0], np.nan), np.where(carried, interval[1], np.nan)


def _inside_and_outside(tables: Tables, level: float) -> tuple[Shares, Shares]:
    """The attribute's share in the group, and outside it."""
    return _shares(tables, BOTH, GROUP, level), _shares(tables, ONLY_ATTRIBUTE, OUTSIDE, level)


def _shares(tables: Tables, part: Floats, whole: Floats, level: float) -> Shares:
    """What share of the whole's mass the part is. Exact binomial intervals on effective numbers.

    Clopper and Pearson 1934, Korn and Graubard 1998. Trials are Kish's number, or fewer where the linearised variance
    is larger than that of as many equal units. Where no unit is of the part, or every one, there is no variance: the
    first that differs may be as heavy as the heaviest.
    """
    from scipy.special import betaincinv

    mass = tables.mass @ whole
    share = np.clip(np.nan_to_num(divide(tables.mass @ part, mass)), 0, 1)
    variance = divide(_squares(tables, part - share[:, None] * whole), mass**2)
    linear = np.where((share > 0) & (share < 1), divide(share * (1 - share), variance), divide(mass, tables.largest))
    trials = np.fmin(_effective(tables, whole), linear)
    hits, misses, tail = share * trials, (1 - share) * trials, (1 - level) / 2
    lower = np.where(hits > 0, betaincinv(np.maximum(hits, 1e-9), misses + 1, tail), 0)
    upper = np.where(misses > 0, betaincinv(hits + 1, np.maximum(misses, 1e-9), 1 - tail), 1)
    centre = np.where((hits > 0) & (misses > 0), share, (hits + 0.5) / (trials + 1))
    return Shares(hits, trials, centre, lower, upper)


def _log(share: Floats) -> Floats:
    return np.log(share)


def _logit(share: Floats) -> Floats:
    return np.log(share) - np.log1p(-share)


def _mapped(shares: Shares, scale: Callable[[Floats], Floats]) -> tuple[Floats, Floats, Floats]:
    with np.errstate(divide="ignore"):
        return scale(shares.centre), scale(shares.lower), scale(shares.upper)


def _difference(one: tuple[Floats, Floats, Floats], other: tuple[Floats, Floats, Floats]) -> Interval:
    """Bounds of a difference of two independent estimates, each given with its lower and its upper bound."""
    (a, a_lower, a_upper), (b, b_lower, b_upper) = one, other
    below, above = np.hypot(a - a_lower, b_upper - b), np.hypot(a_upper - a, b - b_lower)
    return a - b - below, a - b + above


def p_values(tables: Tables) -> Floats:
    """(t,) of independence, by binomial tails (both, hence doubled); NaN below TOO_FEW_GROUPS effective.

    Of the units with the attribute those in the group are hypergeometric; the binomial that draws as many as the
    smaller margin has wider tails (Hoeffding 1963).
    """
    from scipy.special import betainc

    inside, outside = _inside_and_outside(tables, 0.95)
    having, everyone = inside.hits + outside.hits, inside.trials + outside.trials
    x, n = inside.hits, np.minimum(inside.trials, having)
    expected = np.clip(np.nan_to_num(divide(np.maximum(inside.trials, having), everyone)), 0, 1)
    below = np.where(x >= n, 1.0, betainc(np.maximum(n - x, 1e-9), x + 1, 1 - expected))  # P(X ≤ x)
    above = np.where(x <= 0, 1.0, betainc(np.maximum(x, 1e-9), n - x + 1, expected))  # P(X ≥ x)
    p = np.minimum(2 * np.minimum(below, above), 1.0)
    return np.where(effective_groups(tables) >= TOO_FEW_GROUPS, p, np.nan)


def shares(tables: Tables) -> tuple[Floats, Floats]:
    """(t,) the attribute's share in the group, and (t,) outside it."""
    parts = (BOTH, GROUP), (ONLY_ATTRIBUTE, OUTSIDE)
    inside, outside = (divide(tables.mass @ part, tables.mass @ whole) for part, whole in parts)
    return inside, outside
