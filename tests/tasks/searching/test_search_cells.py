"""A query is compared with all vectors of the cells it probes; with all cells probed nothing is missed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import EncoderError
from tasks.searching import search_cells, search_exact, search_index
from tasks.searching.search_cells import Index, nearest
from tests.tasks.planted import planted, unit

ALL = 1 << 30


def built(parts: list[np.ndarray]) -> Index:
    with tempfile.TemporaryDirectory() as aside:  # what is mapped stays while it is used
        search_index.build(parts, Path(aside), {})
        return search_index.open_index(Path(aside), {})


def pool(n: int, d: int = 16, seed: int = 0) -> np.ndarray:
    """(n, d) float16 in a narrow cone."""
    return unit(np.random.default_rng(seed).normal(size=(n, d)) + 2.0).astype(np.float16)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 300), st.integers(0, 6), st.integers(1, 9), st.integers(0, 99), st.integers(1, 4))
def test_with_all_cells_probed_it_finds_what_exact_search_finds(n: int, q: int, k: int, seed: int, copies: int) -> None:
    vectors, queries = np.repeat(pool(n, 8, seed), copies, axis=0), unit(pool(q + 1, 8, seed + 1).astype(np.float32))
    parts, queries = [vectors[: n // 3], vectors[n // 3 :]], queries[:q]
    found, exact = nearest(built(parts), parts, queries, k, ALL), search_exact.nearest(parts, queries, k)
    assert np.array_equal(found.cosines, exact.cosines, equal_nan=True)
    assert all(len(set(row)) == len(row) for row in [[r for r in rows if r >= 0] for rows in found.rows.tolist()])


def test_of_a_pool_with_topics_the_probed_cells_hold_the_nearest() -> None:
    parts = [planted(4000)]
    noise = np.random.default_rng(1).normal(size=(100, parts[0].shape[1]))
    queries = unit(parts[0][::40].astype(np.float64) + 0.03 * noise).astype(np.float32)
    found, exact = nearest(built(parts), parts, queries, 3), search_exact.nearest(parts, queries, 3)
    assert (found.rows[:, 0] == exact.rows[:, 0]).mean() >= 0.99
    assert (found.cosines[:, 2] == exact.cosines[:, 2]).mean() >= 0.97


def test_only_the_nearest_cells_are_probed() -> None:
    parts, queries = [pool(500)], unit(pool(20, seed=1).astype(np.float32))
    index = built(parts)
    found = nearest(index, parts, queries, 4, probes=2)
    cell_of = np.empty(500, np.int64)
    cell_of[index.rows] = np.repeat(np.arange(len(index.centroids)), np.diff(index.starts))
    apart = np.linalg.norm((queries - index.mean)[:, None] - index.centroids, axis=2)
    for row, near in enumerate(np.argsort(apart, axis=1)[:, :2]):
        inside = parts[0][np.isin(cell_of, near)]
        assert np.array_equal(found.cosines[[row]], search_exact.nearest([inside], queries[[row]], 4).cosines)


def test_a_cell_of_many_blocks_is_searched_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    parts, queries = [pool(400)], unit(pool(5, seed=1).astype(np.float32))
    monkeypatch.setattr(search_index, "CELLS", 0.05)
    monkeypatch.setattr(search_cells, "BLOCK", 7)
    index = built(parts)
    assert len(index.centroids) == 1
    exact = search_exact.nearest(parts, queries, 6)
    assert np.array_equal(nearest(index, parts, queries, 6).cosines, exact.cosines)


def test_a_pool_of_one_image_many_times_is_one_cell() -> None:
    parts = [np.repeat(pool(1), 5000, axis=0)]
    index = built(parts)
    found = nearest(index, parts, parts[0][:3].astype(np.float32), 4)
    assert len(index.centroids) == 1
    assert (found.cosines == 1).all() and all(len(set(row)) == 4 for row in found.rows.tolist())


def test_rows_that_are_zero_or_not_finite_are_never_found() -> None:
    vectors = pool(500)
    vectors[::3], vectors[1] = 0, np.nan
    found = nearest(built([vectors]), [vectors], unit(pool(20, seed=2).astype(np.float32)), 5)
    lost = {*range(0, 500, 3), 1}
    assert not lost & set(found.rows.flatten().tolist()) and np.isfinite(found.cosines).all()


def test_queries_of_another_size_are_refused() -> None:
    with pytest.raises(EncoderError, match="16"):
        nearest(built([pool(5)]), [pool(5)], unit(pool(2, 8).astype(np.float32)), 1)
