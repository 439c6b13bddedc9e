"""Entropy balancing (Hainmueller 2012): the weights nearest to given ones that meet declared shares exactly.

Over weights of mean 1, at most `cap`, the least relative entropy to base weights with every share met. Where the
effective sample would fall below its floor, τ/2·mean w² is added, with the least τ that keeps it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from tasks.threads import one_thread
from tasks.weights.balance import Floats, Limits, effective_sample_size
from tasks.weights.entropy_dual import Rows, Share, State, rows_of, solve

CUTS = 10  # bisections for the floor's τ
NEAREST = 20  # bisections for the nearest share that can be met
TIGHT = 1e-5  # relative slack of the effective sample size from which weights cannot move any more
WEAKEST, STRONGEST = 0.01, 1e4  # τ that hardly changes weights, and τ that leaves those of least variance


class Balanced(NamedTuple):
    """Weights of m samples, and for each of q shares what is met."""

    weights: Floats  # (m,), positive, mean 1, at most the cap
    met: Floats  # (q,); NaN where no sample is in the whole
    reasons: tuple[str | None, ...]  # (q,), why a share is not met as wanted; None where it is


def balance_to(shares: Sequence[Share], base: Floats, limits: Limits) -> Balanced:
    """The weights nearest to (m,) positive base weights that meet all shares, within the limits.

    Shares that cannot be met beside the others are each met as nearly as the limits and the others allow, the earlier
    ones first, and said to be so. O(entries) a step, whatever the samples' number of threads.
    """
    with one_thread():
        base = base / base.mean()
        reasons = [support(share) for share in shares]
        possible = [i for i, reason in enumerate(reasons) if reason is None]
        chosen = _feasible(shares, possible, base, limits)
        asked = [shares[i] for i in chosen]
        lost, tight = sorted(set(possible) - set(chosen)), False
        for i in lost:
            if tight:  # what is asked leaves one vector of weights: nothing else can be asked of it
                break
            near = shares[i]._replace(wanted=_nearest(asked, shares[i], base, limits))
            found = _possible([*asked, near], base, limits)
            if found is not None:  # else it stays where the others leave it
                asked.append(near)
                tight = effective_sample_size(found) / len(found) < limits.ess_floor * (1 + TIGHT)
        weights = _weigh(asked, base, limits)
        for i in lost:
            reasons[i] = out_of_reach(shares[i].wanted, value(shares[i], weights), limits)
    return Balanced(weights, np.array([value(share, weights) for share in shares]), tuple(reasons))


def value(share: Share, weights: Floats) -> float:
    """The part's share of the whole's weight; NaN of an empty whole."""
    whole = float(weights.sum() if share.whole is None else weights[share.whole].sum())
    return float(weights[share.part].sum()) / whole if whole else math.nan


def support(share: Share) -> str | None:
    """Why no weights can meet a share, whatever else is asked; None where some can."""
    part = int(share.part.sum())
    whole = len(share.part) if share.whole is None else int(share.whole.sum())
    if not whole:
        return "no kept sample is in the group that the share is of"
    if not 0 < part < whole:
        which, only = ("no", 0) if not part else ("every", 1)
        return f"{which} kept sample of {whole:,} has it: the nearest share that can be met is {only:.0%}"
    return None


def out_of_reach(wanted: float, nearest: float, limits: Limits) -> str:
    return (
        f"out of reach: a share of {wanted:.4%} was wanted, {nearest:.4%} is the nearest that weights of at most "
        f"{limits.cap:g}, an effective sample of at least {limits.ess_floor:.0%} and the other targets allow"
    )


def _feasible(shares: Sequence[Share], possible: list[int], base: Floats, limits: Limits) -> list[int]:
    """Indices of shares that can be met together, an earlier one before a later one."""
    chosen: list[int] = []
    left = possible
    while left:

        def met(count: int, chosen: list[int] = chosen, left: list[int] = left) -> bool:
            return _possible([shares[i] for i in [*chosen, *left[:count]]], base, limits) is not None

        run = len(left) if met(len(left)) else _longest(len(left), met)
        chosen, left = [*chosen, *left[:run]], left[run + 1 :]
    return chosen


def _longest(count: int, met: Callable[[int], bool]) -> int:
    """The longest run, shorter than `count`, that is met: by steps that double, since most runs are short."""
    low, high, step = 0, count, 1
    while high - low > 1:
        tried = min(low + step, high - 1)
        low, high, step = (tried, high, 2 * step) if met(tried) else (low, tried, 1)
    return low


def _nearest(others: list[Share], share: Share, base: Floats, limits: Limits) -> float:
    """The last on the way from what the others make of a share to what is wanted that can be met beside them."""
    weights = _possible(others, base, limits)
    origin = value(share, base if weights is None else weights)
    low, high = 0.0, 1.0
    for _ in range(NEAREST):
        middle = (low + high) / 2
        asked = share._replace(wanted=origin + middle * (share.wanted - origin))
        low, high = (low, middle) if _possible([*others, asked], base, limits) is None else (middle, high)
    return origin + low * (share.wanted - origin)


def _possible(shares: Sequence[Share], base: Floats, limits: Limits) -> Floats | None:
    """(m,) the weights of least variance that meet all shares; None where these do not keep the limits: none do."""
    rows, row = rows_of(shares, base)
    state = solve(rows, limits.cap, STRONGEST)
    return state.weights[row] if state is not None and _within(state, rows, limits) else None


def _weigh(shares: Sequence[Share], base: Floats, limits: Limits) -> Floats:
    """The nearest to the base, of weights within the limits that meet all shares, which can be met."""
    rows, row = rows_of(shares, base)
    state = solve(rows, limits.cap, 0.0)
    if state is None or not _within(state, rows, limits):
        state = _keep_floor(rows, limits)
    return state.weights[row]


def _keep_floor(rows: Rows, limits: Limits) -> State:
    """The solution with the least τ that keeps the floor, by bisection of its logarithm."""
    weak, strong = WEAKEST, STRONGEST
    state = solve(rows, limits.cap, strong)
    assert state is not None, "shares that can be met"
    for _ in range(CUTS):
        middle = math.sqrt(weak * strong)
        found = solve(rows, limits.cap, middle)
        if found is not None and _within(found, rows, limits):
            strong, state = middle, found
        else:
            weak = middle
    return state


def _within(state: State, rows: Rows, limits: Limits) -> bool:
    return 1 / float((rows.mass * state.weights**2).sum()) >= limits.ess_floor
