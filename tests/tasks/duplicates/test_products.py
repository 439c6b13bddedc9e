"""Products in half precision lose no pair, and each pair is decided in float64."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.duplicates import products
from tests.tasks.planted import all_pairs, crowd, planted


def together(pairs: products.Passed | np.ndarray) -> set[tuple[int, int]]:
    """(row, column) of each pair."""
    row, column = pairs[:2] if isinstance(pairs, products.Passed) else pairs.T
    return set(zip(row.tolist(), column.tolist(), strict=True))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), d=st.sampled_from([2, 8, 64, 512]), threshold=st.floats(0.3, 1), half=st.booleans())
def test_no_pair_that_reaches_the_threshold_fails_the_screen(seed: int, d: int, threshold: float, half: bool) -> None:
    vectors = planted(80, d=d, copies=0.6, apart=1.2, seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "half", lambda: half)
        rows = products.screened(torch.from_numpy(vectors))
        passed = products.near(rows, rows, threshold)
    assert together(all_pairs(vectors, threshold)) <= together(passed)
    cosine = products.cosines(rows.stored, passed.row, rows.stored, passed.column)
    assert (cosine[passed.certain] >= threshold).all()


def test_vectors_that_are_not_of_unit_norm_are_compared_by_direction() -> None:
    vectors = planted(200) * np.float16(0.9)
    rows = products.screened(torch.from_numpy(vectors))
    pairs = all_pairs(vectors, 0.95)
    assert len(pairs) > 10
    assert together(pairs) <= together(products.near(rows, rows, 0.95))


@pytest.mark.parametrize("threshold", [0.003, 0.5, 0.95])
@pytest.mark.parametrize("bounds", [range(-3, 37), range(40), [0] * 20 + [40] * 20, [5, *range(5, 44)]])
def test_a_row_is_compared_with_the_columns_before_its_bound(threshold: float, bounds: Sequence[int]) -> None:
    vectors = planted(40, copies=0.6, apart=0.3)
    rows = products.screened(torch.from_numpy(vectors))
    all_of_them = together(products.near(rows, rows, threshold))
    some = products.near(rows, rows, threshold, np.array(bounds))
    assert together(some) == {(row, column) for row, column in all_of_them if column < bounds[row]}


def test_a_block_of_very_similar_vectors_is_screened_finely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "half", lambda: True)
    rows = products.screened(torch.from_numpy(crowd(200, apart=0.2)))
    threshold = 0.962
    passed = products.near(rows, rows, threshold)
    exact = (products.unit(rows.stored) @ products.unit(rows.stored).T).numpy()
    assert (passed.certain == (exact[passed.row, passed.column] >= threshold + products.SLACK)).all()
    sure = np.argwhere(exact >= threshold)
    assert together(sure) <= together(passed)
    assert len(passed.row) <= (exact >= threshold - 2 * products.SLACK).sum()


def test_cosines_are_rounded_and_never_above_one() -> None:
    vectors = torch.from_numpy(planted(50))
    every = np.arange(50)
    assert (products.cosines(vectors, every, vectors, every) == 1.0).all()
    found = products.cosines(vectors, every[:49], vectors, every[1:])
    expected = torch.nn.functional.cosine_similarity(vectors[:49].double(), vectors[1:].double()).numpy()
    assert (found == expected.round(6)).all()


def test_no_pairs_and_no_vectors_are_no_trouble() -> None:
    none = torch.empty(0, 8)
    assert len(products.cosines(none, np.arange(0), none, np.arange(0))) == 0
    assert products.directions(none).shape == (0, 8)


@pytest.mark.parametrize(("start", "stop"), [(0, 300), (0, 7), (40, 111), (236, 300), (10, 10)])
@pytest.mark.parametrize("half", [True, False])
def test_a_part_of_more_is_compared_as_if_it_stood_alone(
    start: int, stop: int, half: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "half", lambda: half)
    vectors = torch.from_numpy(planted(300, copies=0.6, apart=0.3))
    whole, alone = products.screened(vectors), products.screened(vectors[start:stop].clone())
    part, columns = whole.part(start, stop), whole.part(5, 205)
    assert len(part.stored) == stop - start
    assert len(together(products.near(whole, columns, 0.9))) > len(columns.stored)  # not each with itself alone
    assert together(products.near(part, columns, 0.9)) == together(products.near(alone, columns, 0.9))
    assert together(products.near(columns, part, 0.9)) == together(products.near(columns, alone, 0.9))


def test_vectors_of_zeros_are_near_to_none() -> None:
    rows = products.screened(torch.zeros(3, 8))
    assert together(products.near(rows, rows, 0.5)) == set()
