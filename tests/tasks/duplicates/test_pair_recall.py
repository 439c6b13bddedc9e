"""The recall of a search is estimated without bias, and its interval covers the truth as often as it says."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.duplicates import candidates
from tasks.duplicates.candidates import Found, Search, find
from tasks.duplicates.pair_recall import Asked, draw, estimate, missed, residual
from tasks.duplicates.queried import Stratum
from tasks.duplicates.recall_interval import Estimate, at_most, interval
from tasks.duplicates.stored import stored
from tests.tasks.planted import all_pairs, crowd, planted


def told(vectors: np.ndarray, found: Found, queries: int) -> Estimate:
    return estimate(stored([vectors]), found, Asked(0.95, queries, seed=0))[0]


def left(vectors: np.ndarray, queries: int) -> Estimate:
    return residual(stored([vectors]), np.ones(len(vectors), np.bool_), Asked(0.95, queries, seed=0))[0]


def lossy(vectors: np.ndarray, share: float, seed: int = 0) -> tuple[Found, int]:
    """Exact search with that share of its pairs lost; and how many there were."""
    found = find(vectors, "exact", Search(0.95))
    stay = np.random.default_rng(seed).random(len(found.pairs)) >= share
    fewer = found._replace(pairs=found.pairs[stay], similarity=found.similarity[stay], step=found.step[stay])
    return fewer, len(found.pairs)


def test_where_every_row_is_asked_recall_is_exact_and_says_so() -> None:
    vectors = planted(800)
    found, total = lossy(vectors, 0.3)
    recall = told(vectors, found, 800)
    assert recall.exact
    assert recall.estimate == recall.lower == recall.upper == pytest.approx(len(found.pairs) / total)
    assert recall.estimate < 0.8


def test_misses_are_counted_at_both_ends_of_a_pair() -> None:
    vectors = planted(300)
    truth = all_pairs(vectors, 0.95)
    nothing = Found(np.empty((0, 2), np.int64), np.empty(0), np.zeros(300, np.bool_), np.empty(0, np.int8))
    misses = missed(stored([vectors]), nothing, [(300, np.arange(300))], Asked(0.95, 300, 0))
    assert (np.bincount(misses.query, minlength=300) == np.bincount(truth.ravel(), minlength=300)).all()


def test_a_complete_search_misses_nothing() -> None:
    vectors = planted(3000)
    recall = told(vectors, find(vectors, "exact", Search(0.95)), 500)
    assert (recall.estimate, recall.upper, recall.exact, recall.queries) == (1.0, 1.0, False, 500)
    assert 0.9 < recall.lower < 1


def test_pairs_that_were_left_out_on_purpose_are_no_misses() -> None:
    vectors = crowd(600)
    recall = told(vectors, find(vectors, "exact", Search(0.95)), 600)
    assert recall.estimate == 1.0


@pytest.mark.parametrize("n", [0, 1])
def test_pools_without_pairs_have_recall_one(n: int) -> None:
    recall = told(crowd(n), find(crowd(n), "probes", Search(0.95)), 10)
    assert (recall.estimate, recall.lower, recall.exact) == (1.0, 1.0, True)


def test_small_gaps_are_asked_more_often() -> None:
    gap = np.linspace(1, 0, 1000, dtype=np.float32)
    (low, first), (rest, second) = draw(gap, 1000, 200, seed=0)
    assert (low, rest) == (100, 900)
    assert (len(first), len(second)) == (50, 150)
    assert first.min() >= 900 > second.max()


def test_without_gaps_or_with_equal_ones_there_is_one_stratum() -> None:
    assert [size for size, _ in draw(None, 1000, 200, seed=0)] == [1000]
    assert [size for size, _ in draw(np.ones(1000, np.float32), 1000, 200, seed=0)] == [1000]


def losses(rng: np.random.Generator, n: int, pairs: int) -> np.ndarray:
    """Missed pairs a row, nearly all in the first tenth. (n,)"""
    low = n // 10
    left = rng.integers(0, low, pairs)
    right = np.where(rng.random(pairs) < 0.9, rng.integers(0, low, pairs), rng.integers(0, n, pairs))
    return np.bincount(np.concatenate([left, right]), minlength=n)


@pytest.mark.parametrize("lost", [5, 40, 400, 4000])
@pytest.mark.parametrize("strata", [1, 2])
def test_the_interval_covers_the_true_recall(lost: int, strata: int) -> None:
    n, found, runs = 20_000, 10_000, 200
    rng = np.random.default_rng(lost + strata)
    gap = np.arange(n, dtype=np.float32) if strata == 2 else None
    covered, estimates = 0, []
    for run in range(runs):
        misses = losses(rng, n, lost)
        recall = interval(found, [Stratum(size, misses[rows]) for size, rows in draw(gap, n, 2000, seed=run)])
        covered += recall.lower <= found / (found + lost) <= recall.upper
        estimates.append(found / recall.estimate - found)
    assert covered >= 0.92 * runs  # 95% nominal; 3 standard errors below it are 90.4%
    assert np.mean(estimates) == pytest.approx(lost, abs=4 * np.std(estimates) / runs**0.5)


def test_strata_give_a_shorter_interval_than_none() -> None:
    misses = losses(np.random.default_rng(0), 20_000, 2000)
    widths = []
    for gap in (None, np.arange(20_000, dtype=np.float32)):
        recall = interval(10_000, [Stratum(size, misses[rows]) for size, rows in draw(gap, 20_000, 2000, seed=1)])
        widths.append(recall.upper - recall.lower)
    assert widths[1] < widths[0]


@pytest.mark.parametrize(("size", "asked"), [(20_000, 200), (100_000, 2000)])
def test_nothing_seen_bounds_what_there_is_by_the_rule_of_three(size: int, asked: int) -> None:
    bound = at_most([(size, asked, 0)]) / size
    assert bound == pytest.approx(3 / asked, rel=0.12)
    assert at_most([(size, asked, 0)]) < at_most([(size, asked, 1)]) < at_most([(size, asked, 5)])


@pytest.mark.parametrize("affected", [(3, 0), (30, 100), (200, 400), (0, 900)])
def test_the_bound_of_affected_rows_holds_nineteen_times_in_twenty(affected: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(affected))
    sizes, asked = (2000, 18_000), (500, 1500)
    hits = [rng.hypergeometric(a, size - a, m, 300) for a, size, m in zip(affected, sizes, asked, strict=True)]
    bounds = {pair: at_most(list(zip(sizes, asked, pair, strict=True))) for pair in set(zip(*hits, strict=True))}
    held = sum(bounds[pair] >= sum(affected) for pair in zip(*hits, strict=True))
    assert held >= 0.92 * 300


def test_no_residual_is_seen_among_vectors_that_are_far_apart() -> None:
    found = left(np.eye(3000, dtype=np.float16), queries=300)
    assert found.estimate == 0
    assert 0.008 < found.upper < 0.011
    assert not found.exact


def test_residual_is_exact_for_few_vectors() -> None:
    vectors = planted(500)
    near = len(np.unique(all_pairs(vectors, 0.95)))
    found = left(vectors, queries=2000)
    assert found.exact
    assert found.estimate == found.upper == pytest.approx(near / 500)


def test_residual_of_no_survivors_is_zero() -> None:
    assert left(crowd(0), queries=10).estimate == 0.0


def test_the_estimate_finds_the_pairs_that_a_coarse_clustering_lost() -> None:
    vectors = planted(6000)
    found = candidates.find(vectors, "clusters", Search(0.95, clusters=1500, clusterings=1))
    truth = len(found.pairs) / len(all_pairs(vectors, 0.95))
    recall = told(vectors, found, 2000)
    assert truth < 0.98
    assert recall.lower <= truth <= recall.upper


def test_recall_is_told_for_each_band_of_similarity() -> None:
    vectors = planted(800)
    found = find(vectors, "exact", Search(0.95))
    lost = (found.similarity >= 0.97) & (found.similarity < 0.98)
    fewer = found._replace(pairs=found.pairs[~lost], similarity=found.similarity[~lost], step=found.step[~lost])
    bands = estimate(stored([vectors]), fewer, Asked(0.95, 800, seed=0))[1]
    assert [(band.low, band.high) for band in bands] == [
        (0.95, 0.96),
        (0.96, 0.97),
        (0.97, 0.98),
        (0.98, 0.99),
        (0.99, 1),
    ]
    assert [band.recall.estimate for band in bands] == [1, 1, 0, 1, 1]
    assert sum(band.found for band in bands) == len(fewer.pairs)


def test_a_threshold_of_one_has_one_band() -> None:
    vectors = np.array([[1, 0], [0.5, 0], [0, 1]], np.float16)
    bands = estimate(stored([vectors]), find(vectors, "exact", Search(1.0)), Asked(1.0, 10, seed=0))[1]
    assert [(band.low, band.high, band.found) for band in bands] == [(1.0, 1.0, 1)]
