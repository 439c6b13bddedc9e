"""Odds of being filtered among captions with a term, over the odds of those without, with an interval.

The share that was filtered, with the term and without it, each has an exact binomial interval on an effective number of
captions: captions over the design effect of near-duplicate groups, as if a group were filtered whole or not at all
(METHODS, section 2). The two are combined on the logit scale by recovered variances (Donner and Zou 2012).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.words.changes import clopper_pearson, divide, wilson

MANY = 50  # effective captions filtered, and as many not, from which an exact interval differs little from Wilson's

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Removed(NamedTuple):
    """Of captions with each term, or of those without it, how many the filter took."""

    filtered: Ints  # (t,)
    captions: Ints  # (t,)
    squares: Ints  # (t,) captions a near-duplicate group, squared and summed


def removal_odds(inside: Removed, outside: Removed, level: float) -> tuple[Floats, Floats, Floats]:
    """(t,) odds ratios and their lower and upper bounds; infinite where the odds outside are 0, or those inside are.

    NaN where all captions have the term or none, and where the filter took nothing or everything.
    """
    one, other = _logits(inside, level), _logits(outside, level)
    below = np.hypot(one[0] - one[1], other[2] - other[0])
    above = np.hypot(one[2] - one[0], other[0] - other[1])
    difference = one[0] - other[0]
    filtered = inside.filtered + outside.filtered
    defined = (filtered > 0) & (filtered < inside.captions + outside.captions)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = _odds(inside) / _odds(outside)
    lower, upper = np.exp(difference - below), np.exp(difference + above)
    odds, below, above = (np.where(defined, figure, np.nan) for figure in (ratio, lower, upper))
    return odds, below, above


def _limits(hits: Floats, trials: Floats, level: float) -> tuple[Floats, Floats]:
    """Exact where few captions were filtered, or few were not; elsewhere Wilson's, measured forty times faster."""
    lower, upper = wilson(hits, trials, level)
    few = np.minimum(hits, trials - hits) < MANY
    lower[few], upper[few] = clopper_pearson(hits[few], trials[few], level)
    return lower, upper


def _odds(removed: Removed) -> Floats:
    return np.divide(removed.filtered, removed.captions - removed.filtered)


def _logits(removed: Removed, level: float) -> tuple[Floats, Floats, Floats]:
    """Centre, lower and upper logit of the share; the centre half a caption away from 0 and 1, so that it is finite."""
    trials = divide(removed.captions.astype(np.float64) ** 2, removed.squares)
    hits = trials * divide(removed.filtered, removed.captions)
    lower, upper = _limits(hits, trials, level)
    inner = (removed.filtered > 0) & (removed.filtered < removed.captions)
    centre = np.where(inner, divide(hits, trials), (hits + 0.5) / (trials + 1))
    with np.errstate(divide="ignore"):
        middle, low, high = (np.log(share) - np.log1p(-share) for share in (centre, lower, upper))
    return middle, low, high
