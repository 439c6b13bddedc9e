"""Many balancing problems at once are what each is alone."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from tasks.threads import one_thread
from tasks.weights.balance import solve
from tasks.weights.balance_many import solve_many


@pytest.fixture(autouse=True, scope="module")
def single() -> Iterator[None]:
    """One thread, as where weights are made: several would wait for each other on a busy machine."""
    with one_thread():
        yield


def problem(seed: int = 0, n: int = 2000, p: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, p)) + rng.uniform(-0.3, 0.3, p)).astype(np.float32)


@pytest.mark.parametrize("cap", [math.inf, 2.0])
def test_each_problem_s_weights_are_those_of_the_problem_alone(cap: float) -> None:
    x = problem()
    used = np.array([[True] * 6, [True] * 6, [True, False, True, True, False, True]])
    penalty = np.array([np.full(6, 0.1), np.full(6, 1.0), np.full(6, 0.1)])
    found = solve_many(x, used, penalty, cap)
    assert found.met.all()
    for column, (some, charge) in enumerate(zip(used, penalty, strict=True)):
        alone = solve(np.ascontiguousarray(x[:, some], dtype=np.float64), charge[some], cap).weights
        assert found.weights[:, column] == pytest.approx(alone, abs=1e-3)


def test_features_without_a_penalty_are_met_exactly() -> None:
    x = problem(1)
    penalty = np.where(np.arange(6) < 2, 0.0, 3.0)[None, :]
    found = solve_many(x, np.ones((1, 6), dtype=bool), penalty, 10.0)
    assert found.met.all()
    assert (found.weights[:, 0] @ x / len(x))[:2] == pytest.approx(0, abs=1e-4)


def test_moments_that_no_weights_meet_are_not_said_to_be_met() -> None:
    x = problem(2)
    x[:, 0] = 5.0 + np.abs(x[:, 0])
    found = solve_many(x, np.ones((2, 6), dtype=bool), np.array([np.zeros(6), np.full(6, 100.0)]), 10.0)
    assert found.met.tolist() == [False, True]
