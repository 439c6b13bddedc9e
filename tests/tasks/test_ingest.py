import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tasks import samples
from tasks.errors import ConfigError, PoolError
from tasks.ingest import Config, decide, examine, ingest_part, run, samples_key
from tasks.lake import Lake, Version
from tasks.reading.images import FORMATS
from tasks.reading.pools import Raw, list_shards
from tests.small_pool import (
    digested,
    drawn,
    empty_version,
    encoded,
    members_of,
    picture,
    serial,
    write_huggingface,
    write_imagefolder,
    write_img2dataset,
    write_members,
)

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")

IMAGE = encoded(picture(3))


def row(**raw: Any) -> dict[str, Any]:
    return examine(Raw(**{"key": "0", "image": IMAGE, "caption": b"a caption", **raw}), Config())[0]


def ingested(root: Path, source: Path | str, config: Config | None = None) -> Version:
    version = empty_version(root, source)
    return run(version, config or Config(), serial, digested(source, version.lake), None, 1)


def facts(version: Version) -> list[dict[str, Any]]:
    return version.table("samples").to_pylist()


# --- one sample


def test_a_usable_sample_has_its_facts_and_its_image() -> None:
    found, image = examine(Raw("0", "0.png", 512, IMAGE, b"a caption", url="https://pool.example/0"), Config())
    assert image is not None and image.size == (32, 32)
    assert found == {
        "uid": hashlib.md5(b"https://pool.example/0").hexdigest(), "key": "0", "member": "0.png", "offset": 512,
        "caption": "a caption", "width": 32, "height": 32, "sha256": hashlib.sha256(IMAGE).hexdigest(),
        "status": "ok", "reason": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({"image": b""}, samples.ZERO_BYTES),
        ({"image": None}, samples.MISSING_IMAGE),
        ({"image": b"no image"}, samples.UNREADABLE_IMAGE),
        ({"image": IMAGE[:60]}, samples.TRUNCATED_IMAGE),
        ({"image": b"<svg/>"}, samples.FORBIDDEN_FORMAT),
        ({"image": None, "problem": samples.TOO_MANY_BYTES}, samples.TOO_MANY_BYTES),
        ({"caption": None}, samples.MISSING_CAPTION),
        ({"caption": b""}, samples.EMPTY_CAPTION),
        ({"caption": " \t\r\n\u3000"}, samples.EMPTY_CAPTION),
        ({"caption": "café".encode("latin-1")}, samples.CAPTION_NOT_UTF8),
        ({"caption": "half a pair \ud83d"}, samples.CAPTION_NOT_UTF8),
        ({"problem": samples.DUPLICATE_KEY}, samples.DUPLICATE_KEY),
        ({"problem": samples.DOTTED_KEY}, samples.DOTTED_KEY),
        ({"problem": samples.TRUNCATED_TAR}, samples.TRUNCATED_TAR),
    ],
)
def test_a_sample_that_cannot_be_used_says_why(raw: dict[str, Any], reason: str) -> None:
    found = row(**raw)
    assert (found["status"], found["reason"]) == ("quarantined", reason)


def test_too_many_pixels_are_counted_before_they_are_decoded() -> None:
    found, image = examine(Raw("0", image=IMAGE, caption=b"c"), Config(max_pixels=32 * 32 - 1))
    assert (found["reason"], found["width"], image) == (samples.TOO_MANY_PIXELS, None, None)


@pytest.mark.parametrize(
    "caption",
    ["two\r\nlines\n", "trailing \n", "\ufeffmark", "nul \0 inside", "x" * 100_000, "'; drop table samples; --",
     "<script>alert(1)</script>", "=cmd|' /C calc'!A0", "👩🏽‍🚀 ｆｕｌｌ", "{{ 7 * 7 }} %s %n"],
)  # fmt: skip
def test_a_caption_is_kept_to_the_byte(tmp_path: Path, caption: str) -> None:
    path = write_members(tmp_path / "pool" / "0.tar", [("0.png", IMAGE), ("0.txt", caption.encode())])
    found = facts(ingested(tmp_path / "lake", path))
    assert [(sample["caption"], sample["status"]) for sample in found] == [(caption, "ok")]


@pytest.mark.parametrize("key", ["'; drop table samples; --", "<b>", "a b\nc", "%s{0}", "-rf", "CON", "\\x"])
def test_a_hostile_key_stays_text(tmp_path: Path, key: str) -> None:
    path = write_members(tmp_path / "pool" / "0.tar", [(f"{key}.png", IMAGE), (f"{key}.txt", b"caption")])
    found = facts(ingested(tmp_path / "lake", path))
    assert [(sample["key"], sample["status"]) for sample in found] == [(key, "ok")]


def test_a_configuration_out_of_range_is_refused() -> None:
    for values in ({"formats": ("JPEG", "SVG")}, {"max_pixels": 0}, {"max_pixels": 10**9}, {"max_bytes": 0}):
        with pytest.raises(ConfigError, match=f"ingest.{next(iter(values))}"):
            Config(**values)  # type: ignore[arg-type]


# --- a pool


def test_every_reason_is_counted_and_costs_no_other_sample(tmp_path: Path) -> None:
    good = drawn(6)
    bad: dict[str, list[tuple[str, bytes]]] = {
        samples.ZERO_BYTES: [("a.png", b""), ("a.txt", b"c")],
        samples.UNREADABLE_IMAGE: [("b.png", b"no image"), ("b.txt", b"c")],
        samples.TRUNCATED_IMAGE: [("c.png", IMAGE[:80]), ("c.txt", b"c")],
        samples.FORBIDDEN_FORMAT: [("d.svg", b"<svg/>"), ("d.txt", b"c")],
        samples.TOO_MANY_PIXELS: [("e.png", encoded(Image.new("1", (200, 200)))), ("e.txt", b"c")],
        samples.TOO_MANY_BYTES: [("f.png", bytes(200_000)), ("f.txt", b"c")],
        samples.MISSING_IMAGE: [("g.txt", b"c")],
        samples.MISSING_CAPTION: [("h.png", IMAGE)],
        samples.EMPTY_CAPTION: [("i.png", IMAGE), ("i.txt", b" \n")],
        samples.CAPTION_NOT_UTF8: [("j.png", IMAGE), ("j.txt", b"caf\xe9")],
        samples.DUPLICATE_KEY: [("000000000.png", IMAGE), ("000000000.txt", b"c")],
        samples.DOTTED_KEY: [("k.v2.png", IMAGE), ("k.v2.txt", b"c")],
    }
    groups = [members_of([sample]) for sample in good]
    for place, extra in enumerate(bad.values()):
        groups[place % 5] += extra  # between two good samples
    path = write_members(tmp_path / "pool" / "0.tar", [member for group in groups for member in group])
    path.write_bytes(path.read_bytes()[: path.read_bytes().index(b"000000005.png") + 600])  # the last one is cut
    version = ingested(tmp_path / "lake", path, Config(max_pixels=32 * 32, max_bytes=100_000))
    reasons = Counter(sample["reason"] for sample in facts(version))
    assert reasons == {None: 5, samples.TRUNCATED_TAR: 1, **dict.fromkeys(bad, 1)}
    kept = [(s["key"], s["caption"]) for s in facts(version) if s["status"] == "ok"]
    assert kept == [(key, text) for key, _, text in good[:5]]
    summary = version.summary["ingest"]
    assert summary["quarantined"] == dict.fromkeys(sorted([*bad, samples.TRUNCATED_TAR]), 1)
    assert (summary["read"], list(summary["broken_shards"])) == (18, ["0.tar"])
    assert version.parts[0].broken is not None and version.parts[0].broken.startswith("truncated tar")


def test_each_layout_gives_the_same_captions_in_order(tmp_path: Path) -> None:
    pool = drawn(12)
    sources = [
        write_img2dataset(tmp_path / "tars", pool, per_shard=5),
        write_huggingface(tmp_path / "table" / "0.parquet", pool),
        write_imagefolder(tmp_path / "listed", pool),
        write_imagefolder(tmp_path / "beside", pool, "txt"),
    ]
    for number, source in enumerate(sources):
        found = facts(ingested(tmp_path / f"lake{number}", source))
        assert [(s["caption"], s["status"], s["width"]) for s in found] == [(text, "ok", 32) for _, _, text in pool]


def test_failed_downloads_are_counted_apart_from_samples(tmp_path: Path) -> None:
    version = ingested(tmp_path / "lake", write_img2dataset(tmp_path / "pool", drawn(6), per_shard=3, failed=4))
    assert (version.summary["ingest"]["failed_rows"], version.summary["ingest"]["read"]) == (8, 6)
    assert [part.failed_rows for part in version.parts] == [4, 4]


def test_exact_copies_are_counted_and_kept(tmp_path: Path) -> None:
    copies = [(f"{n}", IMAGE, "c") for n in range(3)] + drawn(2)
    version = ingested(tmp_path / "lake", write_img2dataset(tmp_path / "pool", copies))
    assert version.summary["ingest"]["exact_copies"] == 2
    assert {sample["status"] for sample in facts(version)} == {"ok"}


def test_a_uid_that_came_before_is_quarantined_in_the_later_shard(tmp_path: Path) -> None:
    uid = json.dumps({"uid": "AB" * 16}).encode()
    for name in "01":
        members = [(f"{name}.png", IMAGE), (f"{name}.txt", b"c"), (f"{name}.json", uid)]
        write_members(tmp_path / "pool" / f"{name}.tar", members)
    version = ingested(tmp_path / "lake", tmp_path / "pool")
    assert [sample["uid"] for sample in facts(version)] == ["ab" * 16] * 2
    assert version.table("decision")["reason"].to_pylist() == [None, samples.DUPLICATE_UID]


def test_a_uid_of_a_sample_that_cannot_be_used_bars_no_other(tmp_path: Path) -> None:
    path = write_huggingface(tmp_path / "0.parquet", [("0", b"bad", "c"), ("1", IMAGE, "c")], uid=["a" * 32] * 2)
    version = ingested(tmp_path / "lake", path)
    assert version.table("decision")["reason"].to_pylist() == [samples.UNREADABLE_IMAGE, None]


def test_two_shards_of_one_content_are_two_parts_each_with_its_own_verdicts(tmp_path: Path) -> None:
    pool = write_img2dataset(tmp_path / "pool", drawn(3))
    (pool / "copy.tar").write_bytes((pool / "00000.tar").read_bytes())
    version = ingested(tmp_path / "lake", pool)
    assert [(part.path, part.rows) for part in version.parts] == [("00000.tar", 3), ("copy.tar", 3)]
    assert len({part.part for part in version.parts}) == 2
    assert version.summary["ingest"]["quarantined"] == {samples.DUPLICATE_UID: 3}


def test_a_broken_shard_is_no_obstacle_and_is_told(tmp_path: Path) -> None:
    pool = write_img2dataset(tmp_path / "pool", drawn(3))
    (pool / "bad.tar").write_bytes(b"no archive")
    (pool / "empty.tar").write_bytes(b"")
    version = ingested(tmp_path / "lake", pool)
    assert [part.rows for part in version.parts] == [3, 0, 0]
    assert list(version.summary["ingest"]["broken_shards"]) == ["bad.tar", "empty.tar"]


def test_only_shards_that_are_new_are_read(tmp_path: Path) -> None:
    pool = write_img2dataset(tmp_path / "pool", drawn(6), per_shard=3)
    ingested(tmp_path / "lake", pool)
    write_members(pool / "new.tar", members_of(drawn(2, first=50)))
    asked: list[str] = []

    def counted(function: Any, items: Any) -> list[Any]:
        asked.extend(shard.path for shard, _, _ in items)
        return serial(function, items)

    version = empty_version(tmp_path / "lake", pool)
    grown = run(version, Config(), counted, digested(pool, version.lake), None, 1)
    assert asked == ["new.tar"]
    assert grown.rows == 8


def test_the_number_of_decoding_threads_changes_nothing(tmp_path: Path) -> None:
    shard = list_shards(str(write_img2dataset(tmp_path / "pool", drawn(9))))[1][0]
    for threads in (1, 4):
        ingest_part((shard, "part", str(tmp_path / f"{threads}.parquet")), Config(), None, threads)
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "4.parquet").read_bytes()
    assert pq.read_schema(tmp_path / "1.parquet").remove_metadata().equals(samples.SAMPLES)


def test_other_limits_are_another_key() -> None:
    lake = Lake(Path("lake"), "pool")
    keys = {samples_key(lake, config) for config in (Config(), Config(max_pixels=5), Config(formats=FORMATS[:2]))}
    assert len(keys) == 3


def test_no_samples_are_no_decisions() -> None:
    assert decide(samples.SAMPLES.empty_table()).num_rows == 0


# --- random mixtures

KINDS: dict[str, list[tuple[str, bytes]]] = {
    "ok": [("png", IMAGE), ("txt", b"caption")],
    "also ok": [("txt", b"caption"), ("json", b"{"), ("jpg", encoded(picture(5), "JPEG"))],
    samples.ZERO_BYTES: [("png", b""), ("txt", b"c")],
    samples.UNREADABLE_IMAGE: [("png", b"none"), ("txt", b"c")],
    samples.TRUNCATED_IMAGE: [("png", IMAGE[:70]), ("txt", b"c")],
    samples.FORBIDDEN_FORMAT: [("jpg", b"%PDF-1.4"), ("txt", b"c")],
    samples.MISSING_CAPTION: [("png", IMAGE)],
    samples.EMPTY_CAPTION: [("png", IMAGE), ("txt", b"")],
    samples.CAPTION_NOT_UTF8: [("png", IMAGE), ("txt", b"\xff")],
    samples.MISSING_IMAGE: [("txt", b"c")],
}


@given(st.lists(st.sampled_from(sorted(KINDS)), max_size=25), st.integers(1, 3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
def test_each_sample_of_any_mixture_has_its_row_and_its_status(tmp_path: Path, kinds: list[str], threads: int) -> None:
    members = [(f"{n:03d}.{ending}", data) for n, kind in enumerate(kinds) for ending, data in KINDS[kind]]
    path = write_members(tmp_path / "pool" / "0.tar", members)
    ingest_part((list_shards(str(path))[1][0], "part", str(tmp_path / "0.parquet")), Config(), None, threads)
    found = pq.read_table(tmp_path / "0.parquet").to_pylist()
    assert [sample["key"] for sample in found] == [f"{n:03d}" for n in range(len(kinds))]
    assert [sample["reason"] for sample in found] == [None if "ok" in kind else kind for kind in kinds]
    assert all((sample["status"] == "ok") == (sample["reason"] is None) for sample in found)


@given(st.integers(0, len(IMAGE) - 1), st.integers(1, 255))
@settings(deadline=None)
def test_one_damaged_byte_in_an_image_is_at_worst_a_quarantined_sample(place: int, change: int) -> None:
    damaged = bytearray(IMAGE)
    damaged[place] ^= change
    assert row(image=bytes(damaged))["status"] in ("ok", "quarantined")


def test_a_shard_that_a_worker_does_not_see_is_told_and_not_taken_for_a_broken_one(tmp_path: Path) -> None:
    pool = write_img2dataset(tmp_path / "pool", drawn(4))
    version = empty_version(tmp_path / "lake", pool)
    shards = digested(pool, version.lake)
    (pool / "00000.tar").unlink()
    with pytest.raises(PoolError, match=r"there is no .*00000\.tar on .*; workers read the pool by the paths"):
        run(version, Config(), serial, shards, None, 1)
    assert not list(version.lake.home.glob("columns/*/*"))
