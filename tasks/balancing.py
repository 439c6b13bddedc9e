"""The method `balance`: from a pool's features to weights, and the account of what they restore and what they do not.

Balanced are the pool's coarse features, no harder than helps on held-out terms (tasks/heldout.py); groups asked for get
their share exactly (tasks/balance.py) where enough of them was kept (tasks/restore.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks import balance, heldout, restore
from tasks.balance import Floats, Limits, Solution
from tasks.features import Pool, Terms

TERM_FEATURES = 64  # most frequent supported words that are balanced beside the components


class Balanced(NamedTuple):
    """Weights and their account."""

    weights: Floats  # (m,) of the kept samples
    facts: Mapping[str, Any]  # restored, not_restored, held_out, penalty, cap_cost
    model: Mapping[str, Any]  # feature names, wanted moments, scales, theta, intercept


class _Fit(NamedTuple):
    problem: heldout.Problem
    solution: Solution
    judged: heldout.Judged
    block: NDArray[np.int64]  # (t,) of the judged terms
    met: Floats  # shares of the restored groups, as they are met
    model: dict[str, Any]


def balance_pool(pool: Pool, asked: Terms, words: Terms, scores: Floats, limits: Limits, folds: int) -> Balanced:
    """Weights of the m kept samples. `asked`: groups to restore, `words`: frequent ones, `scores`: (n, k) components.

    A group whose weight would rest on too few captions is given up, and the rest is fitted again.
    """
    stands = restore.standing(pool, asked)
    why = restore.reasons(stands)
    kept = asked.has.tocsr()[pool.kept].tocsc()
    judged = judged_words(pool, words, asked)
    while True:
        chosen = np.array([reason is None for reason in why], dtype=bool)
        fit = _fit(pool, _select(asked, chosen), judged, scores, limits, folds)
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
        "held_out": _held_out(fit, judged),
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


def _fit(pool: Pool, groups: Terms, judged: Terms, scores: Floats, limits: Limits, folds: int) -> _Fit:
    """Meet the groups, choose the penalty on held-out words, and fit with all of them."""
    r, k, t = len(groups.names), scores.shape[1], min(len(judged.names), TERM_FEATURES)
    indicators = groups.has.toarray()
    wanted = pool.counts(groups) / pool.share.sum()
    met, _ = balance.meet(indicators[pool.kept], wanted, limits)
    values = np.hstack([indicators, scores, judged.has[:, :t].toarray()])  # (n, r + k + t)
    moments = np.concatenate([met, pool.mean(values[:, r:])])
    scale = pool.spread(values)
    problem = heldout.Problem(
        centred=(values[pool.kept] - moments) / scale,
        exact=r,
        term=np.concatenate([np.full(r + k, -1), np.arange(t)]),
        has=judged.has.tocsr()[pool.kept].tocsc(),
        reference=pool.counts(judged) / pool.share.sum(),
        limits=limits,
    )
    block = heldout.companions(judged.has.tocsr()[pool.usable])
    judgement = heldout.judge(problem, block, folds)
    solution = heldout.fit(problem, judgement.penalty)
    names = [*groups.names, *(f"component {i}" for i in range(k)), *judged.names[:t]]
    model = {"features": names, "moments": moments.tolist(), "scale": scale.tolist()}
    model |= {"theta": solution.theta.tolist(), "intercept": solution.intercept, "cap": limits.cap}
    return _Fit(problem, solution, judgement, block, met, model)


def _held_out(fit: _Fit, judged: Terms) -> dict[str, Any]:
    """What held-out words say, and every candidate's mean |Δ| on them."""
    before = heldout.changes(fit.problem.has, np.ones(len(fit.solution.weights)), fit.problem.reference)
    facts = heldout.account(before, fit.judged.changes, fit.block)
    candidates = fit.judged.candidates if fit.judged.candidates is not None else np.empty(0)
    facts["candidates"] = [
        {"penalty": None if math.isinf(penalty) else penalty, "mean_abs": float(mean)}
        for penalty, mean in zip(heldout.PENALTIES, candidates, strict=False)
        if math.isfinite(mean)
    ]
    return {**facts, "verdict": _verdict(fit, facts)}


def _verdict(fit: _Fit, facts: dict[str, Any]) -> str:
    """In words. Where no penalty helped, nothing is weighted beyond what must be met exactly."""
    if facts["difference"] is None or math.isfinite(fit.judged.penalty):
        return heldout.verdict(facts)
    if not fit.problem.exact:
        return "no weights are best on held-out terms: all weights are 1"
    return f"beyond the restored groups no weights are best on held-out terms; {heldout.verdict(facts)}"


def _cap_cost(fit: _Fit, cap: float) -> dict[str, float] | None:
    """What the cap cost; None where no weight is at it."""
    if fit.solution.weights.max() < cap * (1 - 1e-9):
        return None
    free = heldout.fit(fit.problem._replace(limits=Limits()), fit.judged.penalty).weights
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
