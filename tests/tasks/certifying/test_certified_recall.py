"""Certificates promise too much no more often than they say, and say what is lacking where they cannot promise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom

from tasks.certifying.certificate import Goal
from tasks.certifying.certified_recall import (
    Draws,
    LargePool,
    SmallPool,
    census,
    counted,
    draw,
    draw_census,
    fixed_sequence,
    large_pool,
    omega,
    recall_bound,
)
from tasks.certifying.elusion import Seeds, hypergeometric_upper
from tests.benchmarks import bench_certificates as bench

GOAL = Goal(0.8, 0.9)  # its first round spends 5%
LARGE = LargePool(20_000, 980_000, 0.1, 3_000, 2_700, positives=80, flagged_positives=80, known=0)
SMALL = SmallPool(300, 3_600, 500, 150, 2, 3_400, 1_000, 0)


def test_a_draw_takes_flagged_samples_with_the_chance_beta_and_keeps_repeats() -> None:
    flagged, unflagged = np.arange(10), np.arange(10, 1_000)
    drawn = draw(flagged, unflagged, 20_000, 0.1, np.random.default_rng(0))
    assert drawn.rows[drawn.flagged].max() < 10 <= drawn.rows[~drawn.flagged].min()
    assert abs(drawn.flagged.mean() - 0.1) < 0.01
    assert np.bincount(drawn.rows[drawn.flagged], minlength=10).min() > 100  # uniform within, each drawn many times
    assert len(np.unique(drawn.rows)) == 1_000


def test_a_draw_comes_from_the_only_stratum_there_is() -> None:
    none, rng = np.empty(0, np.int64), np.random.default_rng(0)
    assert draw(np.arange(5), none, 50, 0.1, rng).flagged.all()
    assert not draw(none, np.arange(5), 50, 0.1, rng).flagged.any()
    assert len(draw(none, none, 0, 0.1, rng).rows) == 0
    with pytest.raises(ValueError, match="empty pool"):
        draw(none, none, 1, 0.1, rng)


def test_a_census_draws_no_sample_twice_and_all_where_there_are_no_more() -> None:
    rng = np.random.default_rng(0)
    assert len(np.unique(draw_census(np.arange(100, 200), 60, rng))) == 60
    assert sorted(draw_census(np.arange(100, 110), 60, rng)) == list(range(100, 110))


def test_a_positive_that_was_drawn_twice_counts_twice_but_is_one_known_positive() -> None:
    drawn = Draws(np.array([1, 1, 7, 7, 8]), np.array([True, True, False, False, False]))
    seen = counted(drawn, np.array([True, True, True, True, False]), (3, 9), 0.2)
    assert seen == LargePool(3, 9, 0.2, draws=5, unflagged_draws=3, positives=4, flagged_positives=2, known=1)


def test_the_large_pools_bound_is_the_formula() -> None:
    theta, ratio = beta.ppf(0.05, 78, 3), 0.1 * 980_000 / (0.9 * 20_000)
    expected = theta / (theta + (1 - theta) * ratio)
    assert omega(20_000, 980_000, 0.1) == pytest.approx(ratio)
    assert float(recall_bound(78, 80, ratio, 0.05)) == pytest.approx(expected)
    found = large_pool(LARGE._replace(flagged_positives=78, known=2), GOAL)
    assert found.recall_lower == pytest.approx(expected)
    assert recall_bound(np.array([0, 78]), 80, ratio, 0.05).tolist() == [0, pytest.approx(expected)]


@pytest.mark.parametrize("k", [1, 20, 150])
@pytest.mark.parametrize("ratio", [0.3, 5.0, 80.0])
def test_the_large_pools_bound_is_above_the_truth_no_more_often_than_its_level(k: int, ratio: float) -> None:
    h = np.arange(k + 1)
    bounds, worst = recall_bound(h, k, ratio, 0.05), 0.0
    for truth in np.concatenate([np.linspace(0.01, 0.999, 200), bounds[1:] - 1e-9]):
        theta = 1 / (1 + (1 - truth) / truth / ratio)
        worst = max(worst, binom.pmf(h, k, theta)[bounds > truth].sum())  # summed, not simulated
    assert 0.045 < worst <= 0.05 + 1e-6


def test_the_census_bound_is_the_formula() -> None:
    most = hypergeometric_upper(0, 1_000, 3_400, 0.05)
    found = census(SMALL, GOAL)
    assert found.recall_lower == 150 / (150 + 2 + most)
    assert found.elusion_upper == most / (3_600 - 2)
    assert (found.method, found.verdict, found.level, found.round) == ("census", "certified", pytest.approx(0.05), 1)
    assert found.counts["rest"] == 3_400 and found.labels_would_do is None and found.miss_upper is None


def test_with_everything_labelled_the_census_is_exact() -> None:
    found = census(SMALL._replace(draws=3_400, positives=4, labelled=500), GOAL)
    assert found.recall_lower == 150 / 156
    assert found.elusion_upper == 0  # what was found is removed


def test_a_certificate_that_falls_short_names_the_draws_that_would_do() -> None:
    goal = Goal(0.95, 0.95)
    for found, again in (
        (large_pool(LARGE, goal), lambda n: large_pool(times(LARGE, n), goal._replace(round=2))),
        (census(SMALL, goal), lambda n: census(SMALL._replace(draws=n), goal._replace(round=2))),
    ):
        assert found.verdict == "not certified" and found.labels_would_do is not None
        assert again(found.labels_would_do + 60).verdict == "certified"  # 60 draws for less than two positives
        assert again(found.labels_would_do - 60).verdict == "not certified"
        assert f"{found.labels_would_do:,} draws in the next round would do (an estimate)" in found.sentence()


def times(seen: LargePool, draws: int) -> LargePool:
    """The same rates in another number of draws."""
    k = seen.positives * draws // seen.draws
    return seen._replace(draws=draws, unflagged_draws=draws * 9 // 10, positives=k, flagged_positives=k)


def test_a_target_above_the_recall_seen_is_out_of_reach_of_any_number_of_draws() -> None:
    for found in (
        large_pool(LARGE._replace(flagged_positives=50, known=30), GOAL),
        census(SMALL._replace(positives=40), GOAL),
    ):
        assert found.verdict == "not certified" and found.labels_would_do is None
        assert "no number of draws would do" in found.sentence()


def test_without_a_positive_nothing_is_said_of_the_recall_but_something_of_what_is_kept() -> None:
    empty = LargePool(20_000, 980_000, 0.1, 3_000, 2_700, 0, 0, 0)
    for found in (large_pool(empty, GOAL), census(SmallPool(300, 3_600, 500, 0, 0, 3_400, 1_000, 0), GOAL)):
        assert found.recall_lower is None and found.verdict == "not certified"
        assert 0 < found.elusion_upper < 0.01
        assert "nothing can be said of the recall" in found.sentence()


def test_where_all_is_flagged_all_is_found_and_nothing_kept() -> None:
    for found in (
        large_pool(LargePool(50, 0, 0.1, 20, 0, 3, 3, 0), GOAL),
        census(SmallPool(50, 0, 50, 3, 0, 0, 0, 0), GOAL),
    ):
        assert (found.recall_lower, found.elusion_upper, found.verdict) == (1, 0, "certified")


def test_where_nothing_is_flagged_nothing_is_found() -> None:
    found = large_pool(LargePool(0, 5_000, 0.1, 500, 500, 4, 0, 4), GOAL)
    assert found.recall_lower == 0 and found.verdict == "not certified" and found.labels_would_do is None
    assert large_pool(LargePool(0, 5_000, 0.1, 0, 0, 0, 0, 0), GOAL).elusion_upper == 1
    assert census(SmallPool(0, 5_000, 10, 0, 3, 4_990, 500, 0), GOAL).recall_lower == 0


@given(st.integers(0, 150), st.integers(0, 30), st.integers(0, 60))
def test_flagged_samples_without_a_label_only_lower_the_census_bound(a: int, x: int, hidden: int) -> None:
    seen = SMALL._replace(flagged_positives=a, positives=x)
    less, all_of_it = census(seen, GOAL), census(seen._replace(flagged_positives=a + hidden), GOAL)
    assert (less.recall_lower or 0) <= (all_of_it.recall_lower or 0)


@given(st.integers(0, 80), st.integers(0, 20))
def test_seeds_only_lower_a_bound_and_missed_ones_more(h: int, missed: int) -> None:
    seen = LARGE._replace(flagged_positives=h, known=80 - h)
    small = SMALL._replace(positives=80 - h)
    for certify, counts in ((large_pool, seen), (census, small)):
        plain, some, more = (certify(counts, GOAL, s) for s in (None, Seeds(60, missed), Seeds(60, missed + 9)))
        assert plain.recall_lower >= some.recall_lower >= more.recall_lower
        assert plain.elusion_upper <= some.elusion_upper <= more.elusion_upper
        assert some.counts["seeds_missed"] == missed and some.miss_upper > missed / 60
        assert f"they missed {missed} of 60 seeds" in some.sentence()


def test_without_any_seed_shown_annotators_may_overlook_everything() -> None:
    assert large_pool(LARGE, GOAL, Seeds(0, 0)).recall_lower == 0
    assert large_pool(LARGE, GOAL, Seeds(0, 0)).elusion_upper == 1
    assert census(SMALL, GOAL, Seeds(0, 0)).recall_lower == 150 / (500 + 3_400)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="h of k positives"):
        large_pool(LARGE._replace(flagged_positives=81), GOAL)
    with pytest.raises(ValueError, match="x positives in n draws"):
        census(SMALL._replace(draws=3_401), GOAL)
    with pytest.raises(ValueError, match="beta must lie between 0 and 1"):
        large_pool(LARGE._replace(beta=1.0), GOAL)


def test_a_fixed_sequence_stops_at_the_first_failure() -> None:
    scores = np.repeat([0.9, 0.5, 0.1], [78, 2, 0])
    assert fixed_sequence(scores, [0.4, 0.6, 0.95], LARGE, GOAL) == (0.4,)
    assert fixed_sequence(scores, [0.95, 0.4], LARGE, GOAL) == ()  # the first fails: the others are not looked at
    assert fixed_sequence(scores, [0.3, 0.4], LARGE, GOAL) == (0.3, 0.4)
    with pytest.raises(ValueError, match="scores of 80 positives"):
        fixed_sequence(scores[1:], [0.4], LARGE, GOAL)


def test_at_the_draws_own_threshold_a_fixed_sequence_decides_as_the_certificate_does() -> None:
    for h in range(81):
        seen = LARGE._replace(flagged_positives=h, known=80 - h)
        scores = np.repeat([0.9, 0.1], [h, 80 - h])
        alone = large_pool(seen, GOAL).verdict == "certified"
        assert fixed_sequence(scores, [0.5], seen, GOAL) == ((0.5,) if alone else ())


def unlikely(wrong: int, simulations: int) -> bool:
    """More failures than a level of 5% gives in one of 10,000 tests."""
    return wrong > binom.ppf(0.9999, simulations, 0.05)


SIMULATIONS: dict[str, Callable[[], bench.Outcome]] = {
    "large": lambda: bench.large("large", [bench.hard(0.01, 3_000, Goal(0, 0.9))], 3_000, 400),
    "rounds": lambda: bench.large("rounds", [bench.hard(0.05, 3_000, goal) for goal in bench.goals(4)], 3_000, 400),
    "missed": lambda: bench.large("missed", [bench.Large(0.05, 0.95, 0.25, 0, 0.1)], 11_000, 400, corrected=True),
    "census": lambda: bench.small("census", bench.Small(30, 11, 3_600, 2_000), 1_000, 1, 400),
    "census rounds": lambda: bench.small("rounds", bench.Small(180, 60, 3_400, 2_000), 500, 4, 400),
    "census missed": lambda: bench.small("missed", bench.Small(190, 10, 3_400, 2_000, 0.1), 2_500, 1, 400, True),
    "fixed sequence": lambda: bench.sequence("sequence", bench.Large(0.05, 0.99, 0.25), 3_000, 400),
}


@pytest.mark.parametrize("setting", SIMULATIONS)
def test_simulated_certificates_are_wrong_no_more_often_than_they_say(setting: str) -> None:
    outcome = SIMULATIONS[setting]()
    assert not unlikely(outcome.recall_wrong.sum(), 400)
    assert outcome.elusion_wrong is None or not unlikely(outcome.elusion_wrong.sum(), 400)
    assert outcome.promised and 0 < np.median(outcome.bounds) < 1


def test_a_simulation_would_notice_labels_that_cannot_be_trusted() -> None:
    overlooked = bench.small("overlooked", bench.Small(190, 10, 3_400, 2_000, 0.1), 2_500, 1, 400)
    assert unlikely(overlooked.recall_wrong.sum(), 400) and "recall, elusion fails" in bench.verdict(overlooked)
    assert "BROKEN: recall" in bench.verdict(overlooked._replace(promised=True))


def test_the_draw_the_labels_and_the_certificate_hold_together_on_a_pool_with_known_truth() -> None:
    rng = np.random.default_rng(0)
    positive = rng.random(20_000) < 0.05
    flagged = np.where(positive, rng.random(20_000) < 0.9, rng.random(20_000) < 0.1)
    recall = flagged[positive].mean()
    wrong, rows = 0, (np.flatnonzero(flagged), np.flatnonzero(~flagged))
    for _ in range(400):
        drawn = draw(*rows, 2_000, 0.1, rng)
        seen = counted(drawn, positive[drawn.rows], (len(rows[0]), len(rows[1])), 0.1)
        found = large_pool(seen, Goal(0.0, 0.9))
        wrong += found.recall_lower > recall
        assert 0.6 < found.recall_lower < 0.95
    assert not unlikely(wrong, 400)
