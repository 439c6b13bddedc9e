"""The share of all positives that a filter finds, at least: two methods with a guarantee for the pool.

Model, threshold and method are frozen before the draw. Flagged samples F (N_F of them, P_F positive) reach the
threshold, unflagged ones G do not; recall is P_F/(P_F + P_G). METHODS.md, section 1.
- Large pool: n draws with replacement, each from F with probability β, else from G. Of k positives h are from F, and
  whatever k is, h is binomial with θ/(1−θ) = ω P_F/P_G, ω = βN_G/((1−β)N_F).
- Census: what was labelled earlier is known, best all of F; n draws without replacement from the rest of G.

The recall and the elusion of a certificate each hold at its level. Both at once: at twice the level (large pool), at
the level itself (census, where they rest on one event). All rounds at once: at 1 − confidence.

Labels. `unsure` drawn from G counts as positive. In F it must count as negative, else it raises the bound, unless the
category is declared to hold what annotators are unsure of. Covered by `Seeds`: positives that annotators overlook in
the draws (large pool: at worst only in G) and, for the census, among all labels. The census takes the number
overlooked earlier to be binomial, although what was labelled depended on labels. Not covered: negatives labelled
positive, which lower the bound in G and raise it in F; nor, for a large pool, flagged positives that were labelled
negative and are kept therefore. Known positives that are removed beside the flagged ones only raise the recall.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, inf
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.certifying import elusion
from tasks.certifying.certificate import CENSUS, LARGE_POOL, Certificate, Goal, fewest, verdict
from tasks.certifying.elusion import SEEDS_SHARE, Floats, Seeds

Rows = NDArray[np.int64]
Numbers = float | NDArray[np.int64] | Floats
MOST_DRAWS: Final = 10**7  # no larger number is named


class Draws(NamedTuple):
    """A large pool's sample in the order drawn; a row that was drawn twice stands twice."""

    rows: Rows  # (n,)
    flagged: NDArray[np.bool_]  # (n,), drawn from F


class LargePool(NamedTuple):
    """What a large pool's sample showed."""

    flagged: int  # N_F
    unflagged: int  # N_G
    beta: float
    draws: int  # n, repeats counted each time, as in all that follow but the last
    unflagged_draws: int
    positives: int  # k
    flagged_positives: int  # h
    known: int  # different positives among the draws from G


class SmallPool(NamedTuple):
    """What earlier labels know, and what a sample of the rest of G showed."""

    flagged: int  # N_F
    unflagged: int  # N_G
    labelled: int  # earlier, in F and G together
    flagged_positives: int  # a_F, of the labelled
    unflagged_positives: int  # a_G, of the labelled
    rest: int  # M, of G, not labelled before the draw
    draws: int  # n
    positives: int  # x, of the draws


def draw(flagged: Rows, unflagged: Rows, n: int, beta: float, rng: np.random.Generator) -> Draws:
    """The large pool's n draws from (N_F,) and (N_G,) row numbers; all from one of them where the other is empty."""
    if n and not len(flagged) + len(unflagged):
        raise ValueError(f"{n} draws were asked of an empty pool")
    from_flagged = rng.random(n) < (0.0 if not len(flagged) else beta if len(unflagged) else 1.0)
    rows = np.empty(n, np.int64)
    for stratum, mask in ((flagged, from_flagged), (unflagged, ~from_flagged)):
        if mask.any():
            rows[mask] = stratum[rng.integers(len(stratum), size=int(mask.sum()))]
    return Draws(rows, from_flagged)


def draw_census(rest: Rows, n: int, rng: np.random.Generator) -> Rows:
    """The census's n draws without replacement from the (M,) unlabelled row numbers of G; all of them where M ≤ n."""
    return rng.choice(rest, size=min(n, len(rest)), replace=False)


def counted(draws: Draws, positive: NDArray[np.bool_], sizes: tuple[int, int], beta: float) -> LargePool:
    """What the (n,) labels of the draws amount to. sizes: N_F, N_G."""
    hits, misses = positive & draws.flagged, positive & ~draws.flagged
    known = len(np.unique(draws.rows[misses]))
    n, unflagged_draws = len(positive), int((~draws.flagged).sum())
    return LargePool(*sizes, beta, n, unflagged_draws, int(positive.sum()), int(hits.sum()), known)


def omega(flagged: int, unflagged: int, beta: float, miss: float = 0.0) -> float:
    """ω: how many positives of G one drawn from G stands for, where one drawn from F stands for one of F.

    `miss`: share of G's positives that annotators overlook, at most, while they overlook none of F's: the worst case.
    If they overlooked the same share of both it would cancel out. Infinite where nothing is flagged.
    """
    if not 0 < beta < 1:
        raise ValueError(f"beta must lie between 0 and 1, {beta} was given")
    below = (1 - beta) * flagged * (1 - miss)
    return beta * unflagged / below if below else inf


def recall_bound(h: Numbers, k: Numbers, ratio: Numbers, level: float) -> Floats:
    """θ/(θ + (1−θ)ω), θ = Beta⁻¹(level; h, k−h+1): the recall at least, after h of k positives came from F.

    0 where h = 0. h, k and ratio (ω) may be arrays that broadcast; float64 of their shape.
    """
    from scipy.special import betaincinv

    seen = np.asarray(h) > 0
    theta = np.where(seen, betaincinv(np.where(seen, h, 1), np.subtract(k, h) + 1, level), 0.0)
    return np.where(seen, theta / np.where(seen, theta + (1 - theta) * ratio, 1.0), 0.0)


def large_pool(seen: LargePool, goal: Goal, seeds: Seeds | None = None) -> Certificate:
    """The certificate of a large pool. Where everything is flagged, everything is found."""
    h, k, from_unflagged = seen.flagged_positives, seen.positives, seen.unflagged_draws
    if not (0 <= h <= k <= seen.draws and k - h <= from_unflagged <= seen.draws - h):
        raise ValueError(f"h of k positives in n draws were expected, {seen} was given")

    def lower(times: float, level: float) -> float:
        """The bound if that many times the positives had been seen."""
        left, miss = spend(level, seeds, 1)
        return float(recall_bound(h * times, k * times, omega(seen.flagged, seen.unflagged, seen.beta, miss), left))

    left, miss = spend(goal.level, seeds, 1)
    most = elusion.binomial_most(k - h, from_unflagged, seen.unflagged, left, miss)
    kept = elusion.kept_share(most, seen.unflagged, seen.known)
    found = 1.0 if not seen.unflagged else lower(1, goal.level) if k else None
    would_do = None
    if k and verdict(found, goal.recall) != "certified":
        would_do = fewest(lambda n: lower(n / seen.draws, goal.level / 2) >= goal.recall, seen.draws, MOST_DRAWS)
    return _certificate(seen, goal, seeds, (found, kept), would_do)


def census(seen: SmallPool, goal: Goal, seeds: Seeds | None = None) -> Certificate:
    """The certificate of a small pool. Where not all of F is labelled the bound holds too, and is lower."""
    x, n, a_F, a_G = seen.positives, seen.draws, seen.flagged_positives, seen.unflagged_positives
    if not (0 <= x <= n <= seen.rest <= seen.unflagged - a_G and 0 <= a_F + a_G <= seen.labelled):
        raise ValueError(f"x positives in n draws from the rest of G were expected, {seen} was given")

    def positives(draws: int, level: float) -> tuple[int, int]:
        """The most among the labelled and in the rest of G, if so many draws had shown positives at the same rate."""
        left, miss = spend(level, seeds, 2)
        known = elusion.hypergeometric_upper(a_F + a_G, seen.labelled, seen.labelled, SEEDS_SHARE * level, miss)
        return known, elusion.hypergeometric_upper(ceil(x * draws / max(n, 1)), draws, seen.rest, left, miss)

    def lower(draws: int, level: float) -> float:
        return a_F / max(1, sum(positives(draws, level)))

    most = sum(positives(n, goal.level)) - a_F
    kept = elusion.kept_share(most, seen.unflagged, a_G + x)
    found = 1.0 if not seen.unflagged else lower(n, goal.level) if a_F + a_G + x else None
    would_do = None
    if n and verdict(found, goal.recall) != "certified":
        would_do = fewest(lambda draws: lower(draws, goal.level / 2) >= goal.recall, n, seen.rest)
    return _certificate(seen, goal, seeds, (found, kept), would_do)


def spend(level: float, seeds: Seeds | None, statements: int) -> tuple[float, float]:
    """What of the level is left for the draws, and the bound of the miss rate, 0 without seeds.

    A share goes to the miss rate and, if `statements` is 2, one to the positives overlooked earlier: a union bound.
    """
    if seeds is None:
        return level, 0.0
    return level * (1 - statements * SEEDS_SHARE), elusion.miss_upper(seeds, SEEDS_SHARE * level)


def _certificate(
    seen: LargePool | SmallPool,
    goal: Goal,
    seeds: Seeds | None,
    bounds: tuple[float | None, float],
    would_do: int | None,
) -> Certificate:
    """bounds: of recall and elusion."""
    method, counts, miss = LARGE_POOL if isinstance(seen, LargePool) else CENSUS, seen._asdict(), None
    if seeds is not None:
        counts |= {"seeds_shown": seeds.shown, "seeds_missed": seeds.missed}
        miss = spend(goal.level, seeds, 1)[1]
    judged = verdict(bounds[0], goal.recall)
    return Certificate(method, judged, goal.recall, *bounds, goal.level, goal.round, counts, miss, would_do)


def fixed_sequence(
    scores: Floats, thresholds: Sequence[float], seen: LargePool, goal: Goal, seeds: Seeds | None = None
) -> tuple[float, ...]:
    """The thresholds, from the first to the last before the first failure, whose recall is certified to be the goal's.

    scores: (k,) of the positives drawn, a repeat each time. thresholds: set before the draw, in the order to be tried;
    F of the draw need be none of theirs. Each is tested at the goal's full level, and all promises together hold at
    that level, since a false one needs the first false hypothesis to be rejected (Maurer, Hothorn and Lehmacher 1995).
    What is promised is the goal's recall, never the bound at the threshold chosen.
    Positives between a threshold and F's own were drawn at another rate: the worst of the two is taken, ω ≥ 1.
    """
    if len(scores) != seen.positives:
        raise ValueError(f"the scores of {seen.positives} positives were expected, {len(scores)} were given")
    left, miss = spend(goal.level, seeds, 1)
    ratio = max(omega(seen.flagged, seen.unflagged, seen.beta, miss), 1 / (1 - miss) if miss < 1 else inf)
    hits = np.array([int((scores >= threshold).sum()) for threshold in thresholds], np.int64)
    reached = recall_bound(hits, seen.positives, ratio, left) >= goal.recall
    return tuple(thresholds[: len(thresholds) if reached.all() else int(reached.argmin())])
