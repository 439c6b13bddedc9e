"""Held-out terms: how they are grouped, how they choose a penalty, and what is said of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.sparse import csc_array

from tasks.weights import heldout


def test_terms_of_the_same_captions_stand_in_one_block() -> None:
    rng = np.random.default_rng(0)
    apart = (rng.random((400, 8)) < 0.05).astype(np.float64)
    block = heldout.companions(csc_array(np.column_stack([apart, apart[:, 0]])))
    assert block[0] == block[8]
    assert len(np.unique(block)) == 8


def test_terms_that_all_go_together_are_told_apart_rather_than_left_in_one_block() -> None:
    same = np.repeat((np.arange(100) < 30)[:, None], 6, axis=1).astype(np.float64)
    assert len(np.unique(heldout.companions(csc_array(same)))) == 6


def test_no_terms_have_no_blocks() -> None:
    assert len(heldout.companions(csc_array((10, 0)))) == 0


def test_a_block_is_never_split_and_no_fold_is_empty() -> None:
    block = np.array([0, 0, 0, 1, 1, 2, 3, 4, 5, 6])
    fold = heldout.spread_over_folds(block, 5)
    assert all(len(np.unique(fold[block == number])) == 1 for number in np.unique(block))
    assert sorted(np.unique(fold)) == [0, 1, 2, 3, 4]


def test_the_penalty_with_the_least_change_is_chosen() -> None:
    losses = np.full((len(heldout.PENALTIES), 40), np.inf)
    losses[3] = np.random.default_rng(1).uniform(0.01, 0.03, 40)
    losses[0] = losses[1] = losses[3] + 0.02
    losses[2] = losses[3] + 0.001
    assert heldout.choose(losses, np.arange(40)) == 3


def test_no_weights_are_chosen_where_they_are_within_one_standard_error_of_the_best() -> None:
    rng = np.random.default_rng(1)
    losses = np.full((len(heldout.PENALTIES), 40), np.inf)
    losses[3] = rng.uniform(0.01, 0.03, 40)
    losses[0] = losses[3] + rng.normal(0.0002, 0.01, 40)
    assert heldout.choose(losses, np.arange(40)) == 0


def test_a_fit_below_the_floor_is_never_chosen() -> None:
    losses = np.full((len(heldout.PENALTIES), 20), np.inf)
    losses[0] = 0.5
    assert heldout.choose(losses, np.arange(20)) == 0


def test_the_interval_of_a_mean_over_blocks_of_terms_covers_the_truth() -> None:
    rng = np.random.default_rng(2)
    block = np.repeat(np.arange(20), rng.integers(1, 6, 20))
    covered = 0
    for _ in range(1000):
        values = 0.1 + (rng.normal(size=20) * 0.3)[block] + rng.normal(size=len(block)) * 0.1
        found = heldout.mean_interval(values, block)
        covered += found.lower <= 0.1 <= found.upper
    assert covered >= 930


def test_a_single_block_has_no_finite_interval() -> None:
    assert math.isinf(heldout.standard_error(np.array([0.1, 0.2]), np.array([0, 0])))


def test_changes_are_relative_to_the_reference() -> None:
    has = csc_array(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]]))
    found = heldout.changes(has, np.array([1.0, 1.0, 2.0, 0.0]), np.array([0.5, 0.5]))
    assert found == pytest.approx([0.0, 0.5])


@pytest.mark.parametrize(
    ("shift", "words"),
    [(-0.02, "bring held-out terms closer"), (0.02, "no weights are best"), (0.0, "neither help nor")],
)
def test_the_verdict_says_in_words_whether_weights_help(shift: float, words: str) -> None:
    rng = np.random.default_rng(3)
    before = np.full(40, 0.05)
    after = before + shift + rng.normal(0, 0.01, 40) - rng.normal(0, 0.001)
    after = after - after.mean() + 0.05 + shift
    assert words in heldout.verdict(heldout.account(before, after, np.arange(40)))


def test_without_terms_nothing_is_judged() -> None:
    facts = heldout.account(np.zeros(0), None, np.zeros(0, np.int64))
    assert "too few terms" in heldout.verdict(facts)
