"""The codes of vectors are a hash that lakes keep: as defined, exact at any size, 0 where a vector is unusable."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.duplicates.vector_codes import vector_codes


def drawn(n: int, d: int, kind: type[np.floating] = np.float16) -> np.ndarray:
    return np.random.default_rng(d).standard_normal((n, d)).astype(kind)


@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("d", [1, 3, 32, 513, 2048])
def test_a_code_is_two_sums_of_products_modulo_2_to_64(kind: type[np.floating], d: int) -> None:
    vectors = drawn(3, d, kind)
    words = vectors.view(np.uint16).tolist()
    factors = np.random.default_rng(0).integers(0, 2**63, (len(words[0]), 2), dtype=np.uint64).tolist()
    for row, code in zip(words, vector_codes(vectors).tolist(), strict=True):
        sums = [sum(w * (2 * f[half] + 1) for w, f in zip(row, factors, strict=True)) % 2**64 for half in (0, 1)]
        first, second = (total ^ (total >> 29) for total in sums)
        assert code == [first | 1, second]


def test_the_largest_words_are_added_up_exactly() -> None:
    """Words of all ones are NaN, whose second half is kept: no larger sums are possible."""
    vectors = np.full((1, 4096), 0xFFFF, np.uint16).view(np.float16)
    factors = np.random.default_rng(0).integers(0, 2**63, (4096, 2), dtype=np.uint64)[:, 1].tolist()
    total = sum(0xFFFF * (2 * factor + 1) for factor in factors) % 2**64
    assert vector_codes(vectors).tolist() == [[0, total ^ (total >> 29)]]


def test_the_codes_that_lakes_hold_are_still_made() -> None:
    vectors = np.array([[1, 0, 0], [0.6, 0.8, 0]], np.float16)
    assert vector_codes(vectors).tolist() == [
        [13494111646962678861, 17043378750069819736],
        [11327743177129591511, 1046963257810536113],
    ]


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_only_what_is_zero_or_not_finite_has_none(kind: type[np.floating]) -> None:
    vectors = drawn(600, 8, kind)
    smallest, largest = np.finfo(kind).smallest_subnormal, np.finfo(kind).max
    bad = {3: 0.0, 4: -0.0, 5: np.nan, 256: np.inf, 599: -np.inf}
    for row, value in bad.items():
        vectors[row, :] = 0
        vectors[row, 7] = value
    vectors[7], vectors[8] = 0, 0
    vectors[7, 0], vectors[8, 1] = -smallest, -largest
    assert np.flatnonzero(vector_codes(vectors)[:, 0] == 0).tolist() == sorted(bad)
