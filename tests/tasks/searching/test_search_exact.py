"""Exact search finds what a plain product and sort find, whatever the blocks, the copies and the broken rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import EncoderError
from tasks.searching import search_exact
from tasks.searching.search_exact import nearest


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def pool(n: int, d: int = 16, seed: int = 0) -> np.ndarray:
    """(n, d) float16 in a narrow cone, so that cosines lie close together."""
    return unit(np.random.default_rng(seed).normal(size=(n, d)) + 2.0).astype(np.float16)


def plain(vectors: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """(q, k) cosines, the highest first."""
    cosines = unit(queries.astype(np.float64)) @ unit(vectors.astype(np.float64)).T
    return -np.sort(-cosines.round(6), axis=1)[:, :k]


@pytest.fixture(params=["bfloat16", "float32"])
def rough(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either type of the first product, whichever is faster here, in small blocks."""
    import torch

    monkeypatch.setattr(search_exact, "rough_type", lambda: getattr(torch, request.param))
    monkeypatch.setattr(search_exact, "blocks", lambda parts: BLOCKS(parts, 128))


BLOCKS = search_exact.blocks


@pytest.mark.usefixtures("rough")
def test_the_nearest_are_those_of_a_plain_product_and_sort() -> None:
    vectors, queries = pool(3000), unit(pool(40, seed=1).astype(np.float32))
    found = nearest([vectors[:700], vectors[700:701], vectors[701:]], queries, 5)
    assert np.array_equal(found.cosines, plain(vectors, queries, 5))
    again = (unit(queries.astype(float))[:, None] * unit(vectors.astype(float))[found.rows]).sum(-1).round(6)
    assert np.array_equal(found.cosines, again)


@settings(max_examples=30)
@given(st.integers(1, 300), st.integers(1, 7), st.integers(1, 9), st.integers(0, 99), st.booleans())
def test_cosines_do_not_depend_on_how_the_pool_is_cut(n: int, q: int, k: int, seed: int, copies: bool) -> None:
    vectors, queries = pool(n, 8, seed), unit(pool(q, 8, seed + 1).astype(np.float32))
    if copies:
        vectors = np.repeat(vectors, 3, axis=0)
    cut = len(vectors) // 3
    whole, parts = nearest([vectors], queries, k), nearest([vectors[:cut], vectors[cut:]], queries, k)
    assert np.array_equal(whole.cosines, parts.cosines, equal_nan=True)
    there = min(k, len(vectors))
    assert np.array_equal(whole.cosines[:, :there], plain(vectors, queries, k))
    assert (whole.rows[:, there:] == -1).all() and np.isnan(whole.cosines[:, there:]).all()


@pytest.mark.usefixtures("rough")
def test_a_pool_of_one_image_a_thousand_times_is_no_special_case() -> None:
    vectors = np.repeat(pool(1), 1000, axis=0)
    found = nearest([vectors], vectors[:3].astype(np.float32), 4)
    assert (found.cosines == 1).all() and all(len(set(row)) == 4 for row in found.rows.tolist())


@pytest.mark.usefixtures("rough")
def test_copies_of_a_vector_whose_norm_is_rounded_up_do_not_crowd_out_a_nearer_one() -> None:
    nearer, other = unit(np.array([[1.0, 0.1, 0, 0], [1.0, 0.11, 0, 0]])).astype(np.float32)
    pool = np.stack([*[other * 1.004] * 6, nearer * 0.996]).astype(np.float16)
    query = np.array([[1.0, 0, 0, 0]], np.float32)
    assert nearest([np.repeat(pool, 40, axis=0)], query, 1).cosines[0, 0] == plain(pool, query, 1)[0, 0]


@pytest.mark.usefixtures("rough")
def test_rows_that_are_zero_or_not_finite_are_never_found() -> None:
    vectors = pool(500)
    vectors[::3], vectors[1] = 0, np.nan
    found = nearest([vectors], pool(20, seed=2).astype(np.float32), 5)
    lost = {*range(0, 500, 3), 1}
    assert not lost & set(found.rows.flatten().tolist()) and np.isfinite(found.cosines).all()


def test_an_empty_pool_and_no_queries_have_no_neighbours() -> None:
    assert (nearest([], pool(2).astype(np.float32), 3).rows == -1).all()
    assert nearest([pool(5)], np.empty((0, 16), np.float32), 3).rows.shape == (0, 3)


@pytest.mark.parametrize(
    ("queries", "said"),
    [
        (pool(2, 8), "16"),
        (np.zeros((1, 16), np.float32), "norm 0"),
        (np.full((1, 16), np.nan, np.float32), "norm nan"),
        (pool(1)[0], "shape"),
    ],
)
def test_queries_of_another_size_or_of_no_direction_are_refused(queries: np.ndarray, said: str) -> None:
    with pytest.raises(EncoderError, match=said):
        nearest([pool(5)], queries, 1)
