"""Bounds of the positives among unlabelled samples are exact: checked against sums of integers, not simulations."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, hypergeom

from tasks.certifying.elusion import (
    SEEDS_SHARE,
    Seeds,
    binomial_most,
    binomial_upper,
    hypergeometric_upper,
    kept_share,
    miss_upper,
)


def at_most(x: int, size: int, m: int, n: int) -> Fraction:
    """P(at most x of m positives among n drawn of size), in integers."""
    return Fraction(sum(comb(m, i) * comb(size - m, n - i) for i in range(x + 1)), comb(size, n))


@st.composite
def draws(draw: st.DrawFn) -> tuple[int, int, int]:
    size = draw(st.integers(1, 40))
    n = draw(st.integers(0, size))
    return draw(st.integers(0, n)), n, size


@given(draws(), st.sampled_from([0.01, 0.025, 0.05, 0.2]))
def test_without_replacement_the_bound_is_the_last_number_with_more_chance_than_the_level(
    drawn: tuple[int, int, int], level: float
) -> None:
    x, n, size = drawn
    chances = [float(at_most(x, size, m, n)) for m in range(size + 1)]
    expected = max(m for m, chance in enumerate(chances) if chance > level * (1 - 1e-9))
    assert hypergeometric_upper(x, n, size, level) == expected


@pytest.mark.parametrize("x", [0, 5, 40])
def test_without_replacement_the_bound_is_exact_for_a_hundred_million_samples(x: int) -> None:
    size, n = 10**8, 3_000
    most = hypergeometric_upper(x, n, size, 0.05)
    assert at_most(x, size, most, n) > Fraction(5, 100) >= at_most(x, size, most + 1, n)


@pytest.mark.parametrize(("size", "n"), [(60, 20), (60, 55), (400, 30)])
def test_the_truth_is_above_the_bound_no_more_often_than_the_level_whatever_it_is(size: int, n: int) -> None:
    bounds = np.array([hypergeometric_upper(x, n, size, 0.05) for x in range(n + 1)])
    chances = [
        hypergeom.pmf(np.arange(n + 1), size, m, n)[bounds < m].sum() for m in range(size + 1)
    ]  # summed, not simulated
    assert 0.02 < max(chances) <= 0.05


def test_where_everything_was_drawn_the_bound_is_what_was_found() -> None:
    assert hypergeometric_upper(3, 50, 50, 0.05) == 3
    assert hypergeometric_upper(0, 0, 0, 0.05) == 0
    assert hypergeometric_upper(0, 0, 50, 0.05) == 50  # no label, no knowledge


def test_three_thousand_clean_labels_leave_at_most_a_tenth_of_a_percent() -> None:
    assert binomial_upper(0, 3_000, 0.05) == pytest.approx(1 - 0.05 ** (1 / 3_000))
    assert binomial_upper(0, 3_000, 0.05) < 0.001
    assert binomial_most(0, 3_000, 10**6, 0.05) == 998


def test_with_replacement_nothing_is_bounded_where_every_draw_or_none_was_positive() -> None:
    assert binomial_upper(0, 0, 0.05) == 1
    assert binomial_upper(np.array([4, 7]), 7, 0.05).tolist()[1] == 1
    assert binomial_most(0, 0, 123, 0.05) == 123


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.5, 0.9])
def test_with_replacement_the_truth_is_above_the_bound_no_more_often_than_the_level(share: float) -> None:
    n = 300
    bounds = binomial_upper(np.arange(n + 1), n, 0.05)
    assert binom.pmf(np.arange(n + 1), n, share)[bounds < share].sum() <= 0.05


@given(draws(), st.sampled_from([0.05, 0.3, 0.9]))
def test_overlooked_positives_are_allowed_for_exactly(drawn: tuple[int, int, int], miss: float) -> None:
    x, n, size = drawn
    j = np.arange(n + 1)
    chances = [float(hypergeom.pmf(j, size, m, n) @ binom.cdf(x, j, 1 - miss)) for m in range(size + 1)]
    expected = max(m for m, chance in enumerate(chances) if chance > 0.05 * (1 - 1e-9))
    assert hypergeometric_upper(x, n, size, 0.05, miss) == expected
    assert expected >= hypergeometric_upper(x, n, size, 0.05)


def test_annotators_who_may_overlook_everything_bound_nothing() -> None:
    assert miss_upper(Seeds(0, 0), 0.05) == miss_upper(Seeds(4, 4), 0.05) == 1
    assert hypergeometric_upper(0, 100, 1_000, 0.05, 1.0) == binomial_most(0, 100, 1_000, 0.05, 1.0) == 1_000


def test_dividing_by_the_share_found_would_forget_that_the_number_overlooked_varies() -> None:
    size, miss, m = 100, 0.2, 40  # everything is labelled; each of 40 positives is found with chance 0.8
    chance = binom.pmf(np.arange(m + 1), m, 1 - miss)
    divided = np.array([hypergeometric_upper(x, size, size, 0.05) / (1 - miss) for x in range(m + 1)])
    exact = np.array([hypergeometric_upper(x, size, size, 0.05, miss) for x in range(m + 1)])
    assert chance[divided < m].sum() > 0.4
    assert chance[exact < m].sum() <= 0.05


@pytest.mark.parametrize("miss", [0.02, 0.2])
@pytest.mark.parametrize(("m", "shown"), [(8, 20), (30, 50)])
def test_seeds_and_draws_share_the_level_so_that_both_hold_at_once(miss: float, m: int, shown: int) -> None:
    size, n, level = 2_000, 600, 0.05
    found = np.arange(m + 1)
    called = np.array([hypergeom.pmf(found, size, m, n) @ binom.pmf(x, found, 1 - miss) for x in found])
    wrong = 0.0
    for missed in range(shown + 1):
        upper = miss_upper(Seeds(shown, missed), SEEDS_SHARE * level)
        left = level * (1 - SEEDS_SHARE)
        bounds = np.array([hypergeometric_upper(int(x), n, size, left, upper) for x in found])
        wrong += binom.pmf(missed, shown, miss) * called[bounds < m].sum()
    assert wrong <= level


@pytest.mark.parametrize("miss", [0.02, 0.2])
@pytest.mark.parametrize("share", [0.006, 0.03])
def test_the_same_is_true_of_draws_with_replacement(miss: float, share: float) -> None:
    n, level, shown, size = 600, 0.05, 50, 10**7
    x = np.arange(60)
    chance = binom.pmf(x, n, share * (1 - miss))
    wrong = 0.0
    for missed in range(shown + 1):
        upper = miss_upper(Seeds(shown, missed), SEEDS_SHARE * level)
        most = np.array([binomial_most(int(i), n, size, level * (1 - SEEDS_SHARE), upper) for i in x])
        wrong += binom.pmf(missed, shown, miss) * chance[most < share * size].sum()
    assert wrong <= level


def test_known_positives_leave_what_is_kept_and_lower_its_share() -> None:
    assert kept_share(50, 1_000, 0) == 0.05
    assert kept_share(50, 1_000, 10) == pytest.approx(40 / 990)
    assert kept_share(5, 1_000, 9) == 0  # more were found than the bound allows: it was wrong, not negative
    assert kept_share(0, 0, 0) == kept_share(7, 7, 7) == 0


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="3 in 2"):
        binomial_upper(3, 2, 0.05)
    with pytest.raises(ValueError, match="1 in 9 of 8"):
        hypergeometric_upper(1, 9, 8, 0.05)
