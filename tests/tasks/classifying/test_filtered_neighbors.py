from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tasks.classifying import filtered_neighbors
from tasks.classifying.filtered_neighbors import Near, near_filtered, reason


def vectors(rows: int, d: int = 8, seed: int = 0) -> NDArray[np.float16]:
    """(rows, d) of unit norm, a third of them near to another."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, d))
    for row in range(1, rows, 3):
        x[row] = x[rng.integers(rows)] + rng.normal(size=d) * rng.uniform(0, 0.3)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float16)


def mask(n: int, *rows: int) -> NDArray[np.bool_]:
    return np.isin(np.arange(n), rows)


def one_by_one(
    x: NDArray[np.float16], filtered: NDArray[np.bool_], exempt: NDArray[np.bool_], threshold: float
) -> list[tuple[int, int, float]]:
    """The definition, row by row."""
    wide = x.astype(np.float64)
    found = []
    for row in range(len(x)):
        best, of = -2.0, -1
        for source in range(len(x)):
            norms = np.linalg.norm(wide[row]) * np.linalg.norm(wide[source])
            cosine = round(float(wide[row] @ wide[source] / norms), 6) if norms else 0.0
            if filtered[source] and cosine > best:
                best, of = cosine, source
        if not filtered[row] and not exempt[row] and best >= threshold:
            found.append((row, of, min(best, 1.0)))
    return found


def listed(near: Near) -> list[tuple[int, int, float]]:
    return list(zip(near.row.tolist(), near.of.tolist(), near.similarity.tolist(), strict=True))


@given(
    st.integers(0, 10_000),
    st.lists(st.integers(0, 12), min_size=1, max_size=4),
    st.sampled_from([0.5, 0.9, 0.99, 1.0]),
)
def test_it_finds_what_comparing_each_with_each_finds(seed: int, sizes: list[int], threshold: float) -> None:
    n = sum(sizes)
    x = vectors(n, seed=seed)
    rng = np.random.default_rng(seed)
    filtered, exempt = rng.random((2, n)) < 0.3
    parts = np.split(x, np.cumsum(sizes)[:-1])
    assert listed(near_filtered(parts, filtered, exempt, threshold)) == one_by_one(x, filtered, exempt, threshold)


def test_blocks_that_are_smaller_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, filtered = vectors(300), np.arange(300) % 7 == 0
    whole = near_filtered([x], filtered, ~np.ones(300, bool), 0.9)
    monkeypatch.setattr(filtered_neighbors, "ROWS", 16)
    monkeypatch.setattr(filtered_neighbors, "VERIFIED", 3)
    pieces = near_filtered([x[:101], x[101:]], filtered, ~np.ones(300, bool), 0.9)
    assert len(whole.row) > 5 and listed(pieces) == listed(whole)


def test_the_number_of_threads_changes_nothing() -> None:
    import torch

    x, filtered = vectors(5000, 32), np.arange(5000) % 9 == 0
    before, found = torch.get_num_threads(), []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        found.append(listed(near_filtered([x], filtered, ~np.ones(5000, bool), 0.9)))
    torch.set_num_threads(before)
    assert found[0] == found[1] and len(found[0]) > 50


def test_a_near_duplicate_of_a_near_duplicate_stays() -> None:
    angles = np.array([0.0, 0.3, 0.6])  # cosine of neighbours 0.955, of the ends 0.825
    x = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float16)
    assert near_filtered([x], mask(3, 0), mask(3), 0.95).row.tolist() == [1]


def test_what_is_exempt_stays_and_the_nearest_filtered_sample_is_named_of_equals_the_first() -> None:
    x = np.array([[0.8, 0.6], [1, 0], [1, 0], [1, 0], [1, 0]], np.float16)
    found = near_filtered([x[:2], x[2:]], mask(5, 0, 2, 3), mask(5, 1), 0.75)
    assert listed(found) == [(4, 2, 1.0)]


def test_samples_without_an_embedding_are_near_to_nothing_and_hide_nothing() -> None:
    x = np.array([[0, 0], [1, 0], [np.nan, 1], [1, 0], [0, 0]], np.float16)
    assert listed(near_filtered([x], mask(5, 0, 1, 2), mask(5), 0.5)) == [(3, 1, 1.0)]


def test_without_anything_filtered_or_anything_left_nothing_is_found() -> None:
    x = vectors(5)
    for filtered in (mask(5), mask(5, 0, 1, 2, 3, 4)):
        found = near_filtered([x], filtered, mask(5), 0.5)
        assert len(found.row) == len(found.of) == len(found.similarity) == 0
    assert len(near_filtered([], mask(0), mask(0), 0.5).row) == 0


def test_a_cosine_at_the_threshold_is_near_as_dedup_has_it() -> None:
    from tasks.duplicates.candidates import Search, find

    x = vectors(60, 4)
    pairs = find(x, "exact", Search(0.0))
    threshold = float(np.median(pairs.similarity))
    expected = {
        (high, low) for (low, high), s in zip(pairs.pairs.tolist(), pairs.similarity, strict=True) if s >= threshold
    }
    for source in range(60):
        found = near_filtered([x], mask(60, source), mask(60), threshold).row.tolist()
        assert found == sorted(a + b - source for a, b in expected if source in (a, b))


def test_the_reason_names_the_filtered_sample() -> None:
    assert reason("a" * 32) == f"near-duplicate of filtered {'a' * 32}"
