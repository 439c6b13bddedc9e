"""What a blocklist finds on a small pool, what it does not do twice, and what it refuses."""

from __future__ import annotations

import hashlib
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks import committing, ingest
from tasks.classifying import blocklist
from tasks.classifying.blocklist import Blocklist, Hashes, blocked_rows, facts, match, read_hashes, settings
from tasks.errors import ConfigError, PoolError, SluiceError
from tasks.files import read_table
from tasks.lake import Version
from tests.small_pool import (
    digested,
    drawn,
    empty_version,
    encoded,
    members_of,
    picture,
    write_huggingface,
    write_imagefolder,
    write_img2dataset,
    write_members,
)

HOOK = "hash_of_a_test:known"


class Counting:
    """map_parts that remembers how many parts it worked on."""

    parts = 0

    def __call__(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        self.parts += len(items)
        return [function(item) for item in items]


def here(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    return [function(item) for item in items]


def ingested(root: Path, pool: Path, **limits: Any) -> Version:
    version = empty_version(root, pool)
    return ingest.run(version, ingest.Config(**limits), here, digested(pool, version.lake), None, 1)


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """Two shards of ten samples, and one of three: an image, one whose caption is empty, and bytes that are none."""
    folder = write_img2dataset(tmp_path / "pool", drawn(20))
    odd = [("y.png", encoded(picture(41))), ("y.txt", b" "), ("z.png", b"none"), ("z.txt", b"c")]
    write_members(folder / "00002.tar", members_of(drawn(1, first=40)) + odd)
    return folder


@pytest.fixture
def version(tmp_path: Path, pool: Path) -> Version:
    return ingested(tmp_path / "lake", pool)


@pytest.fixture
def hook() -> Iterator[Callable[[Any], None]]:
    """Sets the function that HOOK names."""
    module = types.ModuleType(HOOK.split(":")[0])
    sys.modules[module.__name__] = module

    def use(function: Any) -> None:
        module.known = function  # type: ignore[attr-defined]

    yield use
    del sys.modules[module.__name__]


def red(images: list[Image.Image]) -> list[bool]:
    """Recognises the pool's red pictures: every fourth."""
    return [any(colour == (220, 30, 30) for _, colour in image.getcolors() or ()) for image in images]


def hashes_of(*numbers: int) -> Hashes:
    values = frozenset(hashlib.sha256(encoded(picture(number))).hexdigest() for number in numbers)
    return Hashes(values, "digest of " + ",".join(map(str, numbers)))


def matched(version: Version, given: Blocklist, hashes: Hashes | None, map_parts: Any = here) -> Version:
    return version.derive("filter", columns=match(version, given, hashes, map_parts))


def rows(version: Version) -> list[int]:
    return np.flatnonzero(blocked_rows(version)).tolist()


def commit(version: Version, complete: bool) -> Version:
    content = {"stage": version.stage, "parts": [vars(part) for part in version.parts]}
    content |= {"columns": dict(version.columns), "artifacts": {}, "config": {}}
    return committing.commit(version, content, {"complete": complete})


PERCEPTUAL = Blocklist(perceptual=HOOK, perceptual_version="1")


# --- sha256


def test_an_image_of_the_list_is_found_whatever_ingest_made_of_it_and_another_is_not(version: Version) -> None:
    found = matched(version, Blocklist(), hashes_of(3, 12, 41, 999))
    assert rows(found) == [3, 12, 21]  # the last one lies in quarantine, for its caption
    assert facts(found) == {"matches": 3, "perceptual_matches": 0}


def test_without_a_blocklist_there_is_no_column_and_nothing_is_blocked(version: Version) -> None:
    assert match(version, Blocklist(), None, here) == {}
    assert rows(version) == [] and len(blocked_rows(version)) == 23 and facts(version)["matches"] == 0


def test_the_columns_hold_one_flag_a_sample_and_nothing_of_the_entry(version: Version) -> None:
    found = matched(version, Blocklist(), hashes_of(3))
    for part in found.parts:
        table = read_table(found.column_path("blocked", part))
        assert table.column_names == ["blocked"] and table.num_rows == part.rows


def test_another_list_is_compared_anew(version: Version) -> None:
    first, second = (matched(version, Blocklist(), hashes_of(number)) for number in (3, 4))
    assert (rows(first), rows(second)) == ([3], [4])


def test_a_list_is_read_with_its_comments_and_in_any_order(tmp_path: Path) -> None:
    one, two = "a1" * 32, "b2" * 32
    (tmp_path / "a.txt").write_text(f"# from our hotline\n{one}\n\n  {two.upper()}  # March\r\n{one}\n")
    (tmp_path / "b.txt").write_text(f"{two}\n{one}")
    found = read_hashes(tmp_path / "a.txt")
    assert found.values == {one, two} and found == read_hashes(tmp_path / "b.txt")
    assert str(tmp_path) not in str(settings(Blocklist(sha256=str(tmp_path / "a.txt")), found))


@pytest.mark.parametrize("line", ["a" * 63, "a" * 65, "g" * 64, "a" * 64 + "  image.jpg", "ä" * 64, "md5"])
def test_a_line_that_is_no_sha256_is_refused_by_its_number_and_not_repeated(tmp_path: Path, line: str) -> None:
    (tmp_path / "list.txt").write_text(f"# list\n{'b' * 64}\n{line}\n", "utf-8")
    with pytest.raises(ConfigError, match=r"list\.txt, row 3: the 64 hex digits") as raised:
        read_hashes(tmp_path / "list.txt")
    assert line not in str(raised.value)


def test_a_list_that_is_empty_or_absent_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# nothing yet\n")
    with pytest.raises(ConfigError, match="at least one sha256 was expected"):
        read_hashes(tmp_path / "list.txt")
    with pytest.raises(ConfigError, match=r"absent\.txt: a file of sha256 was expected: No such file"):
        read_hashes(tmp_path / "absent.txt")


# --- the hook


@pytest.mark.parametrize("layout", ["tar", "parquet", "folder"])
def test_the_hook_sees_every_image_and_its_word_stands_in_the_row_of_the_image(
    tmp_path: Path, hook: Callable[[Any], None], layout: str
) -> None:
    source = tmp_path / "pool"
    if layout == "tar":
        write_img2dataset(source, drawn(20))
    elif layout == "parquet":
        write_huggingface(source / "a.parquet", drawn(20))
    else:
        write_imagefolder(source, drawn(20))
    hook(red)
    found = matched(ingested(tmp_path / "lake", source), PERCEPTUAL, hashes_of(3))
    assert rows(found) == sorted([3, *range(0, 20, 4)])
    assert facts(found) == {"matches": 6, "perceptual_matches": 5}


def test_images_in_quarantine_are_shown_to_the_hook_where_they_can_be_decoded(
    version: Version, hook: Callable[[Any], None]
) -> None:
    hook(lambda images: [True] * len(images))
    assert rows(matched(version, PERCEPTUAL, None)) == list(range(22))  # the last sample's bytes are no image


def test_images_come_a_few_at_a_time(
    version: Version, hook: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def known(images: list[Image.Image]) -> np.ndarray:
        sizes.append(len(images))
        return np.array(red(images))

    hook(known)
    monkeypatch.setattr(blocklist.perceptual, "IMAGES", 4)
    whole = rows(matched(version, PERCEPTUAL, None))
    assert sizes == [4, 4, 2, 4, 4, 2, 2] and whole == [*range(0, 20, 4), 20]
    sizes.clear()
    monkeypatch.setattr(blocklist.perceptual, "PIXELS", 32 * 32)
    again = Blocklist(perceptual=HOOK, perceptual_version="2")
    assert rows(matched(version, again, None)) == whole and set(sizes) == {1}


def test_only_new_parts_and_another_version_of_the_hook_are_hashed(
    tmp_path: Path, pool: Path, version: Version, hook: Callable[[Any], None]
) -> None:
    hook(red)
    counting = Counting()
    matched(version, PERCEPTUAL, None, counting)
    assert counting.parts == 3
    matched(version, PERCEPTUAL, hashes_of(3), counting)  # another list is no reason to hash again
    assert counting.parts == 3
    write_members(pool / "00003.tar", members_of(drawn(4, first=60)))
    grown = ingested(tmp_path / "lake", pool)
    matched(grown, PERCEPTUAL, None, counting)
    assert counting.parts == 4
    matched(grown, Blocklist(perceptual=HOOK, perceptual_version="2"), None, counting)
    assert counting.parts == 8


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda images: [True], r"10 bools were expected, one an image, an array of bool and shape \(1,\)"),
        (lambda images: [0] * len(images), "an array of int64"),
        (lambda images: None, "an array of object"),
        (lambda images: [[True], [True, False]], "failed"),
        (lambda images: 1 // 0, r"failed \(ZeroDivisionError: "),
    ],
)
def test_a_hook_that_fails_is_named_with_its_shard_and_leaves_no_column(
    version: Version, hook: Callable[[Any], None], function: Any, message: str
) -> None:
    hook(function)
    with pytest.raises(SluiceError, match=rf"^0000\d\.tar: filter\.blocklist\.perceptual: {HOOK}.*{message}.*again"):
        match(version, PERCEPTUAL, hashes_of(3), here)
    assert not list(version.lake.home.glob("columns/blocked-*")) + list(version.lake.home.glob("columns/perceptual-*"))


def test_what_a_hook_raises_is_not_sent_along_for_it_may_not_survive_the_way(
    version: Version, hook: Callable[[Any], None]
) -> None:
    hook(lambda images: 1 // 0)
    with pytest.raises(SluiceError) as raised:
        match(version, PERCEPTUAL, None, here)
    assert raised.value.__cause__ is None and raised.value.__context__ is None


@pytest.mark.parametrize("name", ["no_such_module_here:known", "math:no_such_function", "math:pi"])
def test_a_hook_that_cannot_be_had_is_refused_before_any_part_is_read(version: Version, name: str) -> None:
    counting = Counting()
    with pytest.raises(ConfigError, match=name):
        match(version, Blocklist(perceptual=name, perceptual_version="1"), None, counting)
    assert counting.parts == 0


def test_a_module_that_fails_while_it_is_imported_is_named(
    version: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_hash_module.py").write_text("raise ValueError('its list is not there')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match=r"\(ValueError: its list is not there\)"):
        match(version, Blocklist(perceptual="broken_hash_module:known", perceptual_version="1"), None, here)


def test_a_shard_that_is_gone_or_has_changed_is_named(
    pool: Path, version: Version, hook: Callable[[Any], None]
) -> None:
    hook(red)
    (pool / "00001.tar").rename(pool / "aside")
    with pytest.raises(PoolError, match=r"00001\.tar: the shard is no longer in the pool"):
        match(version, PERCEPTUAL, None, here)
    write_members(pool / "00001.tar", members_of(drawn(10, first=30)))
    with pytest.raises(PoolError, match=r"00001\.tar: the shard has changed"):
        match(version, PERCEPTUAL, None, here)


def test_a_shard_that_changes_while_it_is_read_is_named(
    pool: Path, version: Version, hook: Callable[[Any], None]
) -> None:
    hook(red)

    def late(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        write_members(pool / "00000.tar", members_of(drawn(9)))
        return here(function, items)

    with pytest.raises(PoolError, match=r"00000\.tar: the shard changed while it was worked on"):
        match(version, PERCEPTUAL, None, late)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sha256": ""}, "path of a file of sha256"),
        ({"perceptual": "module.function", "perceptual_version": "1"}, "'module:function' was expected"),
        ({"perceptual": "os; import x:y", "perceptual_version": "1"}, "'module:function' was expected"),
        ({"perceptual": HOOK}, "perceptual_version"),
        ({"perceptual": HOOK, "perceptual_version": ""}, "perceptual_version"),
        ({"perceptual_version": "1"}, "perceptual_version"),
    ],
)
def test_a_wrong_configuration_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Blocklist(**fields)


# --- what is never shown


def test_what_the_newest_run_knows_holds_for_older_versions(tmp_path: Path, pool: Path, version: Version) -> None:
    old = commit(version, complete=True)
    assert rows(old) == []
    write_members(pool / "00001.tar", members_of(drawn(5, first=10)))  # another part in place of the old one
    grown = matched(ingested(tmp_path / "lake", pool), Blocklist(), hashes_of(3, 12))
    commit(grown, complete=False)
    assert rows(old) == [3]  # its row 12 is in a part that the newer version does not have
    commit(grown, complete=True)
    assert rows(old) == [3] and rows(version) == [3]


def test_an_entry_that_was_withdrawn_is_shown_in_the_newer_versions_only(version: Version) -> None:
    before = commit(matched(version, Blocklist(), hashes_of(3, 12)), complete=True)
    after = commit(matched(version, Blocklist(), hashes_of(12)), complete=True)
    assert rows(before) == [3, 12] and rows(after) == [12]
