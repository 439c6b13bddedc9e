"""Coarse features: components of the embedding, terms of the captions, near-duplicates counted once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.samples import DUPLICATE, FILTERED, KEPT, QUARANTINED
from tasks.weights import features
from tasks.words import cutting, tokens
from tests.tasks.small_version import map_inline, uid, verdicts_of, version


def embeddings(n: int = 300, d: int = 12, seed: int = 0) -> np.ndarray:
    """(n, d) unit vectors with a few strong directions."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 4)) @ rng.normal(size=(4, d)) + 0.2 * rng.normal(size=(n, d)) + 2
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float16)


def pool(verdicts: list[str], groups: list[tuple[str, int]] | None = None) -> features.Pool:
    uids = pa.chunked_array([[uid(i) for i in range(len(verdicts))]])
    table = pa.table({"group": [g for g, _ in groups], "uid": [uid(i) for _, i in groups]}) if groups else None
    return features.pool_of(pa.chunked_array([verdicts]), uids, table)


def test_components_are_the_principal_ones_with_a_sign_that_does_not_depend_on_chance() -> None:
    values = embeddings()
    found = features.components_of([features.moments(values, np.ones(300, dtype=bool))], 3)
    centred = values.astype(np.float64) - values.astype(np.float64).mean(axis=0)
    directions = np.linalg.svd(centred, full_matrices=False)[2][:3].T
    assert np.abs((found.basis * directions).sum(axis=0)) == pytest.approx(np.ones(3), abs=1e-8)
    assert (found.basis[np.abs(found.basis).argmax(axis=0), np.arange(3)] > 0).all()


def test_how_a_pool_is_cut_into_parts_does_not_change_its_components() -> None:
    values, usable = embeddings(), np.ones(300, dtype=bool)
    whole = features.components_of([features.moments(values, usable)], 4)
    cut = [features.moments(values[rows], usable[rows]) for rows in (slice(0, 70), slice(70, 300))]
    assert features.components_of(cut, 4).basis == pytest.approx(whole.basis, abs=1e-9)


def test_the_number_of_threads_changes_no_bit() -> None:
    import torch

    before, bases = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        bases.append(
            features.components_of([features.moments(embeddings(9000, 64), np.ones(9000, dtype=bool))], 8).basis
        )
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert (bases[0] == bases[1]).all()


def test_quarantined_samples_have_no_part_in_the_components(tmp_path: Path) -> None:
    values = embeddings()
    spoilt = values.copy()
    spoilt[10] = 0
    verdicts = verdicts_of(np.ones(300, dtype=bool), [10])
    found = features.components(version(tmp_path, ["a"] * 300, spoilt, verdicts), map_inline, 3)
    others = features.components_of([features.moments(np.delete(values, 10, axis=0), np.ones(299, dtype=bool))], 3)
    assert found.basis == pytest.approx(others.basis, abs=1e-9)


def test_directions_without_variance_are_left_out() -> None:
    flat = np.tile(np.eye(1, 5), (20, 1)).astype(np.float16)
    flat[:10] = np.eye(5)[1]
    assert features.components_of([features.moments(flat, np.ones(20, dtype=bool))], 4).basis.shape == (5, 1)
    assert features.components_of([features.moments(flat[:1], np.ones(1, dtype=bool))], 4).basis.shape == (5, 0)


def test_scores_are_centred_projections_in_the_order_of_the_samples() -> None:
    values = embeddings()
    found = features.components_of([features.moments(values, np.ones(300, dtype=bool))], 3)
    scores = features.project([values[:100], values[100:]], found)
    assert scores == pytest.approx((values.astype(np.float64) - found.mean) @ found.basis)
    assert scores.mean(axis=0) == pytest.approx(np.zeros(3), abs=1e-9)


def test_near_duplicates_count_once_and_share_their_unit() -> None:
    made = pool([KEPT, DUPLICATE, KEPT, FILTERED, QUARANTINED], [("a", 0), ("a", 1), ("b", 3), ("b", 4)])
    assert made.unit.tolist() == [0, 0, 1, 2, -1]
    assert made.share.tolist() == [0.5, 0.5, 1.0, 1.0, 0.0]
    assert made.kept.tolist() == [True, False, True, False, False]
    assert made.mean(np.array([[2.0], [4.0], [1.0], [5.0], [99.0]])) == pytest.approx([(3 + 1 + 5) / 3])


def test_without_groups_each_usable_sample_is_a_unit() -> None:
    assert pool([KEPT, QUARANTINED, FILTERED]).unit.tolist() == [0, -1, 1]


def test_the_spread_of_a_feature_is_taken_over_units() -> None:
    made = pool([KEPT, DUPLICATE, FILTERED], [("a", 0), ("a", 1)])
    assert made.spread(np.array([[1.0, 7.0], [1.0, 7.0], [3.0, 7.0]])) == pytest.approx([1.0, 1.0])


CAPTIONS = ["a dark red fox", "red fox, dark", "Red! dark", "", "café at dark red dawn"]


def read(captions: list[str]) -> tokens.Tokens:
    part = tokens.part_terms(cutting.token_lists(pa.array(captions)))
    first = part.terms >= 0
    return tokens.Tokens(np.repeat(np.arange(len(captions)), part.lengths)[first], part.terms[first], part.words)


def test_frequent_words_are_counted_once_a_usable_caption() -> None:
    usable = np.array([True, True, True, True, False])
    found = features.frequent_words(read([*CAPTIONS[:4], "fox fox fox"]), usable, 2)
    assert found.names == ("dark", "red", "fox")
    assert found.has.toarray().T.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 1, 0, 0, 0]]


def test_a_phrase_is_found_only_where_its_words_stand_side_by_side() -> None:
    usable = np.ones(5, dtype=bool)
    found = features.named_terms(
        ["dark red", "fox", "wolf", "café", "!!"], read(CAPTIONS), pa.chunked_array([CAPTIONS]), usable
    )
    assert found.has.toarray().T.tolist() == [
        [1, 0, 0, 0, 1],
        [1, 1, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0],
    ]
