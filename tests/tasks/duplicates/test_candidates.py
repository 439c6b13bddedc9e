"""The searches find the pairs that exact search finds, in any number of threads, and crowds stay linear."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.duplicates import near_pairs
from tasks.duplicates.candidates import METHODS, Search, find
from tests.tasks.planted import all_pairs, crowd, planted


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("threshold", [0.9, 0.95, 0.99])
def test_exact_search_finds_every_pair_and_no_other(threshold: float) -> None:
    vectors = planted(900)
    found = find(vectors, "exact", Search(threshold))
    assert len(found.pairs) > 50
    assert (found.pairs == all_pairs(vectors, threshold)).all()


@pytest.mark.parametrize("method", ["probes", "annoy", "clusters"])
def test_each_method_finds_nearly_all_pairs_and_no_false_one(method: str) -> None:
    vectors = planted(4500)
    truth = set(map(tuple, all_pairs(vectors, 0.95)))
    found = set(map(tuple, find(vectors, method, Search(0.95, clusterings=3)).pairs))
    assert found <= truth
    assert len(found) >= 0.99 * len(truth) > 300


def test_the_probes_find_more_than_one_clustering_of_the_article() -> None:
    vectors = planted(4500)
    single = find(vectors, "clusters", Search(0.95, clusters=90, clusterings=1))
    assert len(find(vectors, "probes", Search(0.95, clusters=90)).pairs) > len(single.pairs)


def test_several_clusterings_find_more_than_one() -> None:
    vectors = planted(4500)
    counts = [len(find(vectors, "clusters", Search(0.95, clusters=90, clusterings=r)).pairs) for r in (1, 2)]
    assert counts[0] < counts[1]


@pytest.mark.parametrize("method", METHODS)
def test_pairs_are_unique_sorted_and_lower_row_first(method: str) -> None:
    pairs = find(planted(1500), method, Search(0.9, clusters=20, clusterings=2)).pairs
    assert pairs.dtype == np.int64
    assert (pairs[:, 0] < pairs[:, 1]).all()
    codes = pairs[:, 0] * 1500 + pairs[:, 1]
    assert (np.diff(codes) > 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_the_number_of_threads_changes_nothing(method: str, threads: None) -> None:
    vectors, search = planted(4500, d=64), Search(0.93, clusters=18, clusterings=2)
    results = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        results.append(find(vectors, method, search))
    for other in results[1:]:
        assert (other.pairs == results[0].pairs).all()
        assert (other.similarity == results[0].similarity).all()
        assert (other.saturated == results[0].saturated).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_pools_of_hardly_any_sample_are_searched(method: str, n: int) -> None:
    found = find(crowd(n, d=8), method, Search(0.9))
    assert len(found.pairs) == n * (n - 1) // 2
    assert len(found.saturated) == n


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_vectors_may_be_stored_in_either_precision(kind: type) -> None:
    vectors = planted(300).astype(kind)
    assert len(find(vectors, "exact", Search(0.95)).pairs) == len(all_pairs(vectors, 0.95))


def test_a_pair_exactly_at_the_threshold_counts() -> None:
    vectors = np.array([[1.0, 0.0], [0.6, 0.8]], np.float32)
    assert len(find(vectors, "exact", Search(0.6)).pairs) == 1
    assert len(find(vectors, "exact", Search(0.600002)).pairs) == 0


def test_threshold_one_finds_only_the_same_direction() -> None:
    vectors = np.array([[1.0, 0.0], [0.5, 0.0], [0.999, 0.04]], np.float16)
    assert find(vectors, "exact", Search(1.0)).pairs.tolist() == [[0, 1]]


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 400), seed=st.integers(0, 1000), limit=st.integers(1, 20))
def test_a_row_keeps_its_lowest_near_rows_and_says_when_there_are_more(n: int, seed: int, limit: int) -> None:
    vectors = np.concatenate([crowd(n, seed=seed), planted(50, seed=seed)])
    truth = all_pairs(vectors, 0.95)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_pairs, "PAIRS_PER_SAMPLE", limit)
        patch.setattr(near_pairs, "COLUMNS", 64)
        patch.setattr(near_pairs, "WHOLE", 96)
        found = find(vectors, "exact", Search(0.95))
    for row in range(len(vectors)):
        below = truth[truth[:, 1] == row, 0]
        assert found.pairs[found.pairs[:, 1] == row, 0].tolist() == below[:limit].tolist()
        assert found.saturated[row] == (len(below) >= limit)


@pytest.mark.parametrize("method", ["probes", "exact"])
def test_a_crowd_costs_in_proportion_to_its_size(method: str) -> None:
    found = find(crowd(6_000), method, Search(0.95))
    assert len(found.pairs) <= 6_000 * near_pairs.PAIRS_PER_SAMPLE
    assert set(found.pairs[:, 1]) == set(range(1, 6_000))
    assert found.saturated.sum() == 6_000 - near_pairs.PAIRS_PER_SAMPLE


def test_annoy_says_whose_neighbours_it_did_not_list() -> None:
    assert find(crowd(600), "annoy", Search(0.95)).saturated.all()
