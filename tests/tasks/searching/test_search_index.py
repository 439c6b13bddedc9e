"""The index is built once, holds every vector once, and is never opened unless it is whole and this version's."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tasks.errors import LakeError
from tasks.lake import Version
from tasks.lock import hold
from tasks.samples import KEPT
from tasks.searching import search_index
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


def test_every_vector_that_is_there_lies_in_one_cell_and_no_cell_is_empty(made: Version) -> None:
    index, _ = search_index.index_of(made)
    there = np.flatnonzero(np.arange(300) % 10)
    assert np.array_equal(np.sort(index.rows), there)
    assert np.array_equal(index.vectors, np.concatenate(made.embeddings())[index.rows])
    assert index.starts[0] == 0 and index.starts[-1] == 270 and (np.diff(index.starts) > 0).all()
    own = index.vectors.astype(np.float32)
    nearest = np.linalg.norm((own - index.mean)[:, None] - index.centroids, axis=2).argmin(axis=1)
    cell = np.repeat(np.arange(len(index.centroids)), np.diff(index.starts))
    assert (nearest == cell).mean() > 0.95  # some are as near to two as rounding tells


def test_it_is_built_once_and_the_same_vectors_give_the_same_bytes(made: Version, tmp_path: Path) -> None:
    assert "built" in search_index.index_of(made)[1]
    assert "opened" in search_index.index_of(made)[1]
    twin = tmp_path / "twin"
    twin.mkdir()
    search_index.build(made.embeddings(), twin, search_index.made_of(made))
    names = {path.name for path in folder(made).iterdir()}
    assert names == {path.name for path in twin.iterdir()} == {*search_index.FILES.values(), search_index.FACTS}
    for name in names:
        assert (twin / name).read_bytes() == (folder(made) / name).read_bytes()


@pytest.mark.parametrize("name", search_index.FILES.values())
@pytest.mark.parametrize("damage", ["truncated", "corrupt", "gone"])
def test_a_file_that_is_not_whole_is_refused_and_the_index_built_anew(made: Version, name: str, damage: str) -> None:
    search_index.index_of(made)
    path = folder(made) / name
    data = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "corrupt":
        data[-1] ^= 0xFF
        path.write_bytes(data)
    else:
        path.unlink()
    refused_and_built_anew(made, name)


@pytest.mark.parametrize("text", [None, "", "[1]", "{}", '{"made_of": {}, "digests": []}', '{"digests": {}}', "null"])
def test_without_a_record_of_what_it_is_an_index_is_built_anew(made: Version, text: str | None) -> None:
    search_index.index_of(made)
    path = folder(made) / search_index.FACTS
    path.unlink() if text is None else path.write_text(text)
    refused_and_built_anew(made, "record")


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("rows", np.array([{}] * 270), "plain arrays"),
        ("rows", np.arange(3), "arrays of an index"),
        ("mean", np.zeros(5, np.float32), "arrays of an index"),
        ("vectors", np.zeros(5), "arrays of an index"),
        ("starts", np.array([0, 270, 1]), "arrays of an index"),
        ("starts", np.array(7), "arrays of an index"),
    ],
)
def test_files_that_are_as_recorded_but_no_index_are_refused(
    made: Version, name: str, array: np.ndarray, said: str
) -> None:
    search_index.index_of(made)
    path, record = folder(made) / search_index.FILES[name], folder(made) / search_index.FACTS
    np.save(path, array, allow_pickle=array.dtype.hasobject)
    facts = json.loads(record.read_text())
    facts["digests"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    record.write_text(json.dumps(facts))
    refused_and_built_anew(made, said)


def refused_and_built_anew(made: Version, said: str) -> None:
    with pytest.raises(LakeError, match=said):
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
