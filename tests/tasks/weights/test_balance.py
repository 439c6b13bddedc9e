"""Entropy balancing: what it meets, what it cannot, and the figures that describe weights."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.threads import one_thread
from tasks.weights.balance import Limits, capped, effective_sample_size, meet, pareto_k, solve, spread


@pytest.fixture(autouse=True, scope="module")
def single() -> Iterator[None]:
    """One thread, as where weights are made: several would wait for each other on a busy machine."""
    with one_thread():
        yield


def draw(seed: int, n: int = 2000, p: int = 4) -> np.ndarray:
    """(n, p) correlated features of unit variance."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, p)) @ (np.eye(p) + 0.3 * rng.normal(size=(p, p)))
    return (values - values.mean(axis=0)) / values.std(axis=0)


def test_exact_moments_are_met_by_positive_weights_of_mean_one() -> None:
    features, wanted = draw(0), np.array([0.3, -0.2, 0.1, 0.0])
    solution = solve(features - wanted, np.zeros(4))
    assert solution.met
    assert solution.weights.min() > 0
    assert abs(solution.weights.mean() - 1) < 1e-8
    assert np.abs((features * solution.weights[:, None]).mean(axis=0) - wanted).max() < 1e-8


def test_one_group_gets_the_textbook_weights() -> None:
    group = np.repeat([1.0, 0.0], [300, 700])[:, None]
    _, solution = meet(group, np.array([0.4]), Limits())
    assert solution.weights == pytest.approx(np.repeat([0.4 / 0.3, 0.6 / 0.7], [300, 700]), abs=1e-8)


def test_the_penalised_solution_is_the_minimum_that_a_general_optimiser_finds() -> None:
    from scipy.optimize import minimize

    centred, penalty = draw(1) - np.array([0.4, -0.3, 0.2, 0.5]), np.array([0.0, 0.05, 0.3, 2.0])

    def objective(theta: np.ndarray) -> float:
        return float(np.log(np.exp(centred @ theta).mean()) + (penalty * theta**2).sum() / 2)

    expected = minimize(objective, np.zeros(4), method="BFGS", options={"gtol": 1e-8}).x
    assert solve(centred, penalty).theta == pytest.approx(expected, abs=1e-5)


def test_under_a_cap_the_moments_are_still_met_exactly() -> None:
    features, wanted = draw(2), np.array([0.8, 0.5, -0.3, 0.0])
    assert solve(features - wanted, np.zeros(4)).weights.max() > 6
    solution = solve(features - wanted, np.zeros(4), cap=3.0)
    assert solution.met
    assert solution.weights.max() <= 3.0 + 1e-12
    assert np.abs((features * solution.weights[:, None]).mean(axis=0) - wanted).max() < 1e-8


def test_a_heavier_penalty_leaves_weights_nearer_to_one() -> None:
    centred = draw(3) - 0.4
    sizes = [effective_sample_size(solve(centred, np.full(4, penalty)).weights) for penalty in (0.01, 0.1, 1.0, 10.0)]
    assert sizes == sorted(sizes)


def test_the_start_changes_the_way_and_not_the_end() -> None:
    centred = draw(4) - 0.3
    near = solve(centred, np.full(4, 1.0), cap=5.0)
    cold, warm = (solve(centred, np.full(4, 0.05), cap=5.0, start=start) for start in (None, near))
    assert warm.weights == pytest.approx(cold.weights, abs=1e-7)


def test_float32_features_give_the_same_weights_to_a_rough_tolerance() -> None:
    centred = draw(5) - 0.3
    rough = solve(centred.astype(np.float32), np.full(4, 0.1), tolerance=1e-5)
    assert rough.met
    assert rough.weights == pytest.approx(solve(centred, np.full(4, 0.1)).weights, abs=1e-3)


def test_a_group_asked_for_twice_does_no_harm() -> None:
    group = np.repeat([1.0, 0.0], [300, 700])
    means, solution = meet(np.column_stack([group, group]), np.array([0.4, 0.4]), Limits(cap=10))
    assert means == pytest.approx([0.4, 0.4])
    assert np.mean(solution.weights * group) == pytest.approx(0.4, abs=1e-8)


def test_beyond_the_cap_the_nearest_share_is_the_cap_times_the_kept_share() -> None:
    group = np.repeat([1.0, 0.0], [100, 900])[:, None]
    means, solution = meet(group, np.array([0.6]), Limits(cap=2.0))
    assert means[0] == pytest.approx(0.2, abs=1e-4)
    assert np.mean(solution.weights * group[:, 0]) == pytest.approx(means[0], abs=1e-6)


def test_beyond_the_floor_the_nearest_share_is_where_the_effective_sample_ends() -> None:
    group = np.repeat([1.0, 0.0], [200, 800])[:, None]
    means, solution = meet(group, np.array([0.9]), Limits(ess_floor=0.5))
    share = 0.2
    assert means[0] == pytest.approx(share + math.sqrt(share * (1 - share) * (1 / 0.5 - 1)), abs=1e-5)
    assert effective_sample_size(solution.weights) >= 500


def test_of_contradicting_groups_the_first_is_met_and_the_second_stays() -> None:
    group = np.repeat([1.0, 0.0], [300, 700])
    means, _ = meet(np.column_stack([group, group]), np.array([0.4, 0.2]), Limits(cap=10))
    assert means == pytest.approx([0.4, 0.4], abs=1e-5)


def test_a_group_out_of_reach_does_not_keep_the_others_from_being_met() -> None:
    rng = np.random.default_rng(6)
    groups = (rng.random((1000, 3)) < [0.3, 0.02, 0.5]).astype(np.float64)
    wanted = np.array([0.35, 0.9, 0.45])
    means, solution = meet(groups, wanted, Limits(cap=5.0, ess_floor=0.3))
    assert means[[0, 2]] == pytest.approx(wanted[[0, 2]])
    assert groups[:, 1].mean() < means[1] < 0.9
    assert (groups * solution.weights[:, None]).mean(axis=0) == pytest.approx(means, abs=1e-7)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), cap=st.floats(1.5, 20), floor=st.floats(0, 0.9), count=st.integers(1, 4))
def test_whatever_is_asked_the_limits_hold_and_what_is_said_to_be_met_is_met(
    seed: int, cap: float, floor: float, count: int
) -> None:
    rng = np.random.default_rng(seed)
    groups = (rng.random((200, count)) < rng.uniform(0, 1, count)).astype(np.float64)
    means, solution = meet(groups, rng.uniform(0, 1, count), Limits(cap, floor))
    assert solution.weights.max() <= cap * (1 + 1e-9)
    assert solution.weights.mean() == pytest.approx(1, abs=1e-6)
    assert effective_sample_size(solution.weights) >= floor * 200 * (1 - 1e-6)
    assert (groups * solution.weights[:, None]).mean(axis=0) == pytest.approx(means, abs=1e-6)


def test_a_feature_that_does_not_vary_has_spread_one() -> None:
    assert spread(np.array([[1.0, 0.0], [1.0, 2.0]])).tolist() == [1.0, 1.0]


def test_the_effective_sample_size_counts_equal_weights_in_full() -> None:
    assert effective_sample_size(np.full(50, 3.0)) == pytest.approx(50)
    assert effective_sample_size(np.array([1.0, 0.0, 0.0])) == pytest.approx(1)
    assert effective_sample_size(np.zeros(0)) == 0


def test_capped_weights_have_mean_one_and_keep_their_order() -> None:
    weights = capped(np.random.default_rng(7).pareto(1.2, 500) + 0.1, 4.0)
    assert weights.max() <= 4.0
    assert weights.mean() == pytest.approx(1, abs=1e-9)
    assert weights.min() > 0


@pytest.mark.parametrize("shape", [0.2, 0.5, 0.8, 1.2])
def test_pareto_k_finds_the_shape_of_a_tail(shape: float) -> None:
    rng = np.random.default_rng(8)
    found = [pareto_k(rng.pareto(1 / shape, 5000) + 1) or 0.0 for _ in range(60)]
    assert np.mean(found) == pytest.approx((213 * shape + 5) / 223, abs=0.05)  # 213 in the tail, a prior of 10 at 0.5


def test_weights_without_a_tail_have_no_pareto_k() -> None:
    assert pareto_k(np.ones(1000)) is None
    assert pareto_k(np.repeat([0.5, 1.5], 500)) is None
    assert pareto_k(np.zeros(0)) is None
