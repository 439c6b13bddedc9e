"""Shares that are met exactly, or said to be out of reach with the nearest that can be met."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.weights.balance import Limits, effective_sample_size
from tasks.weights.entropy_balancing import balance_to, value
from tasks.weights.entropy_dual import Share

FREE = Limits()


def masks(*sizes: tuple[int, int]) -> np.ndarray:
    """(1000,) True from each first to its last."""
    out = np.zeros(1000, dtype=bool)
    for first, last in sizes:
        out[first:last] = True
    return out


def shares_of(seed: int, count: int, m: int = 300) -> list[Share]:
    """Margins and conditionals of random groups, with random shares not far from what they are."""
    rng = np.random.default_rng(seed)
    groups = rng.random((count + 1, m)) < rng.uniform(0.02, 0.9, (count + 1, 1))
    out = []
    for one, other in pairwise(groups):
        whole = None if rng.random() < 0.6 else other
        part = one if whole is None else one & other
        out.append(Share(part, whole, float(np.clip(value(Share(part, whole, 0), np.ones(m)) or 0.5, 0.01, 0.9))))
    return [
        share._replace(wanted=share.wanted * rng.uniform(0.5, 1.1)) for share in out if not math.isnan(share.wanted)
    ]


def test_one_group_gets_the_textbook_weights() -> None:
    found = balance_to([Share(masks((0, 300)), None, 0.4)], np.ones(1000), FREE)
    assert found.reasons == (None,)
    assert found.weights == pytest.approx(np.repeat([0.4 / 0.3, 0.6 / 0.7], [300, 700]), abs=1e-9)


def test_weights_are_the_base_times_a_factor_of_the_groups() -> None:
    base = np.random.default_rng(0).lognormal(0, 0.5, 1000)
    women, doctors = masks((0, 300)), masks((200, 500))
    found = balance_to([Share(women, None, 0.5), Share(women & doctors, doctors, 0.5)], base, FREE)
    factor = found.weights / (base / base.mean())
    for group in (women & doctors, women & ~doctors, ~women & doctors, ~women & ~doctors):
        assert np.ptp(factor[group]) < 1e-9
    assert found.met == pytest.approx([0.5, 0.5], abs=1e-9)


def test_weights_have_the_least_relative_entropy_that_a_general_optimiser_finds() -> None:
    from scipy.optimize import minimize

    rng = np.random.default_rng(1)
    base, first, second = rng.lognormal(0, 0.3, 30), np.arange(30) < 12, np.arange(30) % 3 == 0
    shares, limits = [Share(first, None, 0.55), Share(first & second, second, 0.5)], Limits(1.7, 0.87)
    found = balance_to(shares, base, limits)
    base /= base.mean()
    conditions = [
        {"type": "eq", "fun": lambda w: w.sum() - 30},
        {"type": "eq", "fun": lambda w: w[first].mean() * 12 - 0.55 * 30},
        {"type": "eq", "fun": lambda w: w[first & second].sum() - 0.5 * w[second].sum()},
        {"type": "ineq", "fun": lambda w: 30 / 0.87 - (w**2).sum()},
    ]
    best = minimize(
        lambda w: (w * np.log(w / base)).sum(),
        np.ones(30),
        bounds=[(1e-6, 1.7)] * 30,
        constraints=conditions,
        options={"maxiter": 500, "ftol": 1e-9},
    )
    assert best.success
    assert found.reasons == (None, None)
    assert effective_sample_size(found.weights) >= 0.87 * 30 * (1 - 1e-9)
    assert (found.weights * np.log(found.weights / base)).mean() == pytest.approx(best.fun / 30, rel=0.01)


def test_a_cap_and_a_floor_cost_no_share() -> None:
    rng = np.random.default_rng(2)
    base, groups = rng.lognormal(0, 1.0, 1000), rng.random((3, 1000)) < 0.2
    shares = [Share(group, None, 0.3) for group in groups]
    free, tight = balance_to(shares, base, FREE), balance_to(shares, base, Limits(3.0, 0.8))
    assert free.weights.max() > 6
    assert effective_sample_size(free.weights) < 0.5 * 1000
    assert tight.weights.max() <= 3
    assert effective_sample_size(tight.weights) >= 0.8 * 1000
    assert tight.met == pytest.approx([0.3] * 3, abs=1e-9)


def test_a_share_that_no_kept_sample_can_give_is_named_and_the_others_are_met() -> None:
    shares = [
        Share(masks(), None, 0.1),
        Share(masks((0, 1000)), None, 0.9),
        Share(masks(), masks(), 0.5),
        Share(masks((0, 200)), None, 0.25),
    ]
    found = balance_to(shares, np.ones(1000), FREE)
    assert "no kept sample of 1,000 has it: the nearest share that can be met is 0%" in (found.reasons[0] or "")
    assert "every kept sample of 1,000 has it: the nearest share that can be met is 100%" in (found.reasons[1] or "")
    assert "no kept sample is in the group" in (found.reasons[2] or "")
    assert found.reasons[3] is None
    assert found.met[[0, 1, 3]] == pytest.approx([0, 1, 0.25])


def test_the_nearest_share_is_what_the_cap_allows() -> None:
    found = balance_to([Share(masks((0, 100)), None, 0.5)], np.ones(1000), Limits(cap=2.0))
    assert "50.0000% was wanted" in (found.reasons[0] or "")
    assert found.met[0] == pytest.approx(0.2, abs=1e-3)
    assert found.met[0] <= 0.2 + 1e-9


def test_the_nearest_share_is_what_the_floor_allows() -> None:
    found = balance_to([Share(masks((0, 100)), None, 0.5)], np.ones(1000), Limits(ess_floor=0.8))
    size = 1000 * 0.8
    p = found.met[0]
    assert 1000 / (p**2 / 0.1 + (1 - p) ** 2 / 0.9) == pytest.approx(size, rel=0.005)
    assert found.reasons[0] is not None


def test_of_shares_that_contradict_the_first_is_met_and_the_second_is_named() -> None:
    inner, outer = masks((0, 100)), masks((0, 300))
    found = balance_to([Share(outer, None, 0.2), Share(inner, None, 0.25)], np.ones(1000), FREE)
    assert found.reasons[0] is None
    assert found.met[0] == pytest.approx(0.2, abs=1e-9)
    assert "out of reach" in (found.reasons[1] or "")
    assert found.met[1] == pytest.approx(0.2, abs=1e-3)


def test_a_share_out_of_reach_does_not_keep_later_ones_from_being_met() -> None:
    groups = np.random.default_rng(3).random((3, 1000)) < np.array([[0.02], [0.3], [0.5]])
    shares = [Share(group, None, wanted) for group, wanted in zip(groups, (0.9, 0.35, 0.45), strict=True)]
    found = balance_to(shares, np.ones(1000), Limits(5.0, 0.3))
    assert found.reasons[1:] == (None, None)
    assert found.met[1:] == pytest.approx([0.35, 0.45], abs=1e-9)
    assert 0.05 < found.met[0] < 0.9


def test_shares_that_follow_from_each_other_do_no_harm() -> None:
    group = masks((0, 300))
    shares = [Share(group, None, 0.4), Share(~group, None, 0.6), Share(group, None, 0.4)]
    found = balance_to(shares, np.ones(1000), FREE)
    assert found.reasons == (None, None, None)
    assert found.met == pytest.approx([0.4, 0.6, 0.4], abs=1e-9)


def test_without_shares_weights_are_the_base() -> None:
    base = np.array([1.0, 2.0, 3.0])
    assert balance_to([], base, FREE).weights == pytest.approx(base / 2)


def test_the_number_of_threads_does_not_matter() -> None:
    shares, base = shares_of(4, 12, m=20_000), np.random.default_rng(5).lognormal(0, 0.3, 20_000)
    before, found = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(balance_to(shares, base, Limits(10, 0.5)).weights)
    torch.set_num_threads(before)
    assert (found[0] == found[1]).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 5), cap=st.floats(1.5, 20), floor=st.floats(0, 0.9))
def test_shares_are_met_exactly_or_named_and_the_limits_hold(seed: int, count: int, cap: float, floor: float) -> None:
    shares, base = shares_of(seed, count), np.random.default_rng(seed).lognormal(0, 0.2, 300)
    found = balance_to(shares, base, Limits(cap, floor))
    assert found.weights.min() > 0
    assert found.weights.mean() == pytest.approx(1, abs=1e-8)
    assert found.weights.max() <= cap
    assert effective_sample_size(found.weights) >= floor * 300 * (1 - 1e-9)
    for share, met, reason in zip(shares, found.met, found.reasons, strict=True):
        assert reason is not None or met == pytest.approx(share.wanted, abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(1e-3, 1e3))
def test_the_scale_of_the_base_does_not_matter(seed: int, scale: float) -> None:
    shares, base = shares_of(seed, 3), np.random.default_rng(seed).lognormal(0, 0.2, 300)
    one, other = (balance_to(shares, x, Limits(5.0, 0.3)).weights for x in (base, base * scale))
    assert one == pytest.approx(other, abs=1e-6)
