"""The whole chain on every layout of a pool, with embeddings that came with it, and on pools that are damaged."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks import samples
from tasks.errors import GateFailed
from tasks.lake import Version, find_pool
from tests.flows.runs import curated, settings
from tests.small_pool import (
    drawn,
    encoded,
    members_of,
    picture,
    write_huggingface,
    write_imagefolder,
    write_img2dataset,
    write_members,
)

SAMPLES = [*drawn(80), *[(f"9{key[1:]}", image, text) for key, image, text in drawn(12)]]  # twelve are copies
KEYS = [key for key, _, _ in SAMPLES]
GATES = {"max_filtered": 0.9, "max_duplicates": 0.95, "min_effective_sample_share": 0.05}


def as_tar(folder: Path) -> None:
    """Without sidecars, so that a sample's uid comes of its content and key, as in the other layouts."""
    write_members(folder / "00000.tar", [m for m in members_of(SAMPLES) if not m[0].endswith(".json")])


def as_parquet(folder: Path) -> None:
    write_huggingface(folder / "train.parquet", SAMPLES, rows_per_group=40, key=KEYS)


def as_folder(folder: Path) -> None:
    write_imagefolder(folder, SAMPLES)


LAYOUTS = {"tar": as_tar, "parquet": as_parquet, "folder": as_folder}


def label(folder: Path) -> None:
    """labels.csv: what is red belongs to the category."""
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("uid", "category", "label"))
        for key, image, caption in SAMPLES[:80:3]:
            uid = samples.uid_of(None, None, hashlib.sha256(image).hexdigest(), key)
            rows.writerow((uid, "redcross", int("red" in caption)))


def latest(lake: Path) -> Version:
    return find_pool(lake, None).version("latest")


def published(version: Version) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(version.artifact("published") / "samples.parquet").to_pylist()
    return rows


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What is published of the same content in each layout, without the shard's name."""
    found = {}
    for name, write in LAYOUTS.items():
        root = tmp_path_factory.mktemp(name)
        write(root / "pool")
        label(root / "pool")
        outcome = curated(root / "pool", root / "lake")
        version = latest(root / "lake")
        assert outcome["status"] == "done" and version.manifest["complete"] and version.stage == "publish"
        found[name] = [{column: row[column] for column in row if column != "shard"} for row in published(version)]
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_goes_through_every_stage(tables: dict[str, list[dict[str, Any]]], layout: str) -> None:
    rows = tables[layout]
    assert sorted(row["key"] for row in rows) == sorted(KEYS)
    verdicts = Counter(row["verdict"] for row in rows)
    assert verdicts["filtered"] and verdicts["duplicate"] and verdicts["kept"] and not verdicts["quarantined"]
    assert all((row["weight"] is not None) == (row["verdict"] == "kept") for row in rows)


@pytest.mark.parametrize("layout", ["parquet", "folder"])
def test_the_same_content_is_decided_alike_in_each_layout(tables: dict[str, list[dict[str, Any]]], layout: str) -> None:
    def captions(rows: list[dict[str, Any]]) -> list[str]:
        return sorted(row["caption"] for row in rows if row["verdict"] == "kept")

    assert captions(tables[layout]) == captions(tables["tar"])
    order = [sorted(tables[name], key=lambda row: str(row["uid"])) for name in (layout, "tar")]
    assert order[0] == order[1]


def test_embeddings_that_came_with_the_pool_take_the_models_place(tmp_path: Path) -> None:
    pool = write_img2dataset(tmp_path / "pool", SAMPLES, per_shard=50)
    given = np.random.default_rng(0).normal(size=(len(SAMPLES), 48)).astype(np.float16)
    for name in ("img_emb", "metadata"):
        (tmp_path / "given" / name).mkdir(parents=True)
    np.save(tmp_path / "given" / "img_emb" / "img_emb_0.npy", given[::-1][1:])  # another order, and one is lacking
    pq.write_table(pa.table({"image_path": KEYS[::-1][1:]}), tmp_path / "given" / "metadata" / "metadata_0.parquet")
    config = settings(pool, filter={}, embed={"embeddings": str(tmp_path / "given")})
    curated(pool, tmp_path / "lake", config)
    version = latest(tmp_path / "lake")
    assert version.summary["embed"]["model"] == "embeddings that came with the pool"
    wide = given.astype(np.float32)
    expected = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    expected[-1] = 0
    assert np.abs(np.concatenate(version.embeddings()).astype(np.float32) - expected).max() < 1e-3
    rows = published(version)
    assert [row["reason"] for row in rows if row["verdict"] == "quarantined"] == [samples.NO_EMBEDDING]
    assert rows[-1]["verdict"] == "quarantined"


BROKEN = {  # reason → the members of a sample that has it; each is the only one
    samples.ZERO_BYTES: [("zero.png", b""), ("zero.txt", b"words")],
    samples.UNREADABLE_IMAGE: [("noise.png", b"no image at all"), ("noise.txt", b"words")],
    samples.TRUNCATED_IMAGE: [("half.png", encoded(picture(1))[:90]), ("half.txt", b"words")],
    samples.FORBIDDEN_FORMAT: [("vector.svg", b"<svg xmlns='x'></svg>"), ("vector.txt", b"words")],
    samples.TOO_MANY_PIXELS: [("large.png", encoded(picture(2, 64))), ("large.txt", b"words")],
    samples.TOO_MANY_BYTES: [("heavy.png", b"\x89PNG" + bytes(9000)), ("heavy.txt", b"words")],
    samples.MISSING_IMAGE: [("alone.txt", b"words")],
    samples.MISSING_CAPTION: [("mute.png", encoded(picture(3)))],
    samples.EMPTY_CAPTION: [("blank.png", encoded(picture(4))), ("blank.txt", b" \n")],
    samples.CAPTION_NOT_UTF8: [("latin.png", encoded(picture(5))), ("latin.txt", b"caf\xe9")],
    samples.DUPLICATE_KEY: [("again.png", encoded(picture(6))), ("again.txt", b"words")],
    samples.DOTTED_KEY: [("version.2.png", encoded(picture(7))), ("version.2.txt", b"words")],
    samples.DUPLICATE_UID: [
        ("twin.png", encoded(picture(8))),
        ("twin.txt", b"words"),
        ("twin.json", json.dumps({"url": "https://pool.example/000000002"}).encode()),
    ],
}
LIMITS = {"max_pixels": 2000, "max_bytes": 8000}


def test_a_pool_with_every_kind_of_damage_completes_with_each_counted(tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    again = [("again.png", encoded(picture(60))), ("again.txt", b"a good one")]
    bad = [member for members in BROKEN.values() for member in members]
    write_members(pool / "00000.tar", members_of(drawn(40)))
    write_members(pool / "00001.tar", [*again, *bad])
    path = write_members(pool / "00002.tar", [*members_of(drawn(20, first=40)), *members_of(drawn(1, first=99))])
    path.write_bytes(path.read_bytes()[: path.read_bytes().rindex(b"000000099.txt")])
    config = settings(pool, filter={}, ingest=LIMITS, gates=GATES)
    outcome = curated(pool, tmp_path / "lake", config)
    version = latest(tmp_path / "lake")
    expected = dict.fromkeys([*BROKEN, samples.TRUNCATED_TAR], 1)
    assert version.summary["ingest"]["quarantined"] == dict(sorted(expected.items()))
    assert version.summary["ingest"]["broken_shards"].keys() == {"00002.tar"}
    assert outcome["counts"]["quarantined"] == len(expected)
    rows = published(version)
    assert len(rows) == version.rows == 40 + 1 + len(BROKEN) + 21
    bad_rows = {row["key"]: row["reason"] for row in rows if row["verdict"] == "quarantined"}
    assert Counter(bad_rows.values()) == expected and bad_rows["zero"] == samples.ZERO_BYTES
    good = [row["key"] for row in rows if row["verdict"] != "quarantined"]
    assert sorted(good) == [*(f"{number:09d}" for number in range(60)), "again"]


@pytest.mark.parametrize("damage", [samples.ZERO_BYTES, samples.UNREADABLE_IMAGE, samples.MISSING_CAPTION])
def test_a_pool_of_which_nothing_can_be_used_is_stopped_with_the_reason(damage: str, tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    ((name, data), *rest) = BROKEN[damage]
    members = [(f"{n}{file}", content) for n in range(9) for file, content in [(name, data), *rest]]
    write_members(pool / "00000.tar", members)
    with pytest.raises(GateFailed) as problem:
        curated(pool, tmp_path / "lake", settings(pool, filter={}))
    text = str(problem.value)
    assert "the gate after ingest failed; no version was committed" in text
    assert "at most 0.5 was expected, 1 was found, 0.5 too much" in text
    assert f"quarantined, {damage}: 9" in text and "mend the pool" in text
    assert find_pool(tmp_path / "lake", None).numbers() == []


@pytest.mark.parametrize(("name", "said"), [("00000.tar", "truncated tar"), ("train.parquet", "unreadable Parquet")])
def test_a_pool_whose_every_shard_is_broken_is_stopped_with_the_shards_name(
    name: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / name).write_bytes(b"neither of them" * 100)
    with pytest.raises(GateFailed, match=rf"at least 1 was expected, 0 was found[^$]*broken shard {name}: {said}"):
        curated(tmp_path / "pool", tmp_path / "lake", settings(tmp_path / "pool", filter={}))
