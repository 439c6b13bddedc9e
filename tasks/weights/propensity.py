"""The method `propensity`: w = P(keep) / e(c), with e(c) the chance that a sample with coarse features c was kept.

c are the features that the filter is found to depend on (effects.py), never its score. e is a logistic regression
that has not seen the sample's near-duplicate group (cross-fitting), calibrated on such unseen samples (Platt 1999).
Where kept samples resemble the removed ones, w is the density ratio of c; where they do not, no weights repair what is
missing, and the facts say so. Whether the weights help is told by words that were not among the features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.classifying import logistic
from tasks.threads import one_thread
from tasks.weights import balancing, coarse, effects, heldout, keep_model, probe
from tasks.weights.balance import Floats, capped, pareto_k
from tasks.weights.features import Components, Pool, Terms
from tasks.weights.keep_model import Target

BINS = 4096  # of logits, from which the calibration is fitted
GROUPS = 20  # of equal mass, by which the calibration is told
RIDGE = 1e-6  # on the calibration's slope
LOW = 0.05  # chance of being kept from which a removed sample has next to no kept ones like it
MOST_LOW = 0.05  # share of removed samples with so low a chance, relative to P(keep), where there is overlap
SUPPORTED = 0.9  # least supported share where there is overlap
HEAVY = 0.7  # Pareto k̂ from which averages are unreliable,
LARGE = (
    10.0  # if some weight is as many times the mean: a few levels of small weights have no tail, and k̂ is any number
)


class Settings(NamedTuple):
    """How propensities are made."""

    cap: float  # largest weight; the mean is 1
    folds: int  # of samples, and of words that are held out
    seed: int


class Weighted(NamedTuple):
    """Weights, the propensities that they come from, and their account."""

    weights: Floats  # (m,) of the kept samples
    raw: Floats  # (m,) P(keep) / e, neither capped nor scaled
    chance: Floats  # (n,) e(c) by the model that did not see the sample; NaN where not usable
    facts: Mapping[str, Any]  # propensity, held_out
    model: Mapping[str, Any]  # names and scales of the features, coefficients of each fold's model


class Calibrated(NamedTuple):
    """Chances of being kept, calibrated on samples that their models did not see."""

    chance: Floats  # (n,)
    intercept: float
    slope: float


def weigh(
    embeddings: Sequence[NDArray[np.floating]], found: Components, pool: Pool, words: Terms, settings: Settings
) -> Weighted:
    """Weights of the m kept samples of a pool from which some were removed, and some not.

    `words`: those of (n, t) that may be features or judge, the frequent ones first. Features are made a block at a time
    in each pass over the parts, so that of a sample only a few numbers are held.
    """
    target = keep_model.target_of(pool)
    if keep_share(target) == 1:
        return _nothing_lost(pool)
    shown = min(len(words.names), balancing.TERM_FEATURES)
    block = heldout.companions(words.has.tocsr()[pool.usable])
    word_fold = heldout.spread_over_folds(block, min(settings.folds, max(1, len(np.unique(block)))))
    held = heldout.held_out(word_fold[:shown], int(word_fold.max(initial=-1)) + 1 if heldout.enough(block) else 0)
    with one_thread():
        fold = probe.folds_of(pool, settings.folds, settings.seed)
        full = coarse.linear(embeddings, found, words.has[:, :shown])
        choice = effects.choose(full, target, held, settings.seed)
        models = keep_model.train(choice.coarse, target, fold, choice.used, choice.start)
        logits = keep_model.predict(choice.coarse, models, fold)
        fit = calibrate(logits[:, 0], target)
        judging = [capped(1 / calibrate(one, target).chance[pool.kept], settings.cap) for one in logits.T[1:]]
    raw = keep_share(target) / fit.chance[pool.kept]
    facts = account(fit, target)
    facts["features"] = choice.coarse.effects.select(choice.used[0]).names(words.names)
    if not facts["features"]:
        facts["weights_are"] = "equal: removal cannot be told from chance by any coarse feature"
    chosen, held_out = _judge(pool, words, word_fold, judging, facts["overlap"])
    facts = {"propensity": facts, "held_out": held_out}
    final = capped(raw, settings.cap) if chosen else np.ones(len(raw))
    return Weighted(final, raw, fit.chance, facts, _model(choice, models, words, settings))


def _model(choice: effects.Choice, models: keep_model.Models, words: Terms, settings: Settings) -> dict[str, Any]:
    """What chances can be made from again: features, their scales, and a column of coefficients a fold."""
    made = choice.coarse
    return {
        "features": made.effects.names(words.names),
        "directions": made.effects.directions.T.tolist(),
        "scale": made.scale.tolist(),
        "mean": made.found.mean.tolist(),
        "coefficients": models.coefficients[:, : settings.folds].T.tolist(),
    }


def keep_share(target: Target) -> float:
    """P(keep): of the pool's units, those of which something was kept."""
    return float(target.mass @ target.kept / target.mass.sum())


def _nothing_lost(pool: Pool) -> Weighted:
    """What was removed are copies of what was kept."""
    equal = np.ones(int(pool.kept.sum()))
    facts = {"propensity": {"keep_share": 1.0, "overlap": True, "weights_are": "equal: of every unit some was kept"}}
    return Weighted(equal, equal, np.where(pool.usable, 1.0, np.nan), {**facts, "held_out": None}, {})


def calibrate(logits: Floats, target: Target) -> Calibrated:
    """(n,) logits of samples that their models did not see → chances with the slope and intercept that fit them best.

    A slope below 1 takes back what was fitted to chance; below 0, logits tell nothing and all chances are P(keep).
    """
    import torch

    some = target.mass > 0
    edges = np.linspace(logits[some].min(), logits[some].max(), BINS + 1)
    place = np.clip(np.searchsorted(edges, logits[some], side="right") - 1, 0, BINS - 1)
    mass, kept, total = (
        np.bincount(place, target.mass[some] * x, BINS) for x in (1.0, target.kept[some], logits[some])
    )
    full = mass > 0
    x, y, weight = total[full] / mass[full], kept[full] / mass[full], mass[full] / mass.sum()
    one = logistic.fit(*map(torch.from_numpy, (x[:, None], y, weight[:, None], np.array([RIDGE]))))
    intercept, slope = one[:, 0].tolist()
    if slope <= 0:
        rate = keep_share(target)
        intercept, slope = math.log(rate / (1 - rate)), 0.0
    return Calibrated(1 / (1 + np.exp(-(intercept + slope * logits))), intercept, slope)


def _judge(
    pool: Pool, words: Terms, word_fold: NDArray[np.int64], held: list[Floats], overlap: bool
) -> tuple[bool, dict[str, Any]]:
    """Whether to weigh, and what words say that were no features of the weights that they judge.

    A density ratio is used as it is. Where there is none, no weights are the smoother candidate: they are best unless
    held-out words are better with weights by more than a standard error.
    """
    has = words.has.tocsr()[pool.kept].tocsc()
    reference, block = pool.counts(words) / pool.share.sum(), heldout.companions(words.has.tocsr()[pool.usable])
    before = heldout.changes(has, np.ones(has.shape[0]), reference)
    if not held:
        facts = heldout.account(before, None, block)
        return True, {**facts, "verdict": heldout.verdict(facts)}
    after = np.empty(len(before))
    for number, weights in enumerate(held):
        after[word_fold == number] = heldout.changes(has, weights, reference)[word_fold == number]
    chosen = overlap or heldout.choose(np.abs([before, after]), block) == 1
    facts = heldout.account(before, after, block)
    verdict = heldout.verdict(facts)
    return chosen, {**facts, "verdict": verdict if chosen else f"no weights are best: all weights are 1; {verdict}"}


def account(fit: Calibrated, target: Target) -> dict[str, Any]:
    """What the chances say of the filter: whether kept samples resemble the removed ones, and how well they fit."""
    rate, kept = keep_share(target), target.kept
    lost = (target.mass > 0) & ~kept
    raw, mass = rate / fit.chance[kept], target.mass[lost]
    low, lower = (float((mass * (fit.chance[lost] < x)).sum() / mass.sum()) for x in (LOW, LOW * rate))
    facts = {
        "keep_share": rate,
        "supported_share": float(raw.mean()),
        "removed_below_0.05": low,
        "pareto_k": pareto_k(raw),
        "calibration": {"intercept": fit.intercept, "slope": fit.slope, "error": calibration_error(fit.chance, target)},
    }
    against = _against(facts, lower, float(raw.max() / raw.mean()))
    what = "the density ratio, of the coarse features, between the pool and what was kept"
    if against:
        what = f"no density ratio, for what was kept does not cover the pool: {'; '.join(against)}"
    return {**facts, "overlap": not against, "weights_are": what}


def _against(facts: Mapping[str, Any], low: float, largest: float) -> list[str]:
    """Reasons for which kept samples do not cover the pool."""
    out = []
    if facts["supported_share"] < SUPPORTED:
        out.append(f"weights of kept samples add up to {facts['supported_share']:.0%} of the pool")
    if low > MOST_LOW:
        out.append(f"{low:.0%} of the removed samples have next to no kept ones like them")
    if (facts["pareto_k"] or 0.0) > HEAVY and largest > LARGE:
        out.append(f"a few weights outweigh the others (Pareto k {facts['pareto_k']:.2f})")
    return out


def calibration_error(chance: Floats, target: Target) -> float:
    """Mean |kept share − mean chance| over GROUPS groups of about equal mass, in order of the chance."""
    some = np.flatnonzero(target.mass > 0)
    order = some[np.argsort(chance[some], kind="stable")]
    mass = target.mass[order]
    group = np.minimum((np.cumsum(mass) / mass.sum() * GROUPS).astype(np.int64), GROUPS - 1)
    off = np.bincount(group, mass * (target.kept[order] - chance[order]))
    return float(np.abs(off).sum() / mass.sum())
