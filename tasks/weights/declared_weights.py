"""A method's weights, moved as little as it takes to meet what is declared; and the account of what that did.

Groups that are restored and targets are met exactly, by entropy balancing (target_weights.py), and so say nothing
of the weights' quality: beside them stands what became of the words that nothing declared settles.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tasks.weights import heldout, restore, target_weights
from tasks.weights.balance import Floats, Limits
from tasks.weights.balancing import cap_cost, changes_after, judged_words
from tasks.weights.declarations import Declared
from tasks.weights.features import Pool, Terms
from tasks.weights.targets import Targets

NOTHING = Targets("", {}, {}, (), None)


class Problem(NamedTuple):
    """What is to be met, by whom."""

    pool: Pool
    named: Terms  # all that is declared, what is restored first
    declared: Declared
    limits: Limits


def meet(problem: Problem, base: Floats, given_up: Mapping[str, str], words: Terms) -> tuple[Floats, dict[str, Any]]:
    """(m,) weights of the kept samples, and facts: restored, not_restored, targets, targets_file, cap_cost,
    beside_declared.

    `base`: (m,) the method's weights. `given_up`: name → why the method did not restore it. `words`: frequent ones, by
    which the move is judged. A group whose weight would rest on too few captions is given up.
    """
    stands, why = _standing(problem, given_up)
    names = problem.declared.restore
    masks = _masks(problem)
    kept = problem.named.has.tocsr()[problem.pool.kept].tocsc()[:, : len(names)]
    while True:
        asked = {name: float(stands.reference[i]) for i, name in enumerate(names) if why[i] is None}
        met = target_weights.weigh(problem.declared.targets or NOTHING, masks, asked, base, problem.limits)
        thin = restore.effective_captions(kept, met.weights)
        lost = [i for i in range(len(names)) if why[i] is None and thin[i] < restore.EFFECTIVE]
        if not lost:
            break
        for i in lost:
            why[i] = restore.thin(thin[i])
    rows = [row for row in met.rows if row["target"] != "restore"]
    reasons = {row["group"]: row["reason"] for row in met.rows if row["target"] in ("restore", "margin")}
    why = [told if told is not None else reasons.get(name) for name, told in zip(names, why, strict=True)]
    margins = problem.declared.targets.margins if problem.declared.targets is not None else {}
    asked_for = [i for i, name in enumerate(names) if name not in margins]
    return met.weights, {
        "cap_cost": _cap_cost(problem, base, met.weights),
        **_restored(problem, asked_for, met.weights, why),
        "targets": rows,
        "targets_file": Path(problem.declared.targets.source).name if problem.declared.targets is not None else None,
        "beside_declared": beside_declared(problem, words, base, met.weights),
    }


def _cap_cost(problem: Problem, base: Floats, weights: Floats) -> dict[str, float] | None:
    """What the cap cost: the same targets without it; None where no weight is at it."""
    if weights.max() < problem.limits.cap * (1 - 1e-6):
        return None
    free = problem.limits._replace(cap=1e6)
    met = target_weights.weigh(problem.declared.targets or NOTHING, _masks(problem), {}, base, free)
    return cap_cost(weights, met.weights / met.weights.mean(), problem.limits.cap)


def _masks(problem: Problem) -> dict[str, Any]:
    """Of each declared name whether a kept sample is in it. (m,)"""
    kept = problem.named.has.tocsr()[problem.pool.kept].tocsc()
    return {name: kept[:, [i]].toarray()[:, 0] > 0 for i, name in enumerate(problem.named.names)}


def _standing(problem: Problem, given_up: Mapping[str, str]) -> tuple[restore.Standing, list[str | None]]:
    """Where what is to be restored stands, and why some of it cannot be."""
    names = problem.declared.restore
    stands = restore.standing(problem.pool, Terms(names, problem.named.has[:, : len(names)]))
    return stands, [
        told if told is not None else given_up.get(name)
        for name, told in zip(names, restore.reasons(stands), strict=True)
    ]


def _restored(problem: Problem, chosen: list[int], weights: Floats, why: list[str | None]) -> dict[str, Any]:
    """The rows of what was to be restored; a group with a target of its own is told among the targets."""
    names = tuple(problem.declared.restore[i] for i in chosen)
    asked = Terms(names, problem.named.has[:, chosen])
    stands = restore.standing(problem.pool, asked)
    after = changes_after(problem.pool, asked, stands, weights)
    restored, lost = restore.rows(asked, stands, after, [why[i] for i in chosen])
    return {"restored": restored, "not_restored": lost}


def beside_declared(problem: Problem, words: Terms, base: Floats, weights: Floats) -> dict[str, Any]:
    """Mean |Δ| of the words that nothing declared settles, by the method's weights and by those that meet it."""
    judged = judged_words(problem.pool, words, problem.named)
    stands = restore.standing(problem.pool, judged)
    block = heldout.companions(judged.has.tocsr()[problem.pool.usable])
    before, after = (changes_after(problem.pool, judged, stands, one) for one in (base, weights))
    facts = heldout.account(before, after if heldout.enough(block) else None, block)
    return {**facts, "verdict": _verdict(facts)}


def _verdict(facts: Mapping[str, Any]) -> str:
    if facts["difference"] is None:
        return "too few words that nothing declared settles, to say what meeting it did to others"
    means = f"mean |change| {facts['mean_abs_before']:.2%} before, {facts['mean_abs_after']:.2%} after"
    if facts["upper"] < 0:
        return f"meeting what is declared brought other words closer to the pool: {means}"
    if facts["lower"] > 0:
        return f"meeting what is declared moved other words away from the pool: {means}"
    return f"meeting what is declared changed other words neither way beyond doubt: {means}"
