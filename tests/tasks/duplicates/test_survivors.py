"""Every removed vector has a survivor within the threshold, and no two survivors are within it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.duplicates import near_pairs
from tasks.duplicates.candidates import METHODS, Search, find
from tasks.duplicates.preferred import NOBODY
from tasks.duplicates.stored import stored
from tasks.duplicates.survivors import Settled, check_survivors, greedy, groups, nearest_survivor, settle
from tests.tasks.planted import all_pairs, crowd, planted, unit

CLEAN = {"orphans": 0, "survivor_pairs": 0, "overfull_groups": 0}


def fan(degrees: list[float]) -> np.ndarray:
    """Unit vectors in a plane at those angles: neighbours are near, the ends of a chain are not."""
    angle = np.radians(degrees)
    return np.column_stack([np.cos(angle), np.sin(angle)]).astype(np.float32)


def settled(
    vectors: np.ndarray, rank: np.ndarray, method: str = "exact", threshold: float = 0.95, cap: int = 1
) -> Settled:
    found = find(vectors, method, Search(threshold))
    return settle(stored([vectors]), found[:3], rank, threshold, cap)


def test_a_chain_does_not_remove_what_is_far_from_every_survivor() -> None:
    vectors = fan([0, 15, 30, 45, 60])  # neighbours at cosine 0.966, next but one at 0.866
    found = settled(vectors, np.arange(5))
    assert found.survivor.tolist() == [0, 0, 2, 2, 4]
    assert groups(found).tolist() == [0, 0, 2, 2, 4]


def test_filtered_vectors_near_to_no_survivor_are_grouped_among_themselves() -> None:
    found = settled(fan([0, 10, 20, 35, 90]), np.array([NOBODY, NOBODY, NOBODY, NOBODY, 0]))
    assert found.survivor.tolist() == [NOBODY] * 4 + [4]
    assert groups(found).tolist() == [0, 0, 2, 2, 4]


def test_a_filtered_vector_belongs_to_the_group_of_the_survivor_near_to_it() -> None:
    found = settled(fan([0, 10]), np.array([NOBODY, 1]))
    assert groups(found).tolist() == [1, 1]


def test_the_preferred_vector_survives_wherever_it_stands() -> None:
    assert settled(fan([0, 15, 30]), np.array([1, 0, 2])).survivor.tolist() == [1, 1, 1]


def test_a_removed_vector_points_to_its_nearest_survivor() -> None:
    kept = settled(fan([0, 15, 20]), np.array([0, 2, 1]))
    assert kept.survivor.tolist() == [0, 2, 2]
    assert kept.similarity[1] == pytest.approx(np.cos(np.radians(5)), abs=1e-6)


def test_a_filtered_vector_never_represents_another() -> None:
    assert settled(fan([0, 10, 20]), np.array([NOBODY, 0, NOBODY])).survivor.tolist() == [1, 1, 1]
    lonely = settled(fan([0, 10, 90]), np.array([NOBODY, NOBODY, 0]))
    assert lonely.survivor.tolist() == [NOBODY, NOBODY, 2]
    assert np.isnan(lonely.similarity[:2]).all()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 120), filtered=st.floats(0, 0.6), threshold=st.floats(0.5, 1))
def test_no_orphan_and_no_two_survivors_within_the_threshold(
    seed: int, n: int, filtered: float, threshold: float
) -> None:
    rng = np.random.default_rng(seed)
    vectors = planted(n, d=6, copies=0.4, seed=seed)
    rank = np.where(rng.random(n) < filtered, NOBODY, rng.permutation(n))
    kept = settled(vectors, rank, threshold=threshold)
    alive = kept.survivor == np.arange(n)
    cosine = unit(vectors.astype(np.float64)) @ unit(vectors.astype(np.float64)).T
    removed = np.flatnonzero((rank != NOBODY) & ~alive)
    assert not (alive & (rank == NOBODY)).any()
    assert all(alive[kept.survivor[row]] for row in removed)
    assert all(cosine[row, kept.survivor[row]].round(6) >= threshold for row in removed)
    assert not any(alive[i] and alive[j] for i, j in all_pairs(vectors, threshold))
    assert check_survivors(stored([vectors]), kept, rank, threshold) == CLEAN


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 80))
def test_survivors_depend_on_the_preference_and_not_on_the_order_of_rows(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, rank, shuffle = planted(n, d=6, copies=0.4, seed=seed), rng.permutation(n), rng.permutation(n)
    pairs = all_pairs(vectors, 0.9)
    place = np.argsort(shuffle)  # where each row went
    moved = np.sort(place[pairs], axis=1)
    assert (greedy(pairs, rank)[shuffle] == greedy(moved, rank[shuffle])).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_crowd_with_its_preferred_half_filtered_keeps_one(method: str) -> None:
    vectors = crowd(600)
    rank = np.where(np.arange(600) < 300, NOBODY, np.arange(600))
    kept = settled(vectors, rank, method)
    assert (kept.survivor == np.arange(600)).sum() == 1
    assert check_survivors(stored([vectors]), kept, rank, 0.95) == CLEAN


def test_short_lists_of_pairs_are_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.concatenate([planted(400, d=6, copies=0.5, seed=seed) for seed in range(2)])
    monkeypatch.setattr(near_pairs, "PAIRS_PER_SAMPLE", 2)
    kept = settled(vectors, np.arange(len(vectors)), threshold=0.9)
    alive = kept.survivor == np.arange(len(vectors))
    assert not alive[all_pairs(vectors, 0.9)].all(axis=1).any()


@pytest.mark.parametrize(
    ("survivor", "expected"),
    [
        ([0, 0, 2], CLEAN),
        ([0, 2, 2], {**CLEAN, "orphans": 1}),  # its survivor is too far away
        ([0, NOBODY, 2], {**CLEAN, "orphans": 1}),
        ([1, 0, 2], {**CLEAN, "orphans": 2}),  # removed for each other
        ([0, 1, 2], {**CLEAN, "survivor_pairs": 1}),
    ],
)
def test_the_check_counts_what_must_not_be(survivor: list[int], expected: dict[str, int]) -> None:
    vectors = fan([0, 10, 80])
    wrong = Settled(all_pairs(vectors, 0.95), np.array(survivor), np.array(survivor), np.ones(3))
    assert check_survivors(stored([vectors]), wrong, np.arange(3), 0.95) == expected


def test_a_group_of_more_survivors_than_the_cap_is_counted() -> None:
    vectors = fan([0, 10, 80])
    wrong = Settled(all_pairs(vectors, 0.95), np.array([0, 0, 2]), np.array([0, 1, 2]), np.ones(3))
    assert check_survivors(stored([vectors]), wrong, np.arange(3), 0.95)["overfull_groups"] == 1
    assert check_survivors(stored([vectors]), wrong, np.arange(3), 0.95, cap=2) == CLEAN


def test_a_cap_of_two_keeps_the_variant_that_is_least_like_the_leader() -> None:
    found = settled(fan([0, 2, 9, 10, 90]), np.arange(5), cap=2)
    assert found.survivor.tolist() == [0, 0, 3, 3, 4]
    assert found.leader.tolist() == [0, 0, 0, 0, 4]


def test_copies_of_one_variant_do_not_take_the_places_of_others() -> None:
    found = settled(fan([0, 16, 16.1, 7, -8]), np.arange(5), cap=3)
    assert (found.survivor == np.arange(5)).tolist() == [True, False, True, False, True]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 120), filtered=st.floats(0, 0.6), cap=st.integers(2, 4))
def test_with_a_cap_of_n_no_orphan_and_at_most_n_of_a_group(seed: int, n: int, filtered: float, cap: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = planted(n, d=6, copies=0.4, seed=seed)
    rank = np.where(rng.random(n) < filtered, NOBODY, rng.permutation(n))
    kept = settled(vectors, rank, threshold=0.9, cap=cap)
    assert check_survivors(stored([vectors]), kept, rank, 0.9, cap) == CLEAN
    alive = kept.survivor == np.arange(n)
    sizes = np.bincount(kept.leader[kept.leader != NOBODY], minlength=n)
    taken = np.bincount(kept.leader[(kept.leader != NOBODY) & (rank != NOBODY)], minlength=n)
    here = np.bincount(kept.leader[alive], minlength=n)
    assert (here == np.minimum(taken, cap))[sizes > 0].all()
    assert not alive[rank == NOBODY].any()


def test_a_long_chain_is_decided_as_if_visited_one_by_one() -> None:
    pairs = np.column_stack([np.arange(999), np.arange(1, 1000)])
    assert greedy(pairs, np.arange(1000)).tolist() == [row % 2 == 0 for row in range(1000)]


def test_nothing_to_settle_is_settled() -> None:
    empty = nearest_survivor(np.empty((0, 2), np.int64), np.empty(0), np.empty(0, np.int64), np.empty(0, np.bool_))
    assert len(empty[0]) == 0
