"""A batch keeps to its quotas and holds no two samples that are nearly the same."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.labelling.batch import Pick, Wish, fill, quotas
from tests.tasks.planted import planted, unit

NEAR = 0.95
NOTHING = np.zeros(0, np.int64)
POOL = planted(300, copies=0.5)
PARTS = [POOL[:100], POOL[100:100], POOL[100:]]

shares = st.dictionaries(st.sampled_from("abcdef"), st.floats(0.01, 10), min_size=1)
rows = st.lists(st.integers(0, 299), max_size=60, unique=True).map(lambda found: np.array(found, dtype=np.int64))


def cosines(chosen: list[int]) -> np.ndarray:
    vectors = unit(POOL[chosen].astype(np.float64))
    return vectors @ vectors.T


@given(shares, st.integers(0, 500))
def test_quotas_add_up_and_stay_within_one_of_their_share(shares: dict[str, float], size: int) -> None:
    found = quotas(shares, size)
    assert sum(found.values()) == size
    for arm, count in found.items():
        assert abs(count - size * shares[arm] / sum(shares.values())) < 1


@settings(deadline=None)
@given(st.lists(st.tuples(rows, st.integers(0, 20)), min_size=1, max_size=3), rows)
def test_picks_are_candidates_once_each_and_unlike_each_other(
    asked: list[tuple[np.ndarray, int]], labelled: np.ndarray
) -> None:
    wishes = [Wish(str(i), found, quota) for i, (found, quota) in enumerate(asked)]
    picks = fill(PARTS, wishes, labelled, NEAR)
    chosen = [pick.row for pick in picks]
    assert len(chosen) == len(set(chosen)) <= sum(quota for _, quota in asked)
    assert all(pick.row in asked[int(pick.arm)][0] for pick in picks)
    if chosen:
        assert (cosines(chosen) - np.eye(len(chosen))).max() < NEAR + 1e-3  # float16 rows


def test_each_arm_gets_its_quota_of_its_best() -> None:
    apart = [Wish("a", np.arange(0, 10), 3), Wish("b", np.arange(20, 30), 2)]
    picks = fill([np.eye(40, dtype=np.float16)], apart, NOTHING, NEAR)
    assert picks == [Pick(0, "a"), Pick(1, "a"), Pick(2, "a"), Pick(20, "b"), Pick(21, "b")]


def test_an_arm_that_runs_short_is_made_up_by_the_others() -> None:
    wishes = [Wish("a", np.array([5]), 3), Wish("b", np.arange(20, 30), 2)]
    picks = fill([np.eye(40, dtype=np.float16)], wishes, NOTHING, NEAR)
    assert [pick.arm for pick in picks] == ["a", "b", "b", "b", "b"]


def test_what_is_nearly_the_same_as_something_labelled_comes_last() -> None:
    rows = np.eye(4, dtype=np.float16)
    wish = Wish("a", np.array([1, 2, 3]), 2)
    assert [pick.row for pick in fill([rows[[0, 0, 1, 2]]], [wish], np.array([0]), NEAR)] == [2, 3]
    assert [pick.row for pick in fill([rows[[0, 0, 1, 1]]], [wish], np.array([0]), NEAR)] == [2, 1]


def test_nothing_asked_or_nothing_left_is_an_empty_batch() -> None:
    assert fill(PARTS, [], NOTHING, NEAR) == []
    assert fill(PARTS, [Wish("a", NOTHING, 5)], NOTHING, NEAR) == []
    assert fill(PARTS, [Wish("a", np.arange(5), 0)], NOTHING, NEAR) == []
