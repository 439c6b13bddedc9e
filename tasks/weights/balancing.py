"""The method `balance`: from a pool's features to weights, and the account of what they restore and what they do not.

Balanced are the coarse features that the filter is found to depend on (effects.py), no harder than helps on
held-out terms (heldout.py); groups asked for get their share exactly (balance.py) where enough of them was
kept (restore.py). A bounded number of samples chooses; only the last fit passes over all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.weights import balance, coarse, effects, heldout, keep_model, kept_blocks, restore
from tasks.weights.balance import Blocks, Dense, Floats, Limits, Solution
from tasks.weights.coarse import Coarse, Ints
from tasks.weights.features import Components, Pool, Terms

TERM_FEATURES = 64  # most frequent supported words that may be features beside the components
SEED = 0  # of the samples that choose


class Images(NamedTuple):
    """What a pool's images look like."""

    parts: Sequence[NDArray[np.floating]]  # (rows, d) embeddings each
    found: Components


class Balanced(NamedTuple):
    """Weights and their account."""

    weights: Floats  # (m,) of the kept samples
    facts: Mapping[str, Any]  # restored, not_restored, held_out, penalty, cap_cost
    model: Mapping[str, Any]  # feature names, wanted moments, scales, theta, intercept


class _Frame(NamedTuple):
    """What does not depend on the groups asked for."""

    judged: Terms
    block: Ints  # (t,)
    fold: Ints  # (t,)
    coarse: Coarse
    candidates: NDArray[np.bool_]  # (1 + F, p)
    rows: Ints  # of samples that choose and judge


class _Exact(NamedTuple):
    """Groups that must be met."""

    groups: Terms
    met: Floats  # (r,) shares of the weight
    scale: Floats  # (r,) standard deviations of their indicators


class _Fit(NamedTuple):
    source: Blocks
    solution: Solution
    judged: heldout.Judged
    before: Floats  # (t,) Δ of the judged terms without weights
    met: Floats  # shares of the restored groups, as they are met
    model: dict[str, Any]


def balance_pool(pool: Pool, asked: Terms, words: Terms, scores: Floats, limits: Limits, folds: int) -> Balanced:
    """`balance_parts` where the (n, k) scores on the components are in memory."""
    width = scores.shape[1]
    images = Images([scores], Components(np.zeros(width), np.eye(width)))
    return balance_parts(images, pool, (asked, words), limits, folds)


def balance_parts(images: Images, pool: Pool, terms: tuple[Terms, Terms], limits: Limits, folds: int) -> Balanced:
    """Weights of the m kept samples. `terms`: groups to restore, and the frequent words.

    A group whose weight would rest on too few captions is given up, and the rest is fitted again.
    """
    asked, words = terms
    stands = restore.standing(pool, asked)
    why = restore.reasons(stands)
    kept = asked.has.tocsr()[pool.kept].tocsc()
    frame = _frame(images, pool, judged_words(pool, words, asked), folds)
    while True:
        chosen = np.array([reason is None for reason in why], dtype=bool)
        fit = _fit(frame, pool, _select(asked, chosen), limits)
        effective = restore.effective_captions(kept, fit.solution.weights)
        thin = np.flatnonzero(chosen & (effective < restore.EFFECTIVE))
        if not len(thin):
            break
        for i in thin:
            why[i] = restore.thin(effective[i])
    for i, met in zip(np.flatnonzero(chosen), fit.met, strict=True):
        if met != stands.reference[i]:
            why[i] = restore.out_of_reach(stands.reference[i], met, limits)
    restored, lost = restore.rows(asked, stands, changes_after(pool, asked, stands, fit.solution.weights), why)
    facts = {
        "restored": restored,
        "not_restored": lost,
        "held_out": _held_out(fit, frame.block, bool(chosen.any())),
        "penalty": None if math.isinf(fit.judged.penalty) else fit.judged.penalty,
        "cap_cost": _cap_cost(fit, limits.cap),
    }
    return Balanced(fit.solution.weights, facts, fit.model)


def judged_words(pool: Pool, words: Terms, asked: Terms) -> Terms:
    """Words that weights could repair and that no exact constraint settles: they are balanced, or held out."""
    supported = [reason is None for reason in restore.reasons(restore.standing(pool, words))]
    settled = restore.companions_of(words, asked, pool.usable)
    return _select(words, np.array(supported, dtype=bool) & ~settled)


def _select(terms: Terms, chosen: NDArray[np.bool_]) -> Terms:
    places = np.flatnonzero(chosen)
    return Terms(tuple(terms.names[i] for i in places), terms.has[:, places])


def _frame(images: Images, pool: Pool, judged: Terms, folds: int) -> _Frame:
    """The features that the filter depends on, found with all words and without those of each fold."""
    block = heldout.companions(judged.has.tocsr()[pool.usable])
    fold = heldout.spread_over_folds(block, min(folds, max(1, len(np.unique(block)))))
    shown = min(len(judged.names), TERM_FEATURES)
    held = heldout.held_out(fold[:shown], int(fold.max(initial=-1)) + 1 if heldout.enough(block) else 0)
    full = coarse.linear(images.parts, images.found, judged.has[:, :shown])
    choice = effects.choose(full, keep_model.target_of(pool), held, SEED)
    rows = np.flatnonzero(pool.usable)
    if len(rows) > effects.SAMPLES:
        rows = np.sort(np.random.default_rng(SEED).choice(rows, effects.SAMPLES, replace=False))
    return _Frame(judged, block, fold, choice.coarse, choice.used, rows)


def _fit(frame: _Frame, pool: Pool, groups: Terms, limits: Limits) -> _Fit:
    """Meet the groups, choose the penalty on held-out words, and fit with all of them.

    On all samples the floor may be reached a little sooner than on those that chose: then a smoother penalty is taken.
    """
    wanted = pool.counts(groups) / pool.share.sum()
    met, _ = balance.meet(groups.has.tocsr()[pool.kept].toarray(), wanted, limits)
    problem, exact = _problem(frame, pool, groups, met, limits)
    judged = heldout.judge(problem, frame.block, frame.fold)
    for penalty in [one for one in heldout.PENALTIES[::-1] if one >= judged.penalty]:
        source, solution, model = _weights(frame, pool, problem, exact, penalty)
        if heldout.within(solution, limits):
            break
    before = heldout.changes(problem.has, np.ones(problem.has.shape[0]), problem.reference)
    return _Fit(source, solution, judged._replace(penalty=penalty), before, met, model)


def _problem(frame: _Frame, pool: Pool, groups: Terms, met: Floats, limits: Limits) -> tuple[heldout.Problem, _Exact]:
    """The samples that choose and judge, a pool of their own; and the groups that all of them must meet."""
    at = frame.rows
    part = Pool(pool.kept[at], pool.usable[at], pool.unit[at], pool.share[at])
    indicators = groups.has.tocsr()[at].toarray()
    x = coarse.gather(frame.coarse, at).x[:, 1:]
    exact = _Exact(groups, met, part.spread(indicators))
    centred = np.hstack([(indicators - met) / exact.scale, x - part.mean(x)])[part.kept]
    has = frame.judged.has.tocsr()[at]
    shown, r, t = frame.coarse.words.shape[1], len(met), len(frame.judged.names)
    looks_at = np.zeros((centred.shape[1], t), dtype=bool)
    for i, word in enumerate(np.eye(shown, dtype=bool)):
        looks_at[r:, i] = frame.coarse.effects.looks_at(word)
    candidates = np.hstack([np.ones((len(frame.candidates), r), dtype=bool), frame.candidates])
    reference = part.counts(Terms(frame.judged.names, has.tocsc())) / part.share.sum()
    return heldout.Problem(centred, r, candidates, looks_at, has[part.kept].tocsc(), reference, limits), exact


def _weights(
    frame: _Frame, pool: Pool, problem: heldout.Problem, exact: _Exact, penalty: float
) -> tuple[Blocks, Solution, dict[str, Any]]:
    """The weights of all kept samples by one penalty: what they solve, and what they can be made from again."""
    used = frame.candidates[0] & math.isfinite(penalty)
    r, cap = problem.exact, problem.limits.cap
    columns = np.append(np.ones(r, dtype=bool), used)
    charge = np.where(np.arange(columns.sum()) < r, 0.0, penalty)
    chosen = frame.coarse._replace(
        effects=frame.coarse.effects.select(used), scale=frame.coarse.scale[np.append(True, used)]
    )
    means = kept_blocks.means(chosen, pool)
    source: Blocks = Dense(np.ascontiguousarray(problem.centred[:, columns]))
    solution = balance.solve(source, charge, cap)
    if len(frame.rows) < pool.usable.sum():
        moments, scale = np.append(exact.met, means), np.append(exact.scale, np.ones(len(means)))
        source = kept_blocks.Kept(pool.kept, exact.groups.has.tocsr(), chosen, moments, scale)
        solution = balance.solve(source, charge, cap, solution)
    scale = chosen.scale[1:]
    model = {
        "features": [*exact.groups.names, *chosen.effects.names(frame.judged.names)],
        "directions": chosen.effects.directions.T.tolist(),
        "moments": [*exact.met.tolist(), *(means * scale).tolist()],
        "scale": [*exact.scale.tolist(), *scale.tolist()],
        "theta": solution.theta.tolist(),
        "intercept": solution.intercept,
        "cap": cap,
    }
    return source, solution, model


def _held_out(fit: _Fit, block: Ints, exact: bool) -> dict[str, Any]:
    """What held-out words say, and every candidate's mean |Δ| on them."""
    facts = heldout.account(fit.before, fit.judged.changes, block)
    candidates = fit.judged.candidates if fit.judged.candidates is not None else np.empty(0)
    facts["candidates"] = [
        {"penalty": None if math.isinf(penalty) else penalty, "mean_abs": float(mean)}
        for penalty, mean in zip(heldout.PENALTIES, candidates, strict=False)
        if math.isfinite(mean)
    ]
    return {**facts, "verdict": _verdict(fit, facts, exact)}


def _verdict(fit: _Fit, facts: dict[str, Any], exact: bool) -> str:
    """In words. Where no penalty helped, nothing is weighted beyond what must be met exactly."""
    if facts["difference"] is None or math.isfinite(fit.judged.penalty):
        return heldout.verdict(facts)
    if not exact:
        return "no weights are best on held-out terms: all weights are 1"
    return f"beyond the restored groups no weights are best on held-out terms; {heldout.verdict(facts)}"


def _cap_cost(fit: _Fit, cap: float) -> dict[str, float] | None:
    """What the cap cost; None where no weight is at it."""
    if fit.solution.weights.max() < cap * (1 - 1e-9):
        return None
    charge = np.where(np.arange(len(fit.solution.theta)) < len(fit.met), 0.0, fit.judged.penalty)
    free = balance.solve(fit.source, charge, start=fit.solution).weights
    return cap_cost(fit.solution.weights, free / free.mean(), cap)


def cap_cost(weights: Floats, free: Floats, cap: float) -> dict[str, float]:
    """Samples at the cap, the share of all weight that lay above it, and what weights were without it."""
    return {
        "samples": int((weights >= cap * (1 - 1e-9)).sum()),
        "weight_above": float(np.clip(free - cap, 0, None).mean()),
        "max_weight_without": float(free.max()),
        "ess_share_without": balance.effective_sample_size(free) / len(free),
    }


def unbalanced(pool: Pool, asked: Terms, words: Terms, weights: Floats) -> dict[str, Any]:
    """The account of weights that were made without any caption: no group is restored, every word is held out."""
    stands, judged = restore.standing(pool, asked), judged_words(pool, words, asked)
    after = changes_after(pool, asked, stands, weights)
    why: list[str | None] = ["the method restores no group exactly"] * len(asked.names)
    _, lost = restore.rows(asked, stands, after, why)
    standing = restore.standing(pool, judged)
    block = heldout.companions(judged.has.tocsr()[pool.usable])
    enough = heldout.enough(block)
    facts = heldout.account(standing.before, changes_after(pool, judged, standing, weights) if enough else None, block)
    return {"not_restored": lost, "held_out": {**facts, "verdict": heldout.verdict(facts)}}


def changes_after(pool: Pool, terms: Terms, stands: restore.Standing, weights: Floats) -> Floats:
    """(t,) Δ of the terms under weights of the kept samples; meaningless where no caption has the term."""
    kept = terms.has.tocsr()[pool.kept].tocsc()
    return heldout.changes(kept, weights, np.where(stands.n_pool > 0, stands.reference, 1.0))
