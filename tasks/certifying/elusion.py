"""How much harm can be left in what is kept: exact one-sided bounds of the positives among unlabelled samples.

From n random labels with x positives: the most positives that the pool can hold, `level` being the chance to say too
few. Binomial for draws with replacement (Clopper and Pearson, Biometrika 1934), hypergeometric without. Annotators who
overlook positives are allowed for by `miss`, an upper bound of their miss rate. METHODS.md, section 1.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Counts = int | NDArray[np.int64]
Floats = NDArray[np.float64]

# Part of the level spent on each statement about annotators. With 20 to 100 seeds shown and 3,000 clean labels, 0.1
# is within 1% of the best of 0.02, 0.05, 0.1, 0.2 and 0.5; an even split raises the bound by 10 to 17%.
SEEDS_SHARE: Final = 0.1
ROUNDING: Final = 1e-9  # relative; a chance this close to the level counts as above it, so rounding never helps
NEGLIGIBLE: Final = 1e-15


class Seeds(NamedTuple):
    """Known positives that annotators were shown among the others without being told.

    They speak for positives no harder to see than the seeds, and for labels given afresh: a label that the filter was
    trained on decided where its image lies, so that a miss is likelier there.
    """

    shown: int
    missed: int  # of them, labelled negative


def binomial_upper(x: Counts, n: Counts, level: float) -> Floats:
    """The largest share under which x or fewer of n draws with replacement have a chance of `level`; 1 where x = n.

    x, n: counts or arrays of them that broadcast, 0 ≤ x ≤ n. Returns float64 of their shape.
    """
    from scipy.special import betaincinv

    x, n = np.asarray(x), np.asarray(n)
    if (x < 0).any() or (x > n).any():
        raise ValueError(f"x positives in n draws were expected with 0 <= x <= n, {x} in {n} were given")
    return np.where(x == n, 1.0, betaincinv(x + 1, np.maximum(n - x, 1), 1 - level))


def binomial_most(x: int, n: int, size: int, level: float, miss: float = 0.0) -> int:
    """The most positives in a pool of `size` after x positives in n draws with replacement.

    With `miss` exact if an image drawn again is labelled again; to carry its label over makes no difference that
    matters while n is much smaller than the pool.
    """
    found = float(binomial_upper(x, n, level))
    share = found / (1 - miss) if miss < 1 else 1.0
    return min(size, int(np.floor(size * share * (1 + ROUNDING))))


def hypergeometric_upper(x: int, n: int, size: int, level: float, miss: float = 0.0) -> int:
    """m^U: the most positives in a pool of `size` after x positives in n draws without replacement.

    max{m : P(at most x found; size, m, n) > level}, where a positive that is drawn is found with chance 1 − miss. With
    miss = 0 it is the hypergeometric bound. Dividing that bound by 1 − miss would be too low where n is a large part
    of the pool: with n = size it forgets that the number overlooked varies. O(√size) a step, some 30 steps.
    """
    if not 0 <= x <= n <= size:
        raise ValueError(f"x positives in n of size samples were expected, {x} in {n} of {size} were given")
    weights = _found_at_most(x, n, miss)
    wanted = level * (1 - ROUNDING)
    low, step = x, 1
    while low + step <= size and _chance(low + step, n, size, weights) > wanted:
        low, step = low + step, step * 2
    high = min(low + step, size + 1)  # too many, low not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _chance(middle, n, size, weights) > wanted else (low, middle)
    return low


def _found_at_most(x: int, n: int, miss: float) -> Floats:
    """P(at most x found of j positives that were drawn), j = 0, 1, …, n; cut off where it is negligible."""
    from scipy.special import betainc

    if miss == 0:
        return np.ones(x + 1)
    chance: Floats = np.append(np.ones(x + 1), betainc(np.arange(1, n - x + 1), x + 1, miss))
    return chance[chance > NEGLIGIBLE]


def _chance(m: int, n: int, size: int, weights: Floats) -> float:
    """Σ_j weights[j] · P(j of the m positives among n drawn of `size`).

    The first term as a product, the others by the ratio of neighbours: log Γ of 10⁸ alone is rounded by 10⁻⁷.
    """
    least, most = max(0, m + n - size), min(m, n, len(weights) - 1)
    if least > most:
        return 0.0
    fewer, more = sorted((m, n) if least == 0 else (size - m, size - n))  # two sets that must not meet
    first = np.log1p(-more / (size - np.arange(fewer))).sum()
    j = np.arange(least, most)
    ratios = np.log((m - j) * (n - j) / ((j + 1) * (size - m - n + j + 1)))
    return float(weights[least : most + 1] @ np.exp(first + np.append(0.0, np.cumsum(ratios))))


def kept_share(most: int, size: int, known: int) -> float:
    """The positive share of what is kept, at most, once the known positives among `size` samples are removed.

    `most` bounds all positives among the samples, `known` is how many different ones were found by labels. Valid after
    draws of either kind: where most is a bound, most − known bounds those that are left. 0 where nothing is kept.
    """
    return max(0, most - known) / (size - known) if size > known else 0.0


def miss_upper(seeds: Seeds, level: float) -> float:
    """The highest miss rate that seeds allow; 1 where none was shown."""
    return float(binomial_upper(seeds.missed, seeds.shown, level))
