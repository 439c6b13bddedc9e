"""Pools in an object store: shards, samples and digests as in a folder, and what is said where there are none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import s3fs

from tasks import samples
from tasks.errors import PoolError, SluiceError, Unavailable, UsageError
from tasks.files import Digests
from tasks.reading.pools import expect_files, failed_rows, list_shards, read_shard, shard_digest
from tasks.reading.raw import Broken, Raw
from tasks.storing import objects, streams
from tests.object_store import BUCKET, on_machine, serving, store, upload
from tests.small_pool import (
    LIMIT,
    drawn,
    members_of,
    raws,
    write_huggingface,
    write_imagefolder,
    write_img2dataset,
    write_members,
)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.fixture(autouse=True)
def _machine(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_machine(monkeypatch, server, tmp_path / "cache")


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    return f"pools/{tmp_path.name}"


def tars(folder: Path) -> None:
    write_img2dataset(folder, drawn(9), per_shard=3, failed=2)
    for ending, mode in (("tar.gz", "w:gz"), ("tar.bz2", "w:bz2"), ("tar.xz", "w:xz")):
        write_members(folder / "more" / f"9.{ending}", members_of(drawn(2, first=20)), mode)
    whole = write_members(folder / "more" / "cut.tar", members_of(drawn(3, first=30)))
    whole.write_bytes(whole.read_bytes()[:3000])
    (folder / ".hidden").mkdir()
    shutil.copy(whole, folder / ".hidden" / "a.tar")


def tables(folder: Path) -> None:
    write_huggingface(folder / "train-00000.parquet", drawn(9), rows_per_group=4)
    damaged = write_huggingface(folder / "train-00001.parquet", drawn(9, first=9), rows_per_group=4)
    data = bytearray(damaged.read_bytes())
    data[40:80] = b"\xff" * 40
    damaged.write_bytes(bytes(data))


def images(folder: Path) -> None:
    write_imagefolder(folder / "cats", drawn(5))
    write_imagefolder(folder / "dogs" / "small", drawn(5, first=5), "txt")
    (folder / "cats" / "000000001.png").write_bytes(b"")
    with (folder / "cats" / "metadata.jsonl").open("a") as lines:
        lines.write('{"file_name": "lost.png", "text": "gone"}\n')


@pytest.mark.parametrize("layout", [tars, tables, images])
def test_a_pool_in_a_store_has_the_shards_samples_and_digests_of_the_same_pool_in_a_folder(
    layout: object, tmp_path: Path, server: str, prefix: str
) -> None:
    layout(tmp_path / "pool")  # type: ignore[operator]
    there = upload(server, tmp_path / "pool", prefix)

    def facts(source: str) -> list[tuple[str, str, str, int]]:
        digest = Digests(tmp_path / "home").of
        return [
            (shard.path, shard.layout, shard_digest(shard, digest), failed_rows(shard))
            for shard in list_shards(source)[1]
        ]

    assert facts(there) == facts(str(tmp_path / "pool")) != []
    assert raws(there) == raws(tmp_path / "pool")
    assert raws(there, limit=200) == raws(tmp_path / "pool", limit=200)


def test_globs_brace_lists_and_single_shards_name_the_shards_that_they_name_in_a_folder(
    tmp_path: Path, server: str, prefix: str
) -> None:
    pool = write_img2dataset(tmp_path / "pool", drawn(9), per_shard=3)
    there = upload(server, pool, prefix)

    def listed(source: str) -> tuple[str, list[str]]:
        root, shards = list_shards(source)
        return root.name, [shard.path for shard in shards]

    for pattern in ("{00000..00001}.tar", "0000[01].tar", "*.tar", "0000*", "{00002,00000}.tar", "00001.tar"):
        here = listed(f"{pool}/{pattern}")
        assert listed(f"{there}/{pattern}") == (Path(prefix).name, here[1]) and len(here[1]) < 4
    name = "pools/**/00001.tar"
    assert f"{tmp_path.name}/00001.tar" in listed(f"s3://{BUCKET}/{name}")[1]


def test_what_is_no_pool_is_refused_with_its_address(tmp_path: Path, server: str, prefix: str) -> None:
    there = upload(server, write_img2dataset(tmp_path / "pool", drawn(3)), prefix)
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "a.docx").write_text("no image")
    papers = upload(server, tmp_path / "papers", f"{prefix}-papers")
    for source, message in {
        f"s3://{BUCKET}/absent": "was expected, nothing was found there",
        papers: "was expected, 1 other objects was found there",
        "s3://absent/pool": "there is no bucket absent",
        f"{there}/{{00000..00004}}.tar": "00001.tar, which does not exist",
        f"{there}/none*": "none*, which does not exist",
        f"{there}/{{00000": "lacks a brace",
        f"{there}/00000_stats.json": "a shard is a .tar or a .parquet, not s3://",
        "s3://lak*/pool": "a bucket's name was expected",
    }.items():
        with pytest.raises(PoolError) as problem:
            list_shards(source)
        assert message in str(problem.value), source


def test_an_address_with_a_key_in_it_is_refused_without_repeating_it() -> None:
    with pytest.raises(UsageError, match="keys come from the environment") as problem:
        list_shards("s3://AKIA:secret@bucket/pool")
    assert "secret" not in str(problem.value)


def test_an_object_whose_name_is_no_path_is_named_and_not_overlooked(server: str, prefix: str) -> None:
    for name in ("00000.tar", "a//00001.tar"):
        store(server).put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=b"")
    with pytest.raises(PoolError, match=r"the object 'a//00001\.tar' was found"):
        list_shards(f"s3://{BUCKET}/{prefix}")


def test_a_digest_is_remembered_until_the_object_is_another(tmp_path: Path, server: str, prefix: str) -> None:
    there = upload(server, write_img2dataset(tmp_path / "pool", drawn(3)), prefix)
    known = Digests(tmp_path / "home")
    first = shard_digest(list_shards(there)[1][0], known.of)
    known.save()
    again, path = Digests(tmp_path / "home"), Path(list_shards(there)[1][0].files[0])
    assert again.remembered(path) == first
    store(server).put_object(Bucket=BUCKET, Key=f"{prefix}/00000.tar", Body=b"x")
    list_shards(there)
    assert again.remembered(path) is None


def test_a_shard_is_asked_for_once_in_pieces_and_nothing_of_it_is_kept(
    tmp_path: Path, server: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [
        (f"{n:03d}.{kind}", bytes(2 << 20 if kind == "png" else 1)) for n in range(12) for kind in ("png", "txt")
    ]
    path = write_members(tmp_path / "pool" / "0.tar", members)
    shard = list_shards(upload(server, path.parent, prefix))[1][0]
    asked, fetch = [], s3fs.core._fetch_range

    def noted(*arguments: Any, **settings: Any) -> bytes:
        asked.append(arguments[5] - arguments[4])
        return fetch(*arguments, **settings)  # type: ignore[no-any-return]

    monkeypatch.setattr("s3fs.core._fetch_range", noted)
    assert sum(len(raw.image or b"") for raw in read_shard(shard, LIMIT) if isinstance(raw, Raw)) == 24 << 20
    assert sum(asked) <= path.stat().st_size + streams.STREAM and max(asked) <= streams.STREAM + (2 << 20)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_an_object_that_is_replaced_while_it_is_read_ends_the_run(tmp_path: Path, server: str, prefix: str) -> None:
    path = write_members(tmp_path / "pool" / "0.tar", [(f"{n}.png", bytes(12 << 20)) for n in range(2)])
    there = upload(server, path.parent, prefix)
    for change in (
        lambda: store(server).put_object(Bucket=BUCKET, Key=f"{prefix}/0.tar", Body=b"x" * (24 << 20)),
        lambda: store(server).delete_object(Bucket=BUCKET, Key=f"{prefix}/0.tar"),
    ):
        upload(server, path.parent, prefix)
        stream = read_shard(list_shards(there)[1][0], LIMIT)
        next(stream)
        change()
        with pytest.raises(PoolError, match="the object was replaced or removed while it was read"):
            list(stream)


def test_a_shard_that_is_gone_since_the_listing_ends_the_run(tmp_path: Path, server: str, prefix: str) -> None:
    write_img2dataset(tmp_path / "pool", drawn(3))
    write_imagefolder(tmp_path / "images", drawn(3))
    for folder, gone in (("pool", "00000.tar"), ("images", "000000001.png")):
        shard = list_shards(upload(server, tmp_path / folder, f"{prefix}/{folder}"))[1][0]
        expect_files(shard)
        store(server).delete_object(Bucket=BUCKET, Key=f"{prefix}/{folder}/{gone}")
        with pytest.raises(PoolError, match=f"there is no s3://.*{gone} any more; bring the shard back"):
            expect_files(shard)
        with pytest.raises(PoolError, match="cannot be read"):
            shard_digest(shard, Digests(tmp_path / "home").of)


@pytest.mark.parametrize("ending", ["tar", "parquet", "png"])
def test_a_store_that_fails_is_no_damage_of_a_shard(
    ending: str, tmp_path: Path, server: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pool"
    if ending == "tar":
        write_img2dataset(folder, drawn(3))
    elif ending == "parquet":
        write_huggingface(folder / "0.parquet", drawn(3))
    else:
        write_imagefolder(folder, drawn(3))
    shard = list_shards(upload(server, folder, prefix))[1][0]
    stops = [PermissionError("Access Denied"), OSError("Connection reset by peer")]
    for problem, told in zip(stops, (SluiceError, Unavailable), strict=True):

        def fail(*arguments: object, problem: OSError = problem, **settings: object) -> None:
            raise problem

        with monkeypatch.context() as patch:
            patch.setattr(objects.client(), "cat_file", fail)
            patch.setattr("s3fs.core._fetch_range", fail)
            with pytest.raises(told, match=r"s3://.*(the store refused|did not serve the request)"):
                list(read_shard(shard, LIMIT))


def test_wrong_keys_and_a_store_that_does_not_answer_are_told_before_anything_is_read(
    prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: object, **settings: object) -> None:
        raise PermissionError("The AWS Access Key Id you provided does not exist in our records.")

    with monkeypatch.context() as patch:
        patch.setattr(objects.client(), "call_s3", refused)
        with pytest.raises(PoolError, match="the store refused; see that the keys are right"):
            list_shards(f"s3://{BUCKET}/{prefix}")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setitem(objects.SETTINGS, "retries", {"max_attempts": 1})
    with pytest.raises(Unavailable, match=r"the store \(http://127\.0\.0\.1:1\) did not serve the request"):
        list_shards(f"s3://{BUCKET}/{prefix}")


def test_an_object_that_is_empty_or_too_large_is_told_from_one_that_is_gone(
    tmp_path: Path, server: str, prefix: str
) -> None:
    pool = write_imagefolder(tmp_path / "pool", drawn(3))
    (pool / "000000000.png").write_bytes(b"")
    shard = list_shards(upload(server, pool, prefix))[1][0]
    store(server).delete_object(Bucket=BUCKET, Key=f"{prefix}/000000002.png")
    found = [item for item in read_shard(shard, 10) if isinstance(item, Raw)]
    assert [raw.image for raw in found] == [b"", None, None]
    assert [raw.problem for raw in found] == [None, samples.TOO_MANY_BYTES, samples.UNREADABLE_IMAGE]
    broken = [item.why for item in read_shard(shard, 10) if isinstance(item, Broken)]
    assert broken == ["metadata.jsonl line 3 names 000000002.png, which is not there"]
