"""Annoy finds what is near, the same each time, and no damaged index is ever opened."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tasks import neighbors
from tasks.errors import LakeError


def vectors(n: int = 500, d: int = 16, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(n, d)) + 1.0
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def saved(folder: Path) -> Path:
    path = folder / "index.ann"
    neighbors.save(neighbors.build(vectors()), path)
    return path


def test_each_vector_is_its_own_nearest_neighbour() -> None:
    found = neighbors.nearest(neighbors.build(vectors()), vectors(), k=3)
    assert (found.ids[:, 0] == np.arange(500)).all()
    assert np.allclose(found.distances[:, 0], 0)


def test_distances_are_those_of_exact_search_although_the_forest_holds_centred_vectors() -> None:
    rows = vectors()
    found = neighbors.nearest(neighbors.build(rows), rows[:50], k=5, search_k=5000)
    exact = np.linalg.norm(rows[:50, None] - rows[None], axis=2)
    assert np.allclose(found.distances, np.sort(exact, axis=1)[:, :5], atol=1e-5)


def test_what_was_not_found_is_marked() -> None:
    found = neighbors.nearest(neighbors.build(vectors(n=2)), vectors(n=2), k=4)
    assert (found.ids[:, 2:] == -1).all()
    assert np.isinf(found.distances[:, 2:]).all()


def test_the_same_vectors_and_seed_give_the_same_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        neighbors.save(neighbors.build(vectors(), seed=3), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_loaded_index_answers_as_the_built_one(tmp_path: Path) -> None:
    built = neighbors.nearest(neighbors.build(vectors()), vectors(), k=4)
    loaded = neighbors.nearest(neighbors.load(saved(tmp_path), dim=16), vectors(), k=4)
    assert (built.ids == loaded.ids).all()
    assert np.allclose(built.distances, loaded.distances)


def test_a_truncated_index_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(LakeError, match="digest"):
        neighbors.load(path, dim=16)


def test_a_corrupt_index_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    damaged = bytearray(path.read_bytes())
    damaged[100] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(LakeError, match="digest"):
        neighbors.load(path, dim=16)


@pytest.mark.parametrize(("fact", "value"), [("metric", "angular"), ("count", 499), ("dim", 15), ("mean", [])])
def test_an_index_whose_facts_do_not_match_is_refused(tmp_path: Path, fact: str, value: object) -> None:
    path = saved(tmp_path)
    beside = tmp_path / "index.ann.json"
    beside.write_text(json.dumps({**json.loads(beside.read_text("utf-8")), fact: value}), "utf-8")
    with pytest.raises(LakeError):
        neighbors.load(path, dim=16)


def test_an_index_of_another_dimension_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match=r"dim 16 is recorded.* 32"):
        neighbors.load(saved(tmp_path), dim=32)


@pytest.mark.parametrize("lost", ["index.ann", "index.ann.json"])
def test_an_index_with_a_missing_file_is_refused(tmp_path: Path, lost: str) -> None:
    path = saved(tmp_path)
    (tmp_path / lost).unlink()
    with pytest.raises(LakeError, match="missing"):
        neighbors.load(path, dim=16)


def test_facts_that_are_not_json_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    (tmp_path / "index.ann.json").write_text("{", "utf-8")
    with pytest.raises(LakeError, match="not JSON"):
        neighbors.load(path, dim=16)


def test_queries_of_another_dimension_are_refused() -> None:
    with pytest.raises(LakeError, match=r"dimension 16 .* 8"):
        neighbors.nearest(neighbors.build(vectors()), vectors(d=8), k=1)
