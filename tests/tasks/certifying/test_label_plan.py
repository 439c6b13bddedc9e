"""A plan says what a clean draw would certify, and the certificate of that draw says the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.certifying import certified_recall
from tasks.certifying.certificate import CENSUS, LARGE_POOL, Goal
from tasks.certifying.certified_recall import LargePool, SmallPool
from tasks.certifying.label_plan import (
    BETA,
    Pool,
    best,
    ceiling,
    census,
    elusion_of,
    large_pool,
    needed,
    needed_for_elusion,
)

GOAL = Goal(0.0, 0.9)  # its first round spends 5%
LARGE = Pool(20_000, 980_000, 5_000)
SMALL = Pool(300, 3_600, 150, labelled_flagged=120, labelled_unflagged=200, unflagged_positives=3)


def test_the_large_pools_plan_is_the_certificate_of_its_clean_draw() -> None:
    plan = large_pool(LARGE, 3_000, GOAL.level)
    seen = LargePool(20_000, 980_000, BETA, 3_000, 2_700, positives=75, flagged_positives=75, known=0)
    found = certified_recall.large_pool(seen, GOAL)
    assert (plan.recall, plan.elusion) == (found.recall_lower, found.elusion_upper)
    assert (plan.method, plan.labels, plan.draws) == (LARGE_POOL, 3_000, 3_000)


def test_the_census_plan_is_the_certificate_of_its_clean_draw() -> None:
    plan = census(SMALL, 1_000, GOAL.level)
    assert plan is not None
    seen = SmallPool(300, 3_600, 500, 150, 3, 3_400, draws=820, positives=0)
    found = certified_recall.census(seen, GOAL)
    assert (plan.recall, plan.elusion) == (found.recall_lower, found.elusion_upper)
    assert (plan.method, plan.labels, plan.draws) == (CENSUS, 1_000, 820)


def test_a_census_is_planned_where_all_that_is_flagged_fits_the_budget_and_promises_more() -> None:
    assert best(SMALL, 2_000, 0.05).method == CENSUS
    assert census(SMALL, 179, 0.05) is None  # 180 flagged samples wait for a label
    assert best(SMALL, 179, 0.05).method == LARGE_POOL
    assert census(LARGE, 20_500, 0.05) is not None
    assert best(LARGE, 20_500, 0.05).method == LARGE_POOL  # nearly all labels would go to flagged samples


@pytest.mark.parametrize(("labels", "recall"), [(1_000, 0.55), (3_000, 0.8), (11_000, 0.94), (57_000, 0.985)])
def test_at_half_a_percent_of_a_million_a_budget_certifies_about_so_much(labels: int, recall: float) -> None:
    for precision in (0.05, 0.25, 0.5):
        flagged = round(5_000 / precision)
        plan = best(Pool(flagged, 10**6 - flagged, 5_000), labels, 0.05)
        assert recall - 0.01 <= plan.recall <= min(recall + 0.05, ceiling(5_000, 10**6 - flagged, labels, 0.05))


def test_the_ceiling_of_a_million_is_where_the_arithmetic_puts_it() -> None:
    assert ceiling(5_000, 995_000, 11_226, 0.05) >= 0.95 > ceiling(5_000, 995_000, 11_100, 0.05)
    assert ceiling(5_000, 995_000, 56_762, 0.05) >= 0.99 > ceiling(5_000, 995_000, 56_000, 0.05)
    assert ceiling(0, 995_000, 1_000, 0.05) == 0
    assert ceiling(5_000, 0, 0, 0.05) == 1


@pytest.mark.parametrize("pool", [LARGE, SMALL])
@pytest.mark.parametrize("recall", [0.5, 0.9, 0.95])
def test_the_labels_needed_are_enough_and_a_tenth_less_is_not(pool: Pool, recall: float) -> None:
    plan = needed(pool, recall, 0.05)
    assert plan is not None and plan.recall >= recall
    assert best(pool, plan.labels, 0.05) == plan
    assert best(pool, plan.labels * 9 // 10, 0.05).recall < recall


def test_known_positives_below_the_threshold_can_put_a_recall_out_of_reach() -> None:
    assert needed(SMALL._replace(unflagged_positives=30), 0.9, 0.05) is None
    assert needed(Pool(10, 500, 0), 0.1, 0.05) is None


@given(st.integers(0, 4_000), st.integers(0, 500))
def test_more_labels_never_promise_less_of_what_is_kept(labels: int, more: int) -> None:
    assert elusion_of(3_600, labels + more, 0.05) <= elusion_of(3_600, labels, 0.05)


def test_the_labels_needed_for_an_elusion_are_the_fewest() -> None:
    labels = needed_for_elusion(980_000, 0.001, 0.05)
    assert labels is not None and 2_900 < labels < 3_000
    assert elusion_of(980_000, labels, 0.05) <= 0.001 < elusion_of(980_000, labels - 1, 0.05)
    assert needed_for_elusion(100, 0.0, 0.051) == 95  # of 100, a single positive escapes 95 draws with chance 5%
    assert needed_for_elusion(0, 0.0, 0.05) == 0


def test_empty_strata_and_empty_budgets_are_planned_too() -> None:
    assert best(Pool(100, 0, 5), 50, 0.05).recall == 1  # all is flagged
    assert best(Pool(0, 1_000, 0), 500, 0.05).recall == 0  # nothing is
    assert best(LARGE, 0, 0.05).elusion == 1
    assert large_pool(LARGE, 0, 0.05).recall == 0
