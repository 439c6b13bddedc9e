from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from tasks.words.changes import (
    Influence,
    Shares,
    benjamini_hochberg,
    change,
    clopper_pearson,
    linearised_interval,
    p_values,
    paired_interval,
)

DRAWS = 2000
COVERED = 0.93  # of 95% intervals


def shares(through: object, trials: object, mean: float, deff: object = 1.0) -> Shares:
    n = np.atleast_1d(np.asarray(trials))
    return Shares(np.atleast_1d(np.asarray(through)), n, np.broadcast_to(deff, n.shape), round(mean * 10**6), 10**6)


def test_a_change_is_undefined_of_nothing_and_complete_where_nothing_is_left() -> None:
    found = change(np.array([0, 0, 5]), 50, np.array([0, 4, 10]), 200)
    np.testing.assert_allclose(found, [np.nan, -1, 1])
    assert np.isnan(change(np.array([0]), 0, np.array([3]), 9)).all()


def test_the_exact_interval_is_the_published_one() -> None:
    lower, upper = clopper_pearson(np.array([81.0]), np.array([263.0]), 0.95)  # Newcombe 1998, method 5
    np.testing.assert_allclose([lower[0], upper[0]], [0.2527, 0.3676], atol=5e-5)


@given(st.integers(1, 500), st.data())
def test_a_paired_interval_holds_the_change_that_was_seen(trials: int, data: st.DataObject) -> None:
    through = data.draw(st.integers(0, trials))
    found = shares(through, trials, 0.9, deff=data.draw(st.floats(1, 5)))
    lower, upper = paired_interval(found)
    seen = through / trials / 0.9 - 1
    most = 1 / 0.9 - 1 + 0.003  # mean e is itself uncertain
    assert -1 <= lower[0] <= seen + 1e-12 and seen - 1e-12 <= upper[0] <= most


@pytest.mark.parametrize("mean", [0.0, 1.0])
def test_there_is_no_interval_and_no_test_where_all_or_nothing_came_through(mean: float) -> None:
    found = shares(10 * mean, 10, mean)
    assert np.isnan([*paired_interval(found), p_values(found, 0.01)]).all()


@pytest.mark.parametrize(("keep", "captions"), [(0.95, 30), (0.8, 40), (0.5, 25), (0.97, 300), (0.25, 60), (0.995, 25)])
def test_paired_intervals_cover_the_change_of_the_source(keep: float, captions: int) -> None:
    """Words in near-duplicate groups of one to five captions that the filter judges alike, in a pool of 20,000."""
    rng = np.random.default_rng(1)
    mean, rest = 0.9, 20_000
    hits = np.empty(DRAWS, np.bool_)
    for draw in range(DRAWS):
        sizes = rng.choice([1, 2, 5], rng.poisson(captions), p=[0.8, 0.15, 0.05])
        through = sizes @ (rng.random(len(sizes)) < keep)
        all_through = through + rng.binomial(rest, mean)
        deff = np.array([sizes @ sizes / sizes.sum()])
        seen = Shares(np.array([through]), np.array([sizes.sum()]), deff, all_through, rest + sizes.sum())
        lower, upper = paired_interval(seen)
        expected = 1.4 * captions  # captions with the word; their part in the mean of the source
        truth = keep * (expected + rest) / (keep * expected + mean * rest) - 1
        hits[draw] = lower[0] <= truth <= upper[0]
    print(f"coverage {hits.mean():.3f}")
    assert hits.mean() >= COVERED


def _weighted_pool(rng: np.random.Generator, groups: int) -> tuple[np.ndarray, ...]:
    """Per sample: group, term bit, mass (keep bit × weight). The filter is hard on the term, weights repair half."""
    sizes = rng.choice([1, 3], groups, p=[0.9, 0.1])
    group = np.repeat(np.arange(groups), sizes)
    term = rng.random(groups) < 0.2
    other = rng.random(groups) < 0.5
    keep = rng.random(groups) < np.where(term, 0.7, 0.95) - 0.1 * other
    weight = np.where(term, 1.15, 1.0) * np.where(other, 1.1, 0.95)
    return group, term[group], (keep * weight)[group]


def _sums(group: np.ndarray, term: np.ndarray, mass: np.ndarray) -> tuple[float, Influence]:
    """The weighted change and its influence, by their definitions."""
    groups = group.max() + 1
    size, all_mass = np.bincount(group), np.bincount(group, mass)
    has, term_mass = np.bincount(group, term) / size, np.bincount(group, mass * term)
    p = has.mean()
    p_weighted = term_mass.sum() / all_mass.sum()
    z = p * (term_mass / p_weighted - all_mass) / all_mass.mean() - has + p
    one = np.array([(z**2).sum()]), np.array([(z**4).sum()]), np.array([p])
    return p_weighted / p - 1, Influence(*one, groups)


@pytest.mark.parametrize("groups", [600, 1000, 3000])
def test_linearised_intervals_cover_the_weighted_change_of_the_source(groups: int) -> None:
    rng = np.random.default_rng(2)
    truth, _ = _sums(*_weighted_pool(rng, 1_000_000))
    hits = []
    for _ in range(DRAWS // 2):
        seen, influence = _sums(*_weighted_pool(rng, groups))
        lower, upper = linearised_interval(np.array([seen]), influence)
        if not np.isnan(lower[0]):
            hits.append(lower[0] <= truth <= upper[0])
    assert len(hits) > DRAWS / 4
    print(f"coverage {np.mean(hits):.3f}")
    assert np.mean(hits) >= COVERED


def test_a_rare_loss_that_by_chance_is_not_seen_leaves_no_interval_of_the_weighted_change() -> None:
    """One in a hundred is lost: of 40 groups with the term often none, and then only the spread of weights is seen."""
    rng, unseen = np.random.default_rng(4), 0
    for _ in range(50):
        mass = rng.choice([0.9, 1.1], 2000) * (rng.random(2000) < 0.99)
        term = np.arange(2000) < 40
        seen, influence = _sums(np.arange(2000), term, mass)
        unseen += bool(mass[:40].all() and influence.effective_groups[0] > 30)
        assert np.isnan(linearised_interval(np.array([seen]), influence)[0][0])
    assert unseen > 10


def test_too_few_groups_give_no_linearised_interval() -> None:
    few = Influence(np.array([19.0, 21.0]), np.array([19.0, 21.0]), np.array([0.1, 0.1]), 1000)
    lower, _ = linearised_interval(np.zeros(2), few)
    np.testing.assert_array_equal(few.effective_groups, [19, 21])
    np.testing.assert_array_equal(np.isnan(lower), [True, False])


def test_p_values_are_exact_binomial_tails_at_the_edges_of_the_band() -> None:
    found = shares([30, 40, 50, 0], [50, 50, 50, 0], 0.8)
    p = p_values(found, 0.01)
    assert p[0] == pytest.approx(2 * binom.cdf(30, 50, 0.8 * 0.99))
    assert p[1] == 1
    assert p[2] == pytest.approx(2 * binom.sf(49, 50, 0.8 * 1.01))
    assert np.isnan(p[3])


def test_false_discoveries_stay_at_the_stated_rate() -> None:
    """1,000 words, four in five changed by no more than tau, at its very edge where it is hardest."""
    rng, mean, tau, rate, words = np.random.default_rng(3), 0.9, 0.01, 0.05, 1000
    changed = np.arange(words) % 5 == 0
    false, found = [], 0
    for _ in range(100):
        trials = 20 + rng.geometric(0.002, words)
        keep = np.where(changed, 0.75, mean * (1 + tau * rng.choice([-1, 1], words)))
        p = p_values(shares(rng.binomial(trials, keep), trials, mean), tau)
        rejected = benjamini_hochberg(p, rate)
        false.append((rejected & ~changed).sum() / max(rejected.sum(), 1))
        found += (rejected & changed).sum()
    assert np.mean(false) <= rate
    assert found > 0.5 * 100 * changed.sum()


def test_benjamini_hochberg_rejects_all_up_to_the_last_that_passes() -> None:
    p = np.array([0.04, np.nan, 0.001, 0.03, 0.9])
    np.testing.assert_array_equal(benjamini_hochberg(p, 0.06), [True, False, True, True, False])
    assert not benjamini_hochberg(np.array([np.nan]), 0.05).any()
    assert len(benjamini_hochberg(np.array([]), 0.05)) == 0
