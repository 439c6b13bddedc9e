"""Regions cover the pool, are the same every time, and are refused where they are damaged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tasks.errors import LakeError
from tasks.labelling import regions
from tasks.neighbors import nearest
from tests.tasks.planted import planted, unit

POOL = planted(600)
POOL[[0, 250, 599]] = 0  # could not be embedded
PARTS = [POOL[:200], POOL[200:200], POOL[200:]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("regions")
    regions.build(PARTS, made)
    return made


@pytest.fixture(scope="module")
def built(folder: Path) -> regions.Regions:
    return regions.load(folder)


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def seen_from_the_mean() -> np.ndarray:
    rows = POOL.astype(np.float64)
    present = np.linalg.norm(rows, axis=1) > 0
    rows[present] = unit(rows[present])
    return np.where(present[:, None], rows - rows[present].mean(axis=0), 0)


def test_each_sample_is_in_the_region_of_its_nearest_centre(built: regions.Regions) -> None:
    rows = seen_from_the_mean()
    present = np.flatnonzero(np.linalg.norm(rows, axis=1) > 0)
    cosine = unit(rows[present]) @ built.centre.T
    assert len(present) == 597 and len(built.centre) == regions.number_of(597) == 29
    np.testing.assert_array_equal(built.region[present], cosine.argmax(axis=1))
    assert built.similarity[present] == pytest.approx(cosine.max(axis=1), abs=1e-4)
    assert np.linalg.norm(built.centre, axis=1) == pytest.approx(1, abs=1e-5)


def test_a_sample_without_an_embedding_is_nowhere(built: regions.Regions) -> None:
    assert np.flatnonzero(built.region == regions.NOWHERE).tolist() == [0, 250, 599]
    assert (np.delete(built.region, [0, 250, 599]) >= 0).all()


def test_the_index_numbers_the_samples_through_all_parts(built: regions.Regions) -> None:
    asked = np.array([1, 199, 200, 598])
    assert nearest(built.annoy, POOL[asked], 1).ids[:, 0].tolist() == asked.tolist()


def test_the_same_embeddings_and_seed_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    again, other = tmp_path / "again", tmp_path / "other"
    again.mkdir(), other.mkdir()
    regions.build([POOL], again)  # however the parts are cut
    regions.build(PARTS, other, seed=1)
    names = sorted(path.name for path in folder.iterdir())
    assert sorted(path.name for path in again.iterdir()) == names
    for name in names:
        assert (again / name).read_bytes() == (folder / name).read_bytes(), name
    assert (other / "region.npy").read_bytes() != (folder / "region.npy").read_bytes()


@pytest.mark.parametrize("rows", [0, 3])
def test_a_pool_without_a_single_embedding_has_no_regions(tmp_path: Path, rows: int) -> None:
    with pytest.raises(LakeError, match=r"none was found; embed the pool"):
        regions.build([np.zeros((rows, 8), np.float16)], tmp_path)


@pytest.mark.parametrize(("rows", "number"), [(1, 1), (39, 1), (40, 2), (1_000_000, 2048)])
def test_regions_are_about_twenty_samples_and_two_thousand_at_most(rows: int, number: int) -> None:
    assert regions.number_of(rows) == number


def test_a_pool_of_one_sample_is_one_region(tmp_path: Path) -> None:
    assert regions.build([POOL[1:2]], tmp_path).region.tolist() == [0]


@pytest.mark.parametrize("name", ["region.npy", "similarity.npy", "centre.npy", "index.ann"])
def test_a_damaged_file_is_refused_with_what_to_do(copied: Path, name: str) -> None:
    damaged = bytearray((copied / name).read_bytes())
    damaged[-1] ^= 0xFF
    (copied / name).write_bytes(damaged)
    with pytest.raises(LakeError, match=rf"{name}: .*remove the .* it will be rebuilt"):
        regions.load(copied)


@pytest.mark.parametrize("name", ["region.npy", "similarity.npy", "centre.npy", "index.ann", "regions.json"])
def test_a_missing_file_is_refused_with_what_to_do(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(LakeError, match=r"expected.* will be rebuilt"):
        regions.load(copied)


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"dim": 32})])
def test_facts_that_are_not_regions_are_refused(copied: Path, text: str) -> None:
    (copied / "regions.json").write_text(text, "utf-8")
    with pytest.raises(LakeError, match=r"regions\.json .* it will be rebuilt"):
        regions.load(copied)
