"""The design against its own definition: the determinant that each label would leave, and copies that tell nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.labelling.information import Known, greedy, most_informative


def drawn(seed: int, m: int = 12, k: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows (m, k), their worth (m,), a covariance (k, k)."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(k, k))
    return rng.normal(size=(m, k)), rng.uniform(0.01, 0.25, m), root @ root.T + np.eye(k)


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 10))
def test_each_row_is_the_one_of_most_worth_under_the_precision_of_those_before(seed: int, mass: float) -> None:
    x, worth, covariance = drawn(seed)
    precision = np.linalg.inv(covariance)
    left = list(range(len(x)))
    for row in greedy(x, worth, covariance, mass, len(x)):
        value = worth * np.einsum("mk,kl,ml->m", x, np.linalg.inv(precision), x)
        assert value[row] == pytest.approx(value[left].max(), rel=1e-6)
        left.remove(row)
        precision = precision + mass * worth[row] * np.outer(x[row], x[row])
    assert not left


def test_a_copy_of_what_was_asked_tells_least() -> None:
    x = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.9]])
    assert greedy(x, np.full(3, 0.25), np.eye(2), mass=10.0, most=3) == [0, 2, 1]


def test_no_more_rows_than_asked_for_or_than_there_are() -> None:
    x, worth, covariance = drawn(0)
    assert len(greedy(x, worth, covariance, 1.0, 5)) == 5
    assert sorted(greedy(x, worth, covariance, 1.0, 50)) == list(range(12))


def test_doubtful_samples_of_two_kinds_are_asked_in_turn() -> None:
    rng = np.random.default_rng(0)
    kinds = 3 * np.eye(4)[[0] * 20 + [1] * 20] + 0.05 * rng.normal(size=(40, 4))
    known = Known(rng.normal(size=(30, 4)), np.arange(30) < 10, np.linspace(0.9, 0.1, 30).astype(np.float32))
    first = most_informative(known, kinds, np.full(40, 0.5, np.float32), 2)
    assert {row // 20 for row in first} == {0, 1}


def test_of_like_samples_the_doubtful_tell_most() -> None:
    rng = np.random.default_rng(0)
    known = Known(rng.normal(size=(30, 4)), np.arange(30) < 10, np.full(30, 0.5, np.float32))
    like = np.ones((3, 4)) + 1e-6 * rng.normal(size=(3, 4))
    assert most_informative(known, like, np.array([0.02, 0.5, 0.98], np.float32), 1) == [1]
