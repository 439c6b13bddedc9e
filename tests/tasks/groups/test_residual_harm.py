from __future__ import annotations

import numpy as np
import pytest

from tasks.groups.residual_harm import Harm, interval

COVERED = 0.93  # of 95% intervals
DRAWS = 1000


def units(rng: np.random.Generator, number: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """(n,) scores and masses of units. rare: one in a hundred is high; clusters of one, three or six; weights."""
    rare = rng.random(number) < 0.01
    score = np.where(rare, rng.beta(5, 2, number), rng.beta(0.3, 60, number))
    if "rare" not in kind:
        score = rng.beta(0.5, 5, number)
    mass = rng.choice([1.0, 3.0, 6.0], number, p=[0.7, 0.2, 0.1]) if "clusters" in kind else np.ones(number)
    return score, mass * np.exp(rng.normal(0, 0.5, number) + score) if "weights" in kind else mass


def sums(score: np.ndarray, mass: np.ndarray) -> list[float]:
    mean = mass @ score / mass.sum()
    z = mass * (score - mean)
    return [mean, len(mass), mass.sum(), mass @ mass, z @ z, (z**2) @ (z**2)]


def harm(drawn: list[list[float]]) -> Harm:
    return Harm(*np.array(drawn, np.float64).T)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (300, "plain"),
        (3000, "rare"),
        (3000, "clusters and weights"),
        (1000, "clusters and weights"),
        (5000, "rare weights"),
    ],
)
def test_intervals_cover_the_mean_score_of_the_source(number: int, kind: str) -> None:
    rng = np.random.default_rng(5)
    truth = sums(*units(rng, 1_000_000, kind))[0]
    lower, upper = interval(harm([sums(*units(rng, number, kind)) for _ in range(DRAWS)]))
    printed = ~np.isnan(lower)
    hits = ((lower <= truth) & (truth <= upper))[printed]
    print(f"printed {printed.mean():.3f}, coverage {hits.mean():.3f}")
    assert printed.mean() > 0.25 and hits.mean() >= COVERED


def test_there_is_no_interval_where_one_high_score_more_would_outweigh_all_that_is_seen() -> None:
    """One in 500 is high: in half of the pools there is none, and the rest looks as if it could carry an interval."""
    rng = np.random.default_rng(6)
    drawn = []
    for _ in range(200):
        score = np.where(rng.random(350) < 0.002, 0.9, rng.random(350) * 0.01)
        drawn.append(sums(score, np.ones(350)))
    found = harm(drawn)
    assert (found.effective_groups > 100).sum() > 60
    assert np.isnan(interval(found)).all()


def test_an_interval_holds_its_mean_lies_within_0_and_1_and_does_not_depend_on_the_scale_of_masses() -> None:
    rng = np.random.default_rng(7)
    score, mass = rng.random(200), rng.choice([1.0, 2.0], 200)
    (lower, upper), other = interval(harm([sums(score, mass)])), interval(harm([sums(score, mass * 7)]))
    assert 0 < lower[0] < sums(score, mass)[0] < upper[0] < 1
    np.testing.assert_allclose((lower, upper), other)


def test_a_mean_of_no_scores_or_of_one_score_has_no_interval() -> None:
    assert np.isnan(interval(harm([[np.nan, 0, 0, 0, 0, 0], sums(np.full(90, 0.25), np.ones(90))]))).all()
