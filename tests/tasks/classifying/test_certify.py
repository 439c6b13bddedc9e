"""Intervals cover as often as they say, also where the threshold was chosen on the same scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom

from tasks.classifying import certify


def test_99_percent_of_41_means_all_of_them() -> None:
    assert certify.needed(41, 0.99) == 41
    assert certify.needed(200, 0.99) == 198
    assert certify.needed(100, 0.07) == 7  # 0.07 · 100 is above 7 in floating point


def test_the_bound_is_clopper_and_pearsons() -> None:
    assert certify.lower_bound(18, 20, 0.95) == pytest.approx(beta.ppf(0.05, 18, 3))
    assert certify.lower_bound(20, 20, 0.95) == pytest.approx(0.05 ** (1 / 20))
    assert certify.lower_bound(0, 20, 0.95) == 0


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.93, 0.99])
@pytest.mark.parametrize("n", [5, 41, 200])
def test_the_lower_bound_is_above_the_truth_no_more_often_than_it_says(n: int, share: float) -> None:
    bounds = np.array([certify.lower_bound(k, n, 0.9) for k in range(n + 1)])
    chance = binom.pmf(np.arange(n + 1), n, share)[bounds > share].sum()  # summed, not simulated: exact
    assert chance <= 0.1


@pytest.mark.parametrize(("n", "recall"), [(20, 0.9), (41, 0.99), (200, 0.95)])
def test_the_bound_at_the_chosen_threshold_covers_the_recall_of_new_positives(n: int, recall: float) -> None:
    rng = np.random.default_rng(n)
    draws, above = 2000, 0
    for _ in range(draws):
        threshold, found = certify.choose_threshold(rng.random(n, np.float32), recall, 0.95)
        above += found.lower > 1 - threshold  # scores are uniform: a new one reaches the threshold with this chance
    assert 0.03 <= above / draws <= 0.065  # 0.05 exactly, were there endless draws


def test_the_bound_at_the_chosen_threshold_holds_where_scores_tie() -> None:
    rng = np.random.default_rng(0)
    draws, above = 2000, 0
    for _ in range(draws):
        threshold, found = certify.choose_threshold(rng.integers(0, 6, 30).astype(np.float32), 0.9, 0.95)
        above += found.lower > 1 - threshold / 6
    assert above / draws <= 0.065


def test_ties_at_the_threshold_are_counted_and_do_not_raise_the_bound() -> None:
    tied, found = certify.choose_threshold(np.float32([0.5] * 10), 0.5, 0.95)
    _, apart = certify.choose_threshold(np.linspace(0.1, 1, 10, dtype=np.float32), 0.5, 0.95)
    assert tied == 0.5 and (found.k, apart.k) == (10, 5)
    assert found.lower == apart.lower


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60), st.floats(0.01, 1))
def test_the_threshold_is_the_largest_that_reaches_the_recall(values: list[float], recall: float) -> None:
    scores = np.array([float(f"{v:.6g}") for v in values], np.float32)
    threshold, found = certify.choose_threshold(scores, recall, 0.95)
    assert found.k == (scores >= np.float32(threshold)).sum() >= recall * len(scores) - 1e-6
    higher = scores[scores > np.float32(threshold)]
    assert len(higher) < certify.needed(len(scores), recall)
    assert found.lower <= found.k / found.n and found.note == "estimate on labelled positives, not a certificate"


@given(st.lists(st.floats(0, 1, width=32), max_size=60), st.integers(-2, 60))
def test_a_threshold_of_a_size_is_the_smallest_that_keeps_to_it(values: list[float], size: int) -> None:
    scores = np.array([float(f"{v:.6g}") for v in values], np.float32)
    threshold = certify.threshold_of_size(scores, size)
    if threshold is None:
        assert not len(scores) or (scores == scores.max()).sum() > size
    else:
        assert (scores >= np.float32(threshold)).sum() <= size
        lower = scores[scores < np.float32(threshold)]
        assert not len(lower) or (scores >= lower.max()).sum() > size


def test_no_positives_is_no_estimate() -> None:
    found = certify.at_threshold(np.float32([]), 0.5, 0.95)
    assert (found.k, found.n, found.estimate, found.lower) == (0, 0, None, 0)
