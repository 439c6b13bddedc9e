"""How much balancing helps is judged on terms that it was not shown.

The penalty is chosen by cross-fitting over terms: a fold's terms are neither balanced nor used to choose, then their
changes |Δ| are read. Inner folds choose, outer folds report. The penalty with the least mean |Δ| wins, unless λ = ∞,
which leaves only what must be met exactly, is within one standard error of it. Terms that stand in the same captions
share a fold, else a term would be balanced through its companion.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.weights.balance import Floats, Limits, Solution, effective_sample_size, solve
from tasks.weights.balance_many import solve_many

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
    """m kept samples, p features to balance, t terms to judge by, in F folds."""

    centred: Floats  # (m, p), minus the moments wanted, unit variance; the first `exact` must be met
    exact: int
    candidates: NDArray[np.bool_]  # (1 + F, p) features to use: with all terms, then without those of each fold
    looks_at: NDArray[np.bool_]  # (p, t) whether a feature is made from a term
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


def within(solution: Solution, limits: Limits) -> bool:
    return solution.met and effective_sample_size(solution.weights) >= limits.ess_floor * len(solution.weights)


def judge(problem: Problem, block: Ints, fold: Ints) -> Judged:
    """Choose the penalty, and tell what it does to held-out terms. `block`: (t,) from `companions`, `fold`: (t,)."""
    if not enough(block):
        return Judged(math.inf, None, None)
    if problem.centred.shape[1] == problem.exact:
        bare = _bare(problem)
        return Judged(math.inf, bare, np.array([np.abs(bare).mean()]))
    numbers = range(int(fold.max()) + 1)
    sets = [*((i,) for i in numbers), *combinations(numbers, 2)]
    found = dict(zip(sets, _changes(problem, [_shown(problem, fold, held) for held in sets]), strict=True))
    changes = np.empty(len(block))
    for outer in numbers:
        inner = {i: found[min(i, outer), max(i, outer)] for i in numbers if i != outer}
        shown = fold != outer
        losses = _losses(inner, fold)[:, shown]
        changes[fold == outer] = found[outer,][choose(losses, block[shown])][fold == outer]
    losses = _losses({i: found[i,] for i in numbers}, fold)
    return Judged(PENALTIES[choose(losses, block)], changes, losses.mean(axis=1))


def _shown(problem: Problem, fold: Ints, held: tuple[int, ...]) -> NDArray[np.bool_]:
    """(p,) features that neither are made from terms of the held folds, nor were found with them."""
    looks: NDArray[np.bool_] = np.any(problem.looks_at[:, np.isin(fold, held)], axis=1)
    found: NDArray[np.bool_] = np.all(problem.candidates[[1 + i for i in held]], axis=0)
    return found & ~looks


def held_out(fold: Ints, folds: int) -> NDArray[np.bool_]:
    """(t,) folds of terms → (1 + folds, t) terms that are held out: none, then each fold's."""
    held: NDArray[np.bool_] = fold == np.arange(-1, folds)[:, None]
    return held


def enough(block: Ints) -> bool:
    """Whether (t,) terms can judge anything."""
    return len(block) >= FEWEST and len(np.unique(block)) >= FEWEST // 2


def _losses(changes: dict[int, Floats], fold: Ints) -> Floats:
    """(penalties, t) |Δ| of each term where its own fold was held out; NaN of folds that are not given."""
    out = np.full((len(PENALTIES), len(fold)), np.nan)
    for number, values in changes.items():
        out[:, fold == number] = np.abs(values[:, fold == number])
    return out


def _changes(problem: Problem, used: list[NDArray[np.bool_]]) -> list[Floats]:
    """For each (p,) mask of features: (penalties, t) Δ of all terms; inf from where a limit is broken."""
    exact, limits, finite, bare = problem.exact, problem.limits, PENALTIES[1:], _bare(problem)
    exactly = np.arange(problem.centred.shape[1]) < exact
    masks = np.repeat(np.array(used), len(finite), axis=0)
    charge = np.array([np.where(exactly, 0.0, penalty) for _ in used for penalty in finite])
    many = solve_many(problem.centred.astype(np.float32), masks, charge, limits.cap)
    sums = many.weights.sum(axis=0, dtype=np.float64)
    share = sums**2 / np.einsum("ij,ij->j", many.weights, many.weights, dtype=np.float64) / len(many.weights)
    within = (many.met & (share >= limits.ess_floor)).reshape(len(used), -1)
    within = np.logical_and.accumulate(within, axis=1)
    found = ((problem.has.T @ many.weights) / sums / problem.reference[:, None] - 1).T.reshape(
        len(used), len(finite), -1
    )
    return [np.vstack([bare, np.where(ok[:, None], one, np.inf)]) for ok, one in zip(within, found, strict=True)]


def _bare(problem: Problem) -> Floats:
    """(t,) Δ of all terms under weights that only meet what must be met exactly."""
    exact = problem.exact
    bare = solve(np.ascontiguousarray(problem.centred[:, :exact]), np.zeros(exact), problem.limits.cap, None, ROUGH)
    return changes(problem.has, bare.weights, problem.reference)


def changes(has: csc_array, weights: Floats, reference: Floats) -> Floats:
    """Δ: (t,) weighted share of the kept captions with a term / its share of the reference − 1."""
    share: Floats = has.T @ weights / weights.sum()
    return share / reference - 1


def choose(losses: Floats, block: Ints) -> int:
    """(penalties, t) → the penalty with the least mean loss; the first, no weights, unless it is worse than that one.

    Worse by more than one standard error, paired by term: what cannot be told to help is left alone.
    """
    means = losses.mean(axis=1)
    best = int(means.argmin())
    more = losses[0] - losses[best]
    return best if means[0] - means[best] > standard_error(more, block) else 0


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
