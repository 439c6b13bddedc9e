"""The interval of a mean score Σw·p/Σw: what another pool of this size from the same source would show, scored alike.

The unit of chance is the near-duplicate group. The variance is the linearised ratio's; the limits are binomial ones on
as many units as have it (Korn and Graubard 1998), fewer by Student's quantile for the number of units that carry it: a
mean of scores near 0 is as skewed as a share. METHODS.md, section 2.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.words.changes import TOO_FEW_GROUPS, divide

UNSEEN: Final = (
    3.0  # units of mean mass whose score is all or nothing, that deviations have to be worth; see `interval`
)

Floats = NDArray[np.float64]


class Harm(NamedTuple):
    """Mean scores, and sums over the units that have a score; masses in any one scale."""

    mean: Floats  # (a,) NaN where nothing has a score
    units: Floats  # (a,)
    mass: Floats  # (a,) Σm
    squares: Floats  # (a,) Σm²
    second: Floats  # (a,) Σz² of z = m·(p − mean)
    fourth: Floats  # (a,) Σz⁴

    @property
    def effective_groups(self) -> Floats:
        """(a,) (Σz²)²/Σz⁴: as many units of equal influence would make the variance as uncertain."""
        return np.nan_to_num(divide(self.second**2, self.fourth))


def interval(harm: Harm, level: float = 0.95) -> tuple[Floats, Floats]:
    """(a,), (a,) lower and upper bounds; NaN below TOO_FEW_GROUPS effective groups.

    NaN, too, where the deviations are worth fewer than UNSEEN units: one image with a high score, of a kind of which by
    chance none is here, would then change the mean by more than all that is seen.
    """
    from scipy.special import betaincinv, ndtri, stdtrit

    effective = harm.effective_groups
    typical = divide(harm.squares, harm.mass)
    carried = (effective >= TOO_FEW_GROUPS) & (divide(harm.second, typical**2) >= UNSEEN)
    variance = divide(harm.second, harm.mass**2) * divide(harm.units, harm.units - 1)
    wider = divide(stdtrit(np.maximum(effective - 1, 1), 0.5 + level / 2), ndtri(0.5 + level / 2))
    trials = divide(harm.mean * (1 - harm.mean), variance * wider**2)
    hits, misses, tail = harm.mean * trials, (1 - harm.mean) * trials, (1 - level) / 2
    lower = betaincinv(np.maximum(hits, 1e-9), misses + 1, tail)
    upper = betaincinv(hits + 1, np.maximum(misses, 1e-9), 1 - tail)
    return np.where(carried, lower, np.nan), np.where(carried, upper, np.nan)
