"""Features made block by block."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csc_array

from tasks.weights import coarse, kept_blocks
from tasks.weights.coarse import Coarse, Effects
from tasks.weights.features import Components, Pool


def made(n: int = 300) -> tuple[Coarse, np.ndarray, np.ndarray]:
    """Features of each kind over two parts; components and words as they are."""
    rng = np.random.default_rng(0)
    values, words = rng.normal(size=(n, 4)).astype(np.float32), (rng.random((n, 3)) < 0.4).astype(np.float64)
    directions = np.array([[1.0], [2.0], [0.0], [0.0]])
    effects = Effects(np.array([1, 3]), np.array([2]), directions, np.array([[0, 1]]))
    parts, found = [values[:100], values[100:]], Components(np.full(4, 0.5), np.eye(4))
    source = Coarse(parts, found, csc_array(words).tocsr(), effects, np.array([1.0, 2.0, 1.0, 1.0, 1.0, 1.0]))
    return source, values - 0.5, words


def test_a_block_has_a_one_then_components_words_squares_and_pairs_over_their_scales() -> None:
    source, s, w = made()
    x = np.vstack([source.block(at)[1] for at in source.blocks()])
    expected = [np.ones(300), s[:, 1] / 2, s[:, 3], w[:, 2], (s[:, 0] + 2 * s[:, 1]) ** 2, w[:, 0] * w[:, 1]]
    assert x == pytest.approx(np.column_stack(expected), abs=1e-5)


def test_gathered_rows_are_those_of_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coarse, "ROWS", 64)
    source, _, _ = made()
    x = np.vstack([source.block(at)[1] for at in source.blocks()])
    rows = np.array([0, 63, 64, 99, 100, 250, 299])
    gathered = coarse.gather(source, rows)
    assert gathered.x == pytest.approx(x[rows], abs=1e-6)
    assert [gathered.block(at)[0] for at in gathered.blocks()] == [slice(0, 7)]


def test_features_that_look_at_words_are_the_words_and_pairs_with_them() -> None:
    source, _, _ = made()
    assert source.effects.looks_at(np.array([False, True, False])).tolist() == [False, False, False, False, True]
    assert source.effects.looks_at(np.array([False, False, True])).tolist() == [False, False, True, False, False]
    assert source.effects.names(["a", "b", "c"]) == ["component 1", "component 3", "c", "square 0", "a and b"]


def test_some_features_keep_their_order_and_number() -> None:
    source, _, _ = made()
    some = source.effects.select(np.array([False, True, True, False, True]))
    assert some.names(["a", "b", "c"]) == ["component 3", "c", "a and b"]
    assert some.width == 3


def test_spread_is_the_weighted_deviation_and_one_where_nothing_varies() -> None:
    x = np.array([[1.0, 5.0], [3.0, 5.0], [100.0, 5.0]])
    assert coarse.spread(x, np.array([1.0, 1.0, 0.0])).tolist() == [1.0, 1.0]


def test_kept_blocks_are_the_kept_samples_groups_and_features_less_their_moments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(coarse, "ROWS", 64)
    monkeypatch.setattr(kept_blocks, "ROWS", 64)
    source, _, words = made()
    kept = np.random.default_rng(1).random(300) < 0.5
    group = csc_array(words[:, :1]).tocsr()
    moments, scale = np.arange(6.0), np.arange(1.0, 7.0)
    blocks = kept_blocks.Kept(kept, group, source, moments, scale)
    x = np.vstack([source.block(at)[1] for at in source.blocks()])[:, 1:]
    expected = ((np.column_stack([words[:, 0], x]) - moments) / scale)[kept]
    assert blocks.shape == expected.shape
    places, found = zip(*blocks.blocks(), strict=True)
    assert np.vstack([block.numpy() for block in found]) == pytest.approx(expected, abs=1e-6)
    assert [place.start for place in places[1:]] == [place.stop for place in places[:-1]]


def test_means_count_a_near_duplicate_group_once() -> None:
    source, _, _ = made()
    unit = np.arange(300) // 2
    pool = Pool(np.ones(300, dtype=bool), np.ones(300, dtype=bool), unit, np.full(300, 0.5))
    x = np.vstack([source.block(at)[1] for at in source.blocks()])[:, 1:]
    assert kept_blocks.means(source, pool) == pytest.approx(pool.mean(x), abs=1e-9)
