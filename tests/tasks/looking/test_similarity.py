"""One pass gives what dedup's rule gives at each threshold, and every sample's nearest neighbour."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.duplicates.stored import stored
from tasks.looking import similarity
from tasks.looking.similarity import ask, cosines, survey
from tests.tasks.planted import all_pairs, crowd, planted

THRESHOLDS = (0.8, 0.9, 0.95, 0.99)


def by_hand(vectors: np.ndarray, may_stay: np.ndarray, threshold: float) -> np.ndarray:
    """The rule as it is written: visited in order, removed where a survivor is near. (n,)"""
    near = np.zeros((len(vectors),) * 2, bool)
    for low, high in all_pairs(vectors, threshold):
        near[low, high] = True
    alive = may_stay.copy()
    for row in range(len(vectors)):
        alive[row] &= not (near[:row, row] & alive[:row]).any()
    return alive


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity, "ROWS", 16)
    monkeypatch.setattr(similarity, "COLUMNS", 40)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_survivors_are_those_of_the_rule_at_every_threshold(seed: int) -> None:
    vectors = np.concatenate([planted(150, copies=0.6, seed=seed), crowd(40, apart=0.3, seed=seed)])
    may_stay = np.random.default_rng(seed).random(len(vectors)) < 0.8
    found = survey(vectors, may_stay, THRESHOLDS)
    for threshold, survives in zip(THRESHOLDS, found.survives, strict=True):
        np.testing.assert_array_equal(survives, by_hand(vectors, may_stay, threshold))


@pytest.mark.usefixtures("small_blocks")
def test_the_nearest_neighbour_is_the_most_similar_other_vector() -> None:
    vectors = planted(130, copies=0.5)
    rows = vectors.astype(np.float64)
    products = rows @ rows.T / np.linalg.norm(rows, axis=1) / np.linalg.norm(rows, axis=1)[:, None]
    np.fill_diagonal(products, -2)
    found = survey(vectors, np.ones(130, bool), THRESHOLDS)
    np.testing.assert_allclose(found.nearest, products.max(axis=1), atol=1e-6)
    np.testing.assert_allclose(products[np.arange(130), found.neighbour], products.max(axis=1), atol=1e-6)


@pytest.mark.usefixtures("small_blocks")
def test_a_survivor_leads_where_one_near_to_it_was_removed() -> None:
    vectors = np.concatenate([crowd(30, seed=1), crowd(1, seed=2), crowd(20, seed=3)])
    found = survey(vectors, np.ones(51, bool), (0.9,))
    assert found.survives[0].nonzero()[0].tolist() == [0, 30, 31]
    assert found.leads[0].nonzero()[0].tolist() == [0, 31]


@pytest.mark.usefixtures("small_blocks")
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000), n=st.integers(0, 60), apart=st.floats(0.05, 0.9))
def test_survivors_are_never_near_to_each_other_and_every_removed_row_has_one(seed: int, n: int, apart: float) -> None:
    vectors = crowd(n, d=8, apart=apart, seed=seed)
    found = survey(vectors, np.ones(n, bool), THRESHOLDS)
    for threshold, survives in zip(THRESHOLDS, found.survives, strict=True):
        pairs = all_pairs(vectors, threshold)
        assert not survives[pairs].all(axis=1).any()
        covered = survives.copy()
        covered[pairs[survives[pairs[:, 0]], 1]] = True
        assert covered.all()


@pytest.mark.usefixtures("small_blocks")
def test_queries_agree_with_the_whole_survey() -> None:
    vectors = planted(200, copies=0.5)
    whole = survey(vectors, np.ones(200, bool), THRESHOLDS)
    queries = np.arange(3, 200, 7)
    answer = ask(stored([vectors[:90], vectors[90:]]), queries)
    np.testing.assert_array_equal(answer.nearest, whole.nearest[queries])
    for threshold, survives in zip(THRESHOLDS, whole.survives, strict=True):
        assert (answer.before[~survives[queries]] >= threshold).all(), "what is removed has a preferred one near to it"
    assert ask(stored([vectors]), np.array([0])).before[0] == -1


def test_a_pool_of_one_or_none_has_no_neighbour() -> None:
    for n in (0, 1):
        found = survey(np.ones((n, 4), np.float16), np.ones(n, bool), THRESHOLDS)
        assert np.isnan(found.nearest).all()
        assert found.survives.all()
    assert np.isnan(ask(stored([np.ones((1, 4), np.float16)]), np.array([0])).nearest).all()


def test_a_cosine_is_rounded_and_never_above_one() -> None:
    vectors = np.array([[1, 0], [1, 0], [0.6, 0.8]], np.float16)
    found = cosines(vectors, np.array([0, 0]), np.array([1, 2]))
    assert found[0] == 1
    assert found[1] == pytest.approx(0.6, abs=1e-3)
    assert found[1] == round(found[1], 6)
