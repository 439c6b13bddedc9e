"""How much balancing helps is judged on terms that it was not shown.

The penalty is chosen by cross-fitting over terms: a fold's terms are neither balanced nor used to choose, then their
changes |Δ| are read. Inner folds choose, outer folds report. The smoothest penalty within one standard error of the
best wins, and λ = ∞, which leaves only what must be met exactly, is among the candidates. Terms that stand in the same
captions share a fold, else a term would be balanced through its companion.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.balance import TOLERANCE, Floats, Limits, Solution, effective_sample_size, solve

if TYPE_CHECKING:
    from scipy.sparse import csc_array

Ints = NDArray[np.int64]

PENALTIES = (math.inf, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)  # λ on features of unit variance, smoothest first
FEWEST = 10  # terms, and half as many blocks of them: with fewer nothing is judged
JACCARD = (0.1, 0.2, 0.3, 0.5, 0.7)  # of two terms' captions, from which they are companions; the first that fits
LARGEST_BLOCK = 0.25  # share of the terms
LEVEL = 0.95
ROUGH = 1e-5  # tolerance of the fits that only choose and judge


class Problem(NamedTuple):
    """m kept samples, p features to balance, t terms to judge by."""

    centred: Floats  # (m, p), minus the moments wanted, unit variance; the first `exact` must be met
    exact: int
    term: Ints  # (p,), the judged term that a feature is, -1 where it is none
    has: csc_array  # (m, t), 1 where a kept caption has the term
    reference: Floats  # (t,), share of the reference
    limits: Limits


class Judged(NamedTuple):
    """What held-out terms say."""

    penalty: float  # λ chosen; inf: none beyond what must be met exactly
    changes: Floats | None  # (t,) Δ of each term under weights that knew nothing of it; None where nothing was judged
    candidates: Floats | None  # (len(PENALTIES),) mean |Δ| of held-out terms; inf where below the floor


class Interval(NamedTuple):
    mean: float
    lower: float
    upper: float


def fit(problem: Problem, penalty: float) -> Solution:
    """The weights of one penalty on all features."""
    return _path(problem, np.ones(len(problem.term), dtype=bool), (math.inf, penalty), TOLERANCE)[-1]


def judge(problem: Problem, block: Ints, folds: int) -> Judged:
    """Choose the penalty, and tell what it does to held-out terms. `block`: (t,) from `companions`."""
    if not enough(block) or problem.centred.shape[1] == problem.exact:
        return Judged(math.inf, None, None)
    count = len(block)
    fold = spread_over_folds(block, min(folds, len(np.unique(block))))
    numbers = range(int(fold.max()) + 1)
    sets = [*((i,) for i in numbers), *combinations(numbers, 2)]
    found = {held: _changes(problem, np.isin(fold, held)) for held in sets}
    changes = np.empty(count)
    for outer in numbers:
        inner = {i: found[min(i, outer), max(i, outer)] for i in numbers if i != outer}
        shown = fold != outer
        losses = _losses(inner, fold)[:, shown]
        changes[fold == outer] = found[outer,][smoothest(losses, block[shown])][fold == outer]
    losses = _losses({i: found[i,] for i in numbers}, fold)
    return Judged(PENALTIES[smoothest(losses, block)], changes, losses.mean(axis=1))


def enough(block: Ints) -> bool:
    """Whether (t,) terms can judge anything."""
    return len(block) >= FEWEST and len(np.unique(block)) >= FEWEST // 2


def _losses(changes: dict[int, Floats], fold: Ints) -> Floats:
    """(penalties, t) |Δ| of each term where its own fold was held out; NaN of folds that are not given."""
    out = np.full((len(PENALTIES), len(fold)), np.nan)
    for number, values in changes.items():
        out[:, fold == number] = np.abs(values[:, fold == number])
    return out


def _changes(problem: Problem, held: NDArray[np.bool_]) -> Floats:
    """(penalties, t) Δ of all terms under weights made without the held ones; inf where below the floor."""
    used = (problem.term < 0) | ~held[problem.term]
    out = np.full((len(PENALTIES), len(held)), np.inf)
    for i, solution in enumerate(_path(problem, used, PENALTIES, ROUGH)):
        out[i] = changes(problem.has, solution.weights, problem.reference)
    return out


def changes(has: csc_array, weights: Floats, reference: Floats) -> Floats:
    """Δ: (t,) weighted share of the kept captions with a term / its share of the reference − 1."""
    share: Floats = has.T @ weights / weights.sum()
    return share / reference - 1


def _path(problem: Problem, used: NDArray[np.bool_], penalties: tuple[float, ...], tolerance: float) -> list[Solution]:
    """Solutions for falling penalties, each begun at the last; it ends before the first that breaks a limit."""
    exact = problem.exact
    columns = np.flatnonzero(used)
    centred: NDArray[np.floating] = problem.centred[:, columns]
    if tolerance >= ROUGH:
        centred = centred.astype(np.float32)  # measured three times faster
    solutions: list[Solution] = []
    for penalty in penalties:
        if math.isinf(penalty):
            solution = solve(np.ascontiguousarray(centred[:, :exact]), np.zeros(exact), problem.limits.cap)
            theta = np.concatenate([solution.theta, np.zeros(len(columns) - exact)])
            solution = solution._replace(theta=theta, curvature=None)
        else:
            charge = np.where(np.arange(len(columns)) < exact, 0.0, penalty)
            solution = solve(centred, charge, problem.limits.cap, solutions[-1], tolerance)
            share = effective_sample_size(solution.weights) / len(solution.weights)
            if not solution.met or share < problem.limits.ess_floor:
                break
        solutions.append(solution)
    return solutions


def smoothest(losses: Floats, block: Ints) -> int:
    """(penalties, t) → the first whose mean loss is within one standard error, paired by term, of the best."""
    best = int(losses.mean(axis=1).argmin())
    for i in range(best):
        if np.isfinite(losses[i]).all():
            more = losses[i] - losses[best]
            if more.mean() <= standard_error(more, block):
                return i
    return best


def standard_error(values: Floats, block: Ints) -> float:
    """Of the mean of (t,) values that vary together within a block; inf of a single block."""
    sums = np.bincount(np.unique(block, return_inverse=True)[1], values - values.mean())
    if len(sums) < 2:
        return math.inf
    return float(np.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1)) / len(values))


def mean_interval(values: Floats, block: Ints) -> Interval:
    """The mean of (t,) values and its 95% interval: what other such terms would show (Student's t over blocks)."""
    from scipy.special import stdtrit

    wide = stdtrit(len(np.unique(block)) - 1, (1 + LEVEL) / 2) * standard_error(values, block)
    return Interval(float(values.mean()), float(values.mean() - wide), float(values.mean() + wide))


def companions(has: csc_array) -> Ints:
    """(n, t) captions with terms → (t,) number of each term's block: terms linked by a shared part of their captions.

    Links need the smallest overlap (Jaccard) that leaves no block with more than a quarter of the terms.
    """
    from scipy.sparse.csgraph import connected_components

    count = has.shape[1]
    if not count:
        return np.empty(0, np.int64)
    both = (has.T @ has).tocoo()
    sizes = np.asarray(has.sum(axis=0)).ravel()
    overlap = both.data / (sizes[both.row] + sizes[both.col] - both.data)
    for least in JACCARD:
        near = overlap >= least
        links = type(both)((overlap[near], (both.row[near], both.col[near])), shape=(count, count))
        block: Ints = connected_components(links, directed=False)[1].astype(np.int64)
        if np.bincount(block).max(initial=0) <= max(1, LARGEST_BLOCK * count):
            return block
    return np.arange(count)


def spread_over_folds(block: Ints, folds: int) -> Ints:
    """(t,) blocks → (t,) folds of about equal size; a block stays whole."""
    numbers, inverse, sizes = np.unique(block, return_inverse=True, return_counts=True)
    fold, filled = np.empty(len(numbers), np.int64), np.zeros(folds, np.int64)
    for i in np.argsort(-sizes, kind="stable"):
        fold[i] = filled.argmin()
        filled[fold[i]] += sizes[i]
    return fold[inverse]


def account(before: Floats, after: Floats | None, block: Ints) -> dict[str, Any]:
    """Mean |Δ| of held-out terms without weights and with them, and the difference with its interval."""
    facts: dict[str, Any] = {"terms": len(before), "mean_abs_before": None, "mean_abs_after": None}
    facts |= {"difference": None, "lower": None, "upper": None}
    if after is None:
        return facts
    difference = mean_interval(np.abs(after) - np.abs(before), block)
    facts |= {"mean_abs_before": float(np.abs(before).mean()), "mean_abs_after": float(np.abs(after).mean())}
    return facts | {"difference": difference.mean, "lower": difference.lower, "upper": difference.upper}


def verdict(facts: dict[str, Any]) -> str:
    """In words, what an `account` says."""
    if facts["difference"] is None:
        return f"too few terms to judge the weights by: at least {FEWEST} that vary apart are needed"
    means = f"mean |change| {facts['mean_abs_before']:.2%} without weights, {facts['mean_abs_after']:.2%} with them"
    if facts["upper"] < 0:
        return f"weights bring held-out terms closer to the pool: {means}"
    if facts["lower"] > 0:
        return f"weights move held-out terms away from the pool: {means}; no weights are best on held-out terms"
    return f"weights neither help nor harm held-out terms beyond doubt: {means}"
