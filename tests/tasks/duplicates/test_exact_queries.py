"""Exact queries find every near vector, among all or among some, and no other."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.duplicates import exact_queries
from tasks.duplicates.clustering import parallel
from tasks.duplicates.exact_queries import cosines_of, near_to
from tasks.duplicates.stored import stored
from tests.tasks.planted import all_pairs, planted


def both_ways(pairs: np.ndarray) -> set[tuple[int, int]]:
    return {(int(i), int(j)) for i, j in [*pairs, *pairs[:, ::-1]]}


@pytest.mark.parametrize("size", [7, 100, 1000])
def test_every_near_vector_of_each_query_is_found(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(exact_queries, "ROWS", size)
    monkeypatch.setattr(exact_queries, "COLUMNS", size)
    rows = planted(600)
    vectors, queries = stored([rows[:200], rows[200:]]), np.arange(0, 600, 3)
    pairs, similarity = near_to(vectors, queries, 0.95, parallel)
    expected = {(i, j) for i, j in both_ways(all_pairs(rows, 0.95)) if i % 3 == 0}
    assert set(map(tuple, pairs.tolist())) == expected
    assert len(pairs) == len(expected) > 30
    assert (similarity == cosines_of(vectors, pairs)).all()
    assert (similarity >= 0.95).all()


def test_only_those_that_are_asked_among_are_found() -> None:
    rows = planted(600)
    among = np.arange(600) % 2 == 0
    pairs, _ = near_to(stored([rows]), np.arange(600), 0.95, parallel, among)
    assert set(map(tuple, pairs.tolist())) == {(i, j) for i, j in both_ways(all_pairs(rows, 0.95)) if among[j]}


def test_no_queries_find_nothing() -> None:
    pairs, similarity = near_to(stored([planted(10)]), np.empty(0, np.int64), 0.95, parallel)
    assert pairs.shape == (0, 2)
    assert len(similarity) == 0
