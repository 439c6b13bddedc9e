import os
import shutil
from pathlib import Path

import pytest

from tasks import samples
from tasks.errors import PoolError
from tasks.files import Digests
from tasks.reading.pools import failed_rows, list_shards, shard_digest
from tests.small_pool import (
    drawn,
    members_of,
    raws,
    write_huggingface,
    write_imagefolder,
    write_img2dataset,
    write_members,
)


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    return write_img2dataset(tmp_path / "pool", drawn(9), per_shard=3, failed=2)


def names(source: Path | str) -> list[str]:
    return [shard.path for shard in list_shards(str(source))[1]]


def test_a_folder_is_its_tars_and_not_the_tables_beside_them(pool: Path) -> None:
    assert names(pool) == ["00000.tar", "00001.tar", "00002.tar"]
    assert [failed_rows(shard) for shard in list_shards(str(pool))[1]] == [2, 2, 2]


def test_one_shard_is_a_pool(pool: Path) -> None:
    root, shards = list_shards(str(pool / "00001.tar"))
    assert (root, [shard.path for shard in shards]) == (pool, ["00001.tar"])


@pytest.mark.parametrize(
    "pattern", ["{00000..00001}.tar", "0000[01].tar", "{00001,00000,00001}.tar", "0000{0,[1]}.tar"]
)
def test_globs_and_brace_lists_are_shards_in_path_order(pool: Path, pattern: str) -> None:
    root, shards = list_shards(f"{pool}/{pattern}")
    assert (root, [shard.path for shard in shards]) == (pool, ["00000.tar", "00001.tar"])


def test_a_glob_that_meets_tables_too_is_the_tars(pool: Path) -> None:
    assert names(f"{pool}/0000*") == ["00000.tar", "00001.tar", "00002.tar"]
    assert names(f"{pool.parent}/*/0000?.*") == [f"pool/0000{n}.tar" for n in range(3)]


def test_relative_names_are_the_same_pool_whatever_the_folder(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pool.parent)
    for source in ("pool", "./pool", "pool/*.tar", "pool/{00000..00002}.tar", f"../{pool.parent.name}/pool/*.tar"):
        root, shards = list_shards(source)
        assert [Path(shard.files[0]).resolve().name for shard in shards] == ["00000.tar", "00001.tar", "00002.tar"]
        assert all(Path(shard.files[0]).is_absolute() for shard in shards)
        assert root.is_absolute()


def test_shards_in_nested_folders_keep_their_paths(pool: Path, tmp_path: Path) -> None:
    for folder in ("a", "b/c"):
        (tmp_path / "nested" / folder).mkdir(parents=True)
        shutil.copy(pool / "00000.tar", tmp_path / "nested" / folder / "00000.tar")
    assert names(tmp_path / "nested") == ["a/00000.tar", "b/c/00000.tar"]


def test_what_is_hidden_is_no_part_of_a_pool(pool: Path) -> None:
    for path in (pool / ".cache" / "x.tar", pool / ".y.tar"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    assert len(names(pool)) == 3


def test_parquet_shards_are_a_pool_but_clip_retrieval_s_metadata_are_not(tmp_path: Path) -> None:
    write_huggingface(tmp_path / "data" / "train-00000-of-00001.parquet", drawn(2))
    write_huggingface(tmp_path / "metadata" / "metadata_0.parquet", drawn(2))
    assert names(tmp_path) == ["data/train-00000-of-00001.parquet"]


def test_folders_of_images_are_a_pool(tmp_path: Path) -> None:
    write_imagefolder(tmp_path / "cats", drawn(2))
    write_imagefolder(tmp_path / "dogs" / "small", drawn(2))
    assert names(tmp_path) == ["cats/00000", "dogs/small/00000"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("absent", "neither a file nor a folder"),
        ("absent/*.tar", "absent/*.tar, which does not exist"),
        ("pool/{00001..00004}.tar", "00003.tar, which does not exist"),
        ("pool/{00000", "lacks a brace"),
        ("pool/00000_stats.json", "a shard is a .tar or a .parquet, not"),
        ("pool/{00000,00000_stats}.{tar,json}", "00000.json, which does not exist"),
        ("empty", "holds no .tar, no .parquet and no image"),
        ("papers", "holds no .tar, no .parquet and no image"),
    ],
)
def test_what_is_no_pool_is_refused_and_named(pool: Path, source: str, message: str) -> None:
    (pool.parent / "empty").mkdir()
    (pool.parent / "papers").mkdir()
    (pool.parent / "papers" / "a.docx").write_text("no image")
    with pytest.raises(PoolError) as problem:
        list_shards(f"{pool.parent}/{source}")
    assert message in str(problem.value)


def test_a_name_that_is_not_utf8_is_text_in_the_shard_s_path(pool: Path) -> None:
    (pool / "00002.tar").rename(pool / os.fsdecode(b"\xff.tar"))
    assert names(pool)[2] == "\\xff.tar"
    assert len(raws(pool)[0]) == 9


def test_a_shard_s_digest_is_of_its_content_and_a_folder_s_of_names_and_contents(tmp_path: Path) -> None:
    digest = Digests(tmp_path / "home").of

    def of(source: Path) -> str:
        return shard_digest(list_shards(str(source))[1][0], digest)

    one, two = (write_imagefolder(tmp_path / name, drawn(2)) for name in "ab")
    assert of(one) == of(two)
    (two / "000000000.png").rename(two / "renamed.png")
    assert of(one) != of(two)
    first = write_members(tmp_path / "t" / "0.tar", members_of(drawn(2)))
    before = of(first)
    first.rename(tmp_path / "t" / "1.tar")
    assert of(tmp_path / "t") == before


def test_a_shard_that_cannot_be_read_is_named(pool: Path) -> None:
    shard = list_shards(str(pool))[1][0]
    (pool / "00000.tar").unlink()
    with pytest.raises(PoolError, match=r"00000\.tar: cannot be read"):
        shard_digest(shard, Digests(pool.parent).of)


def test_a_key_that_comes_again_later_in_a_shard_is_a_duplicate_key(tmp_path: Path) -> None:
    twice = members_of(drawn(3)) + members_of(drawn(1))
    found, _ = raws(write_members(tmp_path / "0.tar", twice))
    assert [raw.problem for raw in found] == [None, None, None, samples.DUPLICATE_KEY]
    path = write_huggingface(tmp_path / "0.parquet", drawn(3), key=["a", "b", "a"])
    assert [raw.problem for raw in raws(path)[0]] == [None, None, samples.DUPLICATE_KEY]
