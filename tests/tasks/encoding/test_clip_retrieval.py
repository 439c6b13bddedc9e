from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks import embed, ingest, samples
from tasks.encoding.clip_retrieval import folder_digest
from tasks.errors import ConfigError
from tasks.lake import Version
from tests.small_pool import digested, drawn, empty_version, serial, write_img2dataset

KEYS = [key for key, _, _ in drawn(6)]
VALUES = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float16)
UNIT = VALUES.astype(np.float32) / np.linalg.norm(VALUES.astype(np.float32), axis=1, keepdims=True)


def folder_of(path: Path, *files: tuple[np.ndarray, dict[str, Any]]) -> Path:
    """img_emb/img_emb_N.npy and metadata/metadata_N.parquet."""
    for name in ("img_emb", "metadata"):
        (path / name).mkdir(parents=True)
    for number, (array, columns) in enumerate(files):
        np.save(path / "img_emb" / f"img_emb_{number}.npy", array)
        pq.write_table(pa.table(columns), path / "metadata" / f"metadata_{number}.parquet")
    return path


def taken(tmp_path: Path, folder: Path) -> Version:
    pool = tmp_path / "pool"
    if not pool.exists():
        write_img2dataset(pool, drawn(6), per_shard=3)
    version = empty_version(tmp_path / "lake", pool)
    config = embed.Config(embeddings=str(folder))
    shards = digested(pool, version.lake)
    key, sink = embed.embedder(version.lake, config, ingest.samples_key(version.lake, ingest.Config()))
    draft = ingest.run(version, ingest.Config(), serial, shards, sink, 1)
    return embed.run(draft, config, serial, shards, key, sink)


def values(version: Version) -> np.ndarray:
    return np.concatenate(version.embeddings()).astype(np.float32)


@pytest.mark.parametrize("name", ["key", "image_path", "file"])
def test_embeddings_are_taken_by_key_whatever_their_order(tmp_path: Path, name: str) -> None:
    order = [4, 0, 5, 2, 1, 3]
    names = [f"/data/images/{KEYS[n]}.png" if name == "file" else KEYS[n] for n in order]
    column = "image_path" if name == "file" else name
    parts = [(VALUES[order][here], {column: names[here]}) for here in (slice(0, 2), slice(2, 6))]
    version = taken(tmp_path, folder_of(tmp_path / "given", *parts))
    assert np.abs(values(version) - UNIT).max() < 1e-3
    assert version.summary["embed"]["model"] == "embeddings that came with the pool"
    assert version.table("decision")["reason"].to_pylist() == [None] * 6


def test_a_uid_is_preferred_to_a_key(tmp_path: Path) -> None:
    pool = write_img2dataset(tmp_path / "pool", drawn(6), per_shard=3)
    version = empty_version(tmp_path / "other", pool)
    uids = ingest.run(version, ingest.Config(), serial, digested(pool, version.lake), None, 1).table("samples")["uid"]
    names = {"uid": [uid.upper() for uid in uids.to_pylist()], "key": KEYS[::-1]}
    assert np.abs(values(taken(tmp_path, folder_of(tmp_path / "given", (VALUES, names)))) - UNIT).max() < 1e-3


def test_a_sample_that_the_folder_lacks_is_quarantined(tmp_path: Path) -> None:
    version = taken(tmp_path, folder_of(tmp_path / "given", (VALUES[:4], {"key": KEYS[:4]})))
    assert version.table("decision")["reason"].to_pylist() == [None] * 4 + [samples.NO_EMBEDDING] * 2
    assert version.summary["ingest"]["quarantined"] == {samples.NO_EMBEDDING: 2}
    assert (values(version)[4:] == 0).all()


def test_a_key_that_several_rows_have_matches_none(tmp_path: Path) -> None:
    names = [KEYS[0], KEYS[0], *KEYS[2:5], None]
    version = taken(tmp_path, folder_of(tmp_path / "given", (VALUES, {"key": names})))
    lost = [samples.NO_EMBEDDING] * 2
    assert version.table("decision")["reason"].to_pylist() == [*lost, None, None, None, samples.NO_EMBEDDING]


def test_embeddings_that_are_no_numbers_or_zero_are_none(tmp_path: Path) -> None:
    broken = VALUES.copy()
    broken[1, 2], broken[2, 0], broken[3] = np.nan, np.inf, 0
    version = taken(tmp_path, folder_of(tmp_path / "given", (broken, {"key": KEYS})))
    assert version.table("decision")["reason"].to_pylist() == [None, *[samples.NO_EMBEDDING] * 3, None, None]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([(VALUES[:5], {"key": KEYS})], "6 rows of one dimension were expected"),
        ([(VALUES[:, 0], {"key": KEYS})], "6 rows of one dimension were expected"),
        ([(VALUES[:3], {"key": KEYS[:3]}), (VALUES[3:, :7], {"key": KEYS[3:]})], "3 rows of one dimension"),
        ([(VALUES.astype(int), {"key": KEYS})], "floats were expected, int64 was found"),
        ([(VALUES, {"caption": KEYS})], "a column uid, key or image_path was expected"),
        ([], "there is no img_emb"),
    ],
)
def test_a_folder_of_another_shape_is_refused(tmp_path: Path, files: list[Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        taken(tmp_path, folder_of(tmp_path / "given", *files))


def test_a_folder_in_an_object_store_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"a folder on this machine was expected, .* copy it from the store"):
        folder_digest("s3://team/embeddings", lambda path: "")


def test_damaged_or_missing_files_are_refused_and_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "given", (VALUES, {"key": KEYS}))
    array, meta = folder / "img_emb" / "img_emb_0.npy", folder / "metadata" / "metadata_0.parquet"
    whole = array.read_bytes()
    for content in (b"", whole[:100], whole[:-8], b"garbage"):
        array.write_bytes(content)
        with pytest.raises(ConfigError, match=r"img_emb_0\.npy: an array of embeddings was expected"):
            taken(tmp_path, folder)
    array.write_bytes(whole)
    meta.write_bytes(b"garbage")
    with pytest.raises(ConfigError, match=r"metadata_0\.parquet: clip-retrieval's metadata were expected"):
        taken(tmp_path, folder)
    meta.unlink()
    with pytest.raises(ConfigError, match=r"missing: .*metadata_0\.parquet"):
        taken(tmp_path, folder)


def test_other_embeddings_are_another_key(tmp_path: Path) -> None:
    first = taken(tmp_path, folder_of(tmp_path / "one", (VALUES, {"key": KEYS})))
    second = taken(tmp_path, folder_of(tmp_path / "two", (VALUES[::-1].copy(), {"key": KEYS})))
    same = taken(tmp_path, folder_of(tmp_path / "three", (VALUES, {"key": KEYS})))
    assert first.columns["embedding"] == same.columns["embedding"] != second.columns["embedding"]
