"""Every removed vector has a survivor within the threshold, and no two survivors are within it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import candidates
from tasks.candidates import METHODS, Search, find
from tasks.preferred import NOBODY
from tasks.survivors import Settled, check_survivors, greedy, groups, nearest_survivor, settle
from tests.tasks.planted import all_pairs, crowd, planted, unit


def fan(degrees: list[float]) -> np.ndarray:
    """Unit vectors in a plane at those angles: neighbours are near, the ends of a chain are not."""
    angle = np.radians(degrees)
    return np.column_stack([np.cos(angle), np.sin(angle)]).astype(np.float32)


def settled(vectors: np.ndarray, rank: np.ndarray, method: str = "exact", threshold: float = 0.95) -> Settled:
    search = Search(threshold)
    return settle(vectors, find(vectors, method, search)[:3], rank, method, search)


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
    assert check_survivors(vectors, kept, rank, threshold) == {"orphans": 0, "survivor_pairs": 0}


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
    assert check_survivors(vectors, kept, rank, 0.95) == {"orphans": 0, "survivor_pairs": 0}


def test_short_lists_of_pairs_are_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.concatenate([planted(400, d=6, copies=0.5, seed=seed) for seed in range(2)])
    monkeypatch.setattr(candidates, "PAIRS_PER_SAMPLE", 2)
    kept = settled(vectors, np.arange(len(vectors)), threshold=0.9)
    alive = kept.survivor == np.arange(len(vectors))
    assert not alive[all_pairs(vectors, 0.9)].all(axis=1).any()


@pytest.mark.parametrize(
    ("survivor", "expected"),
    [
        ([0, 0, 2], {"orphans": 0, "survivor_pairs": 0}),
        ([0, 2, 2], {"orphans": 1, "survivor_pairs": 0}),  # its survivor is too far away
        ([0, NOBODY, 2], {"orphans": 1, "survivor_pairs": 0}),
        ([1, 0, 2], {"orphans": 2, "survivor_pairs": 0}),  # removed for each other
        ([0, 1, 2], {"orphans": 0, "survivor_pairs": 1}),
    ],
)
def test_the_check_counts_what_must_not_be(survivor: list[int], expected: dict[str, int]) -> None:
    vectors = fan([0, 10, 80])
    wrong = Settled(all_pairs(vectors, 0.95), np.array(survivor), np.ones(3))
    assert check_survivors(vectors, wrong, np.arange(3), 0.95) == expected


def test_nothing_to_settle_is_settled() -> None:
    empty = nearest_survivor(np.empty((0, 2), np.int64), np.empty(0), np.empty(0, np.int64), np.empty(0, np.bool_))
    assert len(empty.survivor) == 0
