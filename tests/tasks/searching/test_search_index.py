"""The index finds the nearest, is built once, and is never opened unless it is whole and this version's."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tasks.errors import LakeError
from tasks.lake import Version
from tasks.lock import hold
from tasks.samples import KEPT
from tasks.searching import search_exact, search_index
from tests.tasks.small_version import version


def vectors(n: int = 300, d: int = 16) -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(n, d)) + 1.0
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[::10] = 0  # could not be embedded
    return rows.astype(np.float32)


@pytest.fixture
def made(tmp_path: Path) -> Version:
    return version(tmp_path, ["a"] * 300, vectors(), [KEPT] * 300)


def folder(made: Version) -> Path:
    return made.lake.artifact_path(search_index.KIND, search_index.index_key(made))


def test_the_index_finds_what_exact_search_finds(made: Version) -> None:
    queries = vectors()[1:300:10]
    index, _ = search_index.index_of(made)
    found = search_index.nearest(index, made.embeddings(), queries, 3)
    exact = search_exact.nearest(made.embeddings(), queries, 3)
    assert np.array_equal(found.rows, exact.rows) and np.array_equal(found.cosines, exact.cosines)
    assert (found.rows[:, 0] == np.arange(1, 300, 10)).all()


def test_it_is_built_once_and_the_same_vectors_give_the_same_bytes(made: Version, tmp_path: Path) -> None:
    assert "built" in search_index.index_of(made)[1]
    assert "opened" in search_index.index_of(made)[1]
    twin = tmp_path / "twin"
    twin.mkdir()
    search_index.build(made.embeddings(), twin, search_index.made_of(made))
    for name in (search_index.FOREST, search_index.FACTS):
        assert (twin / name).read_bytes() == (folder(made) / name).read_bytes()


@pytest.mark.parametrize("damage", ["truncated", "corrupt", "no facts", "facts of nothing", "no rows"])
def test_what_is_not_whole_is_refused_and_built_anew(made: Version, damage: str) -> None:
    search_index.index_of(made)
    forest = folder(made) / search_index.FOREST
    data = bytearray(forest.read_bytes())
    if damage == "truncated":
        forest.write_bytes(data[: len(data) // 2])
    elif damage == "corrupt":
        data[len(data) // 2] ^= 0xFF
        forest.write_bytes(data)
    elif damage == "no facts":
        (folder(made) / search_index.FACTS).unlink()
    elif damage == "facts of nothing":
        (folder(made) / search_index.FACTS).write_text("[1]")
    else:
        (folder(made) / search_index.ROWS).unlink()
    with pytest.raises(LakeError):
        search_index.open_index(folder(made), search_index.made_of(made))
    assert "built anew" in search_index.index_of(made)[1]
    assert "opened" in search_index.index_of(made)[1]


def test_an_index_of_another_version_is_refused(made: Version, tmp_path: Path) -> None:
    search_index.index_of(made)
    other = version(tmp_path / "other", ["a"] * 200, vectors(200), [KEPT] * 200)
    shutil.copytree(folder(made), folder(other))
    with pytest.raises(LakeError, match="other embeddings"):
        search_index.open_index(folder(other), search_index.made_of(other))
    index, what = search_index.index_of(other)
    assert "built anew" in what and len(index.rows) == 180


def test_no_index_is_built_while_a_run_holds_the_lake(made: Version) -> None:
    with hold(made.lake.home, "a run"), pytest.raises(LakeError, match="held"):
        search_index.index_of(made)


def test_a_version_without_a_single_vector_has_no_index(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="at least one"):
        search_index.index_of(version(tmp_path, ["a"], np.zeros((1, 4)), [KEPT], parts=1))
