from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from tasks.groups.contingency import Tables, effective_groups, intervals, log_odds_ratio, p_values, pmi, shares
from tasks.words.changes import benjamini_hochberg

COVERED = 0.93  # of 95% intervals
DRAWS = 1000

Weights = Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]


def even(rng: np.random.Generator, group: np.ndarray, attribute: np.ndarray) -> np.ndarray:
    return np.ones(len(group))


def spread(rng: np.random.Generator, group: np.ndarray, attribute: np.ndarray) -> np.ndarray:
    return rng.lognormal(0, 0.5, len(group))


def tied(rng: np.random.Generator, group: np.ndarray, attribute: np.ndarray) -> np.ndarray:
    """What has both is weighted up; so is a little of everything else."""
    return np.where((group & attribute) | (rng.random(len(group)) < 0.01), 4.0, np.where(group, 0.8, 1.0))


def table(group: np.ndarray, attribute: np.ndarray, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """(n,) units → their 2×2 table."""
    units = np.stack([group & attribute, group, attribute, np.ones_like(group)], axis=1) * mass[:, None]
    return units.sum(axis=0), units.T @ units, float(mass.max())


def source(rng: np.random.Generator, units: int, shares: tuple[float, float, float], weights: Weights, clusters: bool):
    """Units of one sample, or of one, three or six that are alike. shares: group, attribute in it, and outside."""
    group = rng.random(units) < shares[0]
    attribute = rng.random(units) < np.where(group, shares[1], shares[2])
    size = rng.choice([1, 3, 6], units, p=[0.7, 0.2, 0.1]) if clusters else np.ones(units)
    return table(group, attribute, weights(rng, group, attribute) * size)


def differing(rng: np.random.Generator, units: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Units counted once whose one to six captions name the group, and the attribute, each by itself."""
    size, type_ = rng.choice([1, 2, 6], units, p=[0.6, 0.3, 0.1]), rng.random(units) < 0.15
    owner = np.repeat(np.arange(units), size)
    group = rng.random(len(owner)) < np.where(type_, 0.7, 0.02)[owner]
    attribute = rng.random(len(owner)) < np.where(group, 0.25, 0.1)
    mass = 1 / size[owner]
    sums = [np.bincount(owner, mass * has, units) for has in (group & attribute, group, attribute, np.ones(len(owner)))]
    masses = np.stack(sums, axis=1)
    return masses.sum(axis=0), masses.T @ masses, 1.0


def stacked(drawn: list[tuple[np.ndarray, np.ndarray, float]]) -> Tables:
    mass, products, largest = zip(*drawn, strict=True)
    return Tables(np.array(mass), np.array(products), float(np.max(largest)))


def test_figures_are_those_of_the_textbook() -> None:
    one = Tables(np.array([[20.0, 50.0, 30.0, 200.0]]), np.zeros((1, 4, 4)), 1.0)
    assert pmi(one)[0] == pytest.approx(math.log(20 * 200 / (50 * 30)))
    assert log_odds_ratio(one)[0] == pytest.approx(math.log((20 / 30) / (10 / 140)))
    np.testing.assert_allclose(np.ravel(shares(one)), [0.4, 10 / 150])


def test_what_never_stands_together_has_a_one_sided_interval_and_a_p_value() -> None:
    group, attribute = np.arange(400) < 100, np.arange(400) >= 300
    drawn = stacked([table(group, attribute, np.ones(400))])
    (lower, upper), odds = intervals(drawn, 0.95)
    assert pmi(drawn)[0] == log_odds_ratio(drawn)[0] == lower[0] == odds[0][0] == -np.inf
    assert upper[0] < -1 and odds[1][0] < -1 and p_values(drawn)[0] < 1e-6


def test_units_of_several_samples_count_as_what_they_are_worth() -> None:
    group, attribute, mass = np.arange(300) < 60, np.arange(300) % 3 == 0, np.where(np.arange(300) % 2, 1.0, 3.0)
    one, three = (stacked([table(group, attribute, mass * scale)]) for scale in (1, 3))
    assert effective_groups(one)[0] == effective_groups(three)[0] == pytest.approx((30 * 4) ** 2 / (30 * 10))
    np.testing.assert_allclose(np.ravel(intervals(one, 0.95)), np.ravel(intervals(three, 0.95)))


@pytest.mark.parametrize(
    ("units", "shares", "weights", "clusters"),
    [
        (2000, (0.1, 0.25, 0.05), even, False),
        (1500, (0.02, 0.02, 0.03), even, False),
        (1500, (0.5, 0.3, 0.2), even, False),
        (1500, (0.1, 0.1, 0.1), even, True),
        (1500, (0.05, 0.06, 0.03), even, True),
        (1500, (0.05, 0.06, 0.03), spread, False),
        (1500, (0.1, 0.1, 0.1), tied, False),
        (1500, (0.05, 0.03, 0.03), tied, False),
        (1500, (0.1, 0.2, 0.1), spread, True),
    ],
    ids=["plain", "rare", "half", "clusters", "rare clusters", "weights", "tied", "rare tied", "weights and clusters"],
)
def test_intervals_cover_the_association_of_the_source(
    units: int, shares: tuple[float, float, float], weights: Weights, clusters: bool
) -> None:
    rng = np.random.default_rng(1)
    truth = stacked([source(rng, 1_000_000, shares, weights, clusters)])
    drawn = stacked([source(rng, units, shares, weights, clusters) for _ in range(DRAWS)])
    for figure, (lower, upper) in zip((pmi, log_odds_ratio), intervals(drawn, 0.95), strict=True):
        printed = ~np.isnan(upper)
        hits = ((lower <= figure(truth)) & (figure(truth) <= upper))[printed]
        print(f"{figure.__name__}: printed {printed.mean():.3f}, coverage {hits.mean():.3f}")
        assert printed.mean() > 0.25 and hits.mean() >= COVERED


def test_intervals_cover_where_near_duplicates_have_different_captions() -> None:
    rng = np.random.default_rng(3)
    truth = stacked([differing(rng, 1_000_000)])
    drawn = stacked([differing(rng, 800) for _ in range(DRAWS)])
    for figure, (lower, upper) in zip((pmi, log_odds_ratio), intervals(drawn, 0.95), strict=True):
        hits = (lower <= figure(truth)) & (figure(truth) <= upper)
        print(f"{figure.__name__}: coverage {hits.mean():.3f}")
        assert hits.mean() >= COVERED


@pytest.mark.parametrize("clusters", [False, True])
def test_false_discoveries_stay_at_the_stated_rate_and_true_ones_are_found(clusters: bool) -> None:
    """60 groups of which every fifth goes with the attribute."""
    rng, rate = np.random.default_rng(2), 0.05
    sizes = np.tile([0.03, 0.06, 0.1, 0.2, 0.4], 12)
    real = np.arange(60) % 5 == np.arange(60) // 5 % 5
    false, power = [], []
    for _ in range(60):
        shares = [(size, 0.3 if found else 0.1, 0.1) for size, found in zip(sizes, real, strict=True)]
        drawn = stacked([source(rng, 1000, each, even, clusters) for each in shares])
        rejected = benjamini_hochberg(p_values(drawn), rate)
        false.append((rejected & ~real).sum() / max(rejected.sum(), 1))
        power.append((rejected & real).sum() / real.sum())
    print(f"false discoveries {np.mean(false):.3f}, found {np.mean(power):.3f}")
    assert np.mean(false) <= rate and np.mean(power) > 0.5
