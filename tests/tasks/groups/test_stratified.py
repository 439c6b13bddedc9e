from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.groups.stratified import Estimate, Strata, combined, difference, limits, log_odds_ratio

COVERED = 0.93  # of 95% intervals
DRAWS = 400


class Pool(NamedTuple):
    """A pool in strata; (n,) each."""

    stratum: np.ndarray
    positive: np.ndarray
    mass: np.ndarray


def sums(pool: Pool, labelled: np.ndarray) -> Strata:
    """By their definitions. labelled: (n,)"""
    there = pool.mass > 0
    strata = pool.stratum.max() + 1

    def total(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        return np.bincount(pool.stratum[chosen], values[chosen], strata)

    ones, given, positive = np.ones(len(there)), there & labelled, there & labelled & pool.positive
    largest = np.zeros(strata)
    np.maximum.at(largest, pool.stratum[there & ~labelled], pool.mass[there & ~labelled])
    return Strata(
        size=total(ones, there),
        mass=total(pool.mass, there),
        largest=largest,
        labelled=total(ones, given),
        labelled_mass=total(pool.mass, given),
        labelled_squares=total(pool.mass**2, given),
        positive_mass=total(pool.mass, positive),
        positive_squares=total(pool.mass**2, positive),
    )


def drawn(rng: np.random.Generator, pool: Pool, labels: int) -> np.ndarray:
    """(n,) which samples are labelled: as many of each stratum at random, or all of it."""
    chosen = np.zeros(len(pool.stratum), np.bool_)
    for stratum in range(pool.stratum.max() + 1):
        rows = np.flatnonzero(pool.stratum == stratum)
        chosen[rng.choice(rows, min(labels, len(rows)), replace=False)] = True
    return chosen


def made(rng: np.random.Generator, samples: int, share: float, masses: str) -> Pool:
    """Strata 0, 1, 2 are outside the group, 3, 4, 5 within it; the classifier overlooks more within it."""
    group = rng.random(samples) < share
    score = np.where(
        rng.random(samples) < np.where(group, 0.1, 0.02), rng.beta(4, 2, samples), rng.beta(0.4, 25, samples)
    )
    positive = rng.random(samples) < np.where(group, score**0.6, score**1.3)
    mass = {
        "once": 1 / rng.choice([1, 2, 5], samples, p=[0.8, 0.15, 0.05]),
        "filtered": (score < 0.6).astype(np.float64),
        "weighted": np.exp(rng.normal(0, 0.6, samples) + score / 2),
    }[masses]
    return Pool(np.searchsorted([0.03, 0.3], score) + 3 * group, positive, mass)


@pytest.mark.parametrize("masses", ["once", "filtered", "weighted"])
@pytest.mark.parametrize(("samples", "share", "labels"), [(10_000, 0.1, 100), (5_000, 0.03, 40), (500, 0.3, 60)])
def test_intervals_cover_what_is_true_of_the_pool(samples: int, share: float, labels: int, masses: str) -> None:
    rng = np.random.default_rng(4)
    pool = made(rng, samples, share, masses)
    inside = np.arange(6) >= 3
    whole = sums(pool, np.ones(samples, np.bool_))
    true = [combined(whole, inside).share, combined(whole, ~inside).share]
    truths = [*true, true[0] - true[1], math.log(true[0] / (1 - true[0])) - math.log(true[1] / (1 - true[1]))]
    hits = np.zeros((DRAWS, 4), np.bool_)
    for draw in range(DRAWS):
        strata = sums(pool, drawn(rng, pool, labels))
        one, other = combined(strata, inside), combined(strata, ~inside)
        found = one, other, difference(one, other), log_odds_ratio(one, other)
        hits[draw] = [
            each.lower - 1e-9 <= truth <= each.upper + 1e-9 for each, truth in zip(found, truths, strict=True)
        ]
    print("coverage", hits.mean(axis=0))
    assert (hits.mean(axis=0) >= COVERED).all()


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 40), st.floats(0.1, 5))
def test_limits_hold_the_share_and_are_met_where_everything_is_labelled(
    positive: int, negative: int, rest: int, mass: float
) -> None:
    labels = positive + negative
    sizes = np.array([float(labels + rest)])
    counted = [sizes, sizes * mass, np.array([mass if rest else 0.0])]
    given_ = [np.array([float(labels)]), *(np.array([labels * m]) for m in (mass, mass**2))]
    one = Strata(*counted, *given_, *(np.array([positive * m]) for m in (mass, mass**2)))
    if not labels:
        assert np.isnan(limits(one)).all()
        return
    share, lower, upper = (values[0] for values in limits(one))
    assert share == pytest.approx(positive / labels) and 0 <= lower <= share + 1e-12 and share - 1e-12 <= upper <= 1
    assert (upper - lower < 1e-9) == (rest == 0)


def test_a_stratum_without_labels_leaves_nothing_to_tell_of_what_holds_it() -> None:
    pool = Pool(np.repeat([0, 1], 50), np.arange(100) % 5 == 0, np.ones(100))
    strata = sums(pool, np.arange(100) < 20)
    assert combined(strata, np.array([True, False])).share == pytest.approx(0.2)
    assert math.isnan(combined(strata, np.array([True, True])).share)
    assert math.isnan(combined(strata, np.array([False, False])).upper)


def test_differences_and_odds_ratios_are_those_of_the_textbook() -> None:
    one, other = Estimate(56 / 70, 0.691834, 0.876953), Estimate(48 / 80, 0.490455, 0.700382)  # Wilson's limits
    found = difference(one, other)  # Newcombe 1998, example (a), method 10
    assert (found.share, found.lower, found.upper) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert log_odds_ratio(one, other).share == pytest.approx(math.log(4 / 1.5))


def test_an_odds_ratio_of_no_positives_is_infinite_with_a_finite_bound_on_its_other_side() -> None:
    found = log_odds_ratio(Estimate(0.0, 0.0, 0.02), Estimate(0.3, 0.25, 0.36))
    assert found.share == found.lower == -math.inf and -4 < found.upper < -2
    exact = log_odds_ratio(Estimate(0.0, 0.0, 0.0), Estimate(0.3, 0.25, 0.36))
    assert exact.share == -math.inf
