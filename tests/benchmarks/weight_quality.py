"""What weights repair where the right ones are known: filters with known chances, words that nothing was chosen by.

A method's weights are a function of a sample, so what they would leave in endless draws of the filter is known:
Δ* = Σ e·w·1_k / Σ e·w over the pool / the term's share − 1. The oracle's 1/e leaves nothing: mean |Δ*| is the excess.
Δ is the change in the one draw that is kept, where chance adds to it, the more the farther weights are from equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csc_array
from scipy.special import stdtrit

from tasks.classifying import logistic
from tasks.threads import one_thread
from tasks.weights import balancing, features, heldout, probe, propensity
from tasks.weights.balance import Limits, capped, effective_sample_size, pareto_k
from tasks.weights.entropy_balancing import balance_to
from tasks.weights.entropy_dual import Share
from tasks.weights.features import Terms
from tests.benchmarks.filter_speed import met
from tests.benchmarks.simulated_filters import FILTERS, OVERLAP, Simulated, simulate

LIMITS, FOLDS, COMPONENTS = Limits(cap=10.0, ess_floor=0.5), 5, 32
TARGETS = 5  # most frequent shown words that `propensity + targets` restores exactly
WEAKNESSES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)  # of the probe, of which the shown words choose
METHODS = ("none", "probe", "balance", "propensity", "propensity + targets")
ROWS = (*METHODS, "form known", "oracle")


class Made(NamedTuple):
    """A method's weights."""

    kept: np.ndarray  # (m,) of the kept samples, mean 1
    all: np.ndarray  # (n,) of every sample like them


class Run(NamedTuple):
    """What one method's weights do in one draw of a filter."""

    error: float  # mean squared difference from the oracle's weights
    excess: float  # mean |Δ*| of words and pairs that nothing was chosen by
    excess_worst: float
    mean: float  # mean |Δ|
    worst: float
    ess: float  # share of the kept samples
    tail: float  # Pareto k̂, NaN where there is no tail
    weighed: float  # whether the weights are not all 1


def methods(drawn: Simulated) -> dict[str, Made]:
    pool, parts, n = drawn.pool, [drawn.embedding], len(drawn.chance)
    found = features.components_of([features.moments(part, pool.usable) for part in parts], COMPONENTS)
    no_terms = Terms((), csc_array((n, 0)))
    words = balancing.judged_words(pool, drawn.shown, no_terms)
    scores = features.project(parts, found)
    with one_thread():
        balanced = balancing.balance_pool(pool, no_terms, drawn.shown, scores, LIMITS, FOLDS)
    chances = propensity.weigh(parts, found, pool, words, propensity.Settings(LIMITS.cap, FOLDS, 0))
    one = np.ones(n)
    estimated = Made(chances.weights, cut(1 / chances.chance, pool) if np.ptp(chances.weights) else one)
    shares = restored(pool, words)
    met_ = balance_to(shares, estimated.kept, LIMITS).weights
    declared = words.has[:, :TARGETS].toarray()
    equal = Made(np.ones(int(pool.kept.sum())), one)
    return {
        "none": equal,
        "probe": tuned_probe(drawn),
        "balance": Made(balanced.weights, extended(drawn, spanned(balanced, drawn, scores), balanced.weights, equal)),
        "propensity": estimated,
        "propensity + targets": Made(met_, extended(drawn, declared, met_, estimated)),
        "form known": form_known(drawn),
        "oracle": Made(drawn.oracle, 1 / drawn.chance),
    }


def cut(raw: np.ndarray, pool: features.Pool) -> np.ndarray:
    """(n,) weights at the cap where they are above it, relative to the mean of the kept."""
    return np.minimum(raw / raw[pool.kept].mean(), LIMITS.cap)


def restored(pool: features.Pool, words: Terms) -> list[Share]:
    has = words.has[:, :TARGETS].toarray() > 0
    return [Share(one[pool.kept], None, float(one.mean())) for one in has.T]


def tuned_probe(drawn: Simulated) -> Made:
    """The article's probe at the weakness with the least mean |Δ| on the shown words, which it does not see."""
    pool, parts = drawn.pool, [drawn.embedding]
    fold, best = probe.folds_of(pool, FOLDS, 0), None
    for weakness in WEAKNESSES:
        with one_thread():
            raw = probe.weigh(parts, probe.train(parts, pool, fold, FOLDS, weakness), fold)
        kept = capped(raw[pool.kept], LIMITS.cap)
        loss = float(np.abs(changes(drawn, drawn.shown.has, kept)).mean())
        if best is None or loss < best[0]:
            best = loss, Made(kept, cut(raw, pool))
    assert best is not None
    return best[1]


def form_known(drawn: Simulated) -> Made:
    """Propensities by a model that knows what the chances depend on, and estimates how: the floor of estimation."""
    x, label = drawn.form, drawn.pool.kept.astype(np.float64)
    mass = np.full((len(x), 1), 1 / len(x))
    if not x.shape[1]:
        return Made(np.ones(int(label.sum())), np.ones(len(x)))
    one = logistic.fit(*map(torch.from_numpy, (x, label, mass, np.array([1e-6]))))[:, 0].numpy()
    chance = 1 / (1 + np.exp(-(one[0] + x @ one[1:])))
    return Made(capped(1 / chance[drawn.pool.kept], LIMITS.cap), cut(1 / chance, drawn.pool))


def spanned(balanced: balancing.Balanced, drawn: Simulated, scores: np.ndarray) -> np.ndarray:
    """(n, p) features of which the weights' logarithm is a linear function."""
    words = drawn.shown.has.toarray()
    squares = [(scores @ np.array(direction)) ** 2 for direction in balanced.model["directions"]]
    names = [name.split(" and ") for name in balanced.model["features"] if " and " in name]
    pairs = [words[:, [drawn.shown.names.index(one) for one in pair]].prod(axis=1) for pair in names]
    return np.column_stack([scores, words, *squares, *pairs])


def extended(drawn: Simulated, x: np.ndarray, kept: np.ndarray, base: Made) -> np.ndarray:
    """(n,) weights of every sample, from the kept ones': the base's times e to a linear function of x, to the cap."""
    full = np.hstack([np.ones((len(x), 1)), x / np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)])
    free = kept < LIMITS.cap * (1 - 1e-6)
    found = np.linalg.lstsq(full[drawn.pool.kept][free], np.log(kept / base.kept)[free], rcond=1e-8)[0]
    at_base = base.all * base.kept[0] / base.all[drawn.pool.kept][0]
    return np.minimum(at_base * np.exp(full @ found), LIMITS.cap)


def changes(drawn: Simulated, has: csc_array, weights: np.ndarray) -> np.ndarray:
    """(t,) Δ in the draw."""
    return heldout.changes(has.tocsr()[drawn.pool.kept].tocsc(), weights, np.asarray(has.mean(axis=0)).ravel())


def measure(drawn: Simulated, made: Made) -> Run:
    kept = drawn.pool.kept
    share = np.asarray(drawn.hidden.mean(axis=0)).ravel()
    mass = drawn.chance * made.all
    left = np.abs(drawn.hidden.T @ mass / mass.sum() / share - 1)
    size = np.abs(changes(drawn, drawn.hidden, made.kept))
    error, ess = np.mean((made.kept - drawn.oracle) ** 2), effective_sample_size(made.kept) / kept.sum()
    tail = pareto_k(made.kept)
    figures = (error, left.mean(), left.max(), size.mean(), size.max(), ess, np.nan if tail is None else tail)
    return Run(*map(float, figures), float(np.ptp(made.kept) > 1e-9))


def quality_lines(seeds: int, samples: int) -> Iterator[str]:
    """One table a filter, then what the goals say."""
    over_all: dict[str, list[float]] = {name: [] for name in METHODS}
    for shape in FILTERS:
        runs: dict[str, list[Run]] = {name: [] for name in ROWS}
        for seed in range(seeds):
            drawn = simulate(seed, shape, samples)
            for name, made in methods(drawn).items():
                runs[name].append(measure(drawn, made))
        yield f"filter {shape}, {samples:,} samples, {seeds} seeds, {drawn.pool.kept.mean():.0%} kept"
        yield f"  {'method':<20}  weight RMSE  excess  worst  |change| in the draw  worst    ESS  Pareto k  weighs"
        for name, found in runs.items():
            yield f"  {name:<20}  {_row(found)}"
        yield from goal_lines(shape, runs)
        for name in METHODS:
            over_all[name] += [one.mean - bare.mean for one, bare in zip(runs[name], runs["none"], strict=True)]
    for name in METHODS[1:]:
        more = np.array(over_all[name])
        yield f"{name}: |change| in the draw less that of none, over all filters: {interval(more)}"
        yield f"  on average not worse than no weights: {met(more.mean() <= 0)}"


def _row(found: list[Run]) -> str:
    a = np.array(found)
    mean = Run(*a.mean(axis=0))
    tails = a[:, Run._fields.index("tail")]
    tail = f"{np.nanmean(tails):8.2f}" if np.isfinite(tails).any() else f"{'-':>8}"
    first = f"{np.sqrt(mean.error):11.3f}  {mean.excess:6.2%}  {mean.excess_worst:5.1%}"
    return f"{first}  {mean.mean:20.2%}  {mean.worst:5.1%}  {mean.ess:5.1%}  {tail}  {mean.weighed:6.0%}"


def goal_lines(shape: str, runs: dict[str, list[Run]]) -> Iterator[str]:
    excess = {name: np.array([run.excess for run in found]) for name, found in runs.items()}
    if shape in OVERLAP:
        for name in (*METHODS[2:], "form known"):
            ratio = excess[name].mean() / excess["probe"].mean()
            below = excess[name] - excess["probe"] / 2
            goal = "" if name == "form known" else f": {met(below.mean() <= 0)}"
            yield f"  {name}: {ratio:.2f} of the probe's excess; less half of the probe's {interval(below)}{goal}"
    for what in ("excess", "mean"):
        best = min(METHODS, key=lambda name: np.mean([getattr(run, what) for run in runs[name]]))
        yield f"  best by {'excess' if what == 'excess' else '|change| in the draw'}: {best}"


def interval(values: np.ndarray) -> str:
    """The mean and its 95% interval over seeds (Student's t)."""
    wide = 0.0 if len(values) < 2 else stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():+.2%} ({values.mean() - wide:+.2%} to {values.mean() + wide:+.2%})"
