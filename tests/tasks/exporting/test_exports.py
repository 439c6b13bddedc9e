import gzip
import io
import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import PoolError, UsageError
from tasks.exporting.contract import contract
from tasks.exporting.exports import export_parquet, export_webdataset
from tasks.lake import Version
from tests.tasks.decided_pool import clock, decided, ingested, member, samples, shape, write_tars

FILTERED = {"verdict": "filtered", "stage": "filter", "reason": "romance"}


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]


@pytest.fixture
def version(tmp_path: Path) -> Version:
    pool = write_tars(tmp_path / "pool", samples(20))
    return decided(ingested(tmp_path / "lake", pool), {2: FILTERED, 13: FILTERED}, {"weight": 1.5})


def test_the_exported_table_is_the_contract_a_row_group_a_part(version: Version, tmp_path: Path) -> None:
    path = export_parquet(version, tmp_path / "out")
    assert pq.read_table(path).equals(contract(version))
    assert pq.ParquetFile(path).num_row_groups == 2


def test_an_empty_version_exports_a_table_without_rows(tmp_path: Path) -> None:
    pool = write_tars(tmp_path / "pool", samples(1))
    empty = ingested(tmp_path / "lake", pool).derive("ingest", parts=())
    assert pq.read_table(export_parquet(empty, tmp_path / "out")).num_rows == 0
    manifest = json.loads(export_webdataset(empty, tmp_path / "tars").read_text())
    assert (manifest["samples"], manifest["files"]) == (0, [])


def test_survivors_pass_through_byte_exact_and_the_rest_stays_out(version: Version, tmp_path: Path) -> None:
    export_webdataset(version, tmp_path / "out")
    removed = {"000000002", "000010001"}
    for shard in ("00000.tar", "00001.tar"):
        source, exported = members(tmp_path / "pool" / shard), members(tmp_path / "out" / shard)
        kept = {name: data for name, data in source.items() if name.split(".")[0] not in removed}
        assert {n: d for n, d in exported.items() if not n.endswith(".sluice.json")} == kept
        assert list(kept) == [name for name in exported if name in kept]


def test_each_exported_sample_tells_its_uid_weight_and_version(version: Version, tmp_path: Path) -> None:
    manifest = json.loads(export_webdataset(version, tmp_path / "out").read_text())
    table = contract(version)
    facts = json.loads(members(tmp_path / "out" / "00001.tar")["000010000.sluice.json"])
    row = table["key"].to_pylist().index("000010000")
    assert facts == {"uid": table["uid"][row].as_py(), "weight": 1.5, "version": manifest["digest"]}
    assert manifest["samples"] == 18
    assert [file["samples"] for file in manifest["files"]] == [11, 7]


def test_tar_headers_keep_their_fields_and_ours_hold_no_time_and_no_owner(version: Version, tmp_path: Path) -> None:
    export_webdataset(version, tmp_path / "out")
    with tarfile.open(tmp_path / "out" / "00000.tar") as tar:
        passed, added = tar.getmember("000000003.png"), tar.getmember("000000003.sluice.json")
    assert (passed.mtime, passed.uname) == (1_700_000_003, "crawler")
    assert (added.mtime, added.uid, added.gid, added.uname, added.gname) == (0, 0, 0, "", "")


def test_exporting_twice_gives_the_same_bytes(version: Version, tmp_path: Path) -> None:
    for name in ("a", "b"):
        export_webdataset(version, tmp_path / name)
        export_parquet(version, tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def write_odd_tar(path: Path) -> None:
    """Extra members, members before their image, folders, a repeated key, an earlier export's sidecar."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        member(tar, "./a/001.cls", b"7")
        member(tar, "./a/001.seg.png", clock(3))
        member(tar, "./a/001.jpg", shape(1), pax_headers={"comment": "grüße"})
        member(tar, "./a/001.txt", b"  spaces stay \n")
        member(tar, "./a/001.npy", bytes(range(256)) * 100)
        member(tar, "002.sluice.json", b'{"weight": 9}')
        member(tar, "002.png", clock(1))
        member(tar, "002.txt", "Uhr, ein Uhr – 時計".encode())
        member(tar, "002.png", clock(2))
        member(tar, "002.txt", b"the same key again")
        member(tar, "b/001.jpg", shape(5))
        member(tar, "b/001.txt", b"another folder, another key")
        member(tar, "b/001.part.png", clock(4))
        member(tar, "b/001.part.txt", b"a dotted key: quarantined")
        member(tar, "002.png", clock(5))
        member(tar, "002.txt", b"the same key once more")


ODD = {"./a/001.cls", "./a/001.seg.png", "./a/001.jpg", "./a/001.txt", "./a/001.npy", "002.png", "002.txt"}
ODD |= {"b/001.jpg", "b/001.txt"}


@pytest.mark.parametrize("name", ["odd.tar", "odd.tar.gz"])
def test_extra_members_of_any_name_pass_through_with_their_sample(name: str, tmp_path: Path) -> None:
    write_odd_tar(tmp_path / "odd.tar")
    (tmp_path / "pool").mkdir()
    data = (tmp_path / "odd.tar").read_bytes()
    (tmp_path / "pool" / name).write_bytes(data if name == "odd.tar" else gzip.compress(data))
    export_webdataset(ingested(tmp_path / "lake", tmp_path / "pool"), tmp_path / "out")
    exported = members(tmp_path / "out" / "odd.tar")
    assert set(exported) == ODD | {"./a/001.sluice.json", "002.sluice.json", "b/001.sluice.json"}
    assert exported["002.png"] == clock(1)
    assert exported["./a/001.txt"] == b"  spaces stay \n"
    assert json.loads(exported["002.sluice.json"])["weight"] is None


def test_webdataset_reads_the_export_as_whole_samples(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    write_odd_tar(tmp_path / "pool" / "odd.tar")
    export_webdataset(ingested(tmp_path / "lake", tmp_path / "pool"), tmp_path / "out")
    with (tmp_path / "out" / "odd.tar").open("rb") as stream:
        files = webdataset.tariterators.tar_file_expander([{"url": "odd.tar", "stream": stream}])
        found = list(webdataset.tariterators.group_by_keys(files))
    assert [sorted(name for name in sample if not name.startswith("__")) for sample in found] == [
        ["cls", "jpg", "npy", "seg.png", "sluice.json", "txt"],
        ["png", "sluice.json", "txt"],
        ["jpg", "sluice.json", "txt"],
    ]


@given(cut=st.integers(min_value=1, max_value=12_000))
@settings(max_examples=12, deadline=None)
def test_of_a_truncated_tar_all_survivors_before_the_break_are_exported(
    cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    pool = write_tars(folder / "pool", samples(6))
    whole = members(pool / "00000.tar")
    data = (pool / "00000.tar").read_bytes()
    (pool / "00000.tar").write_bytes(data[: max(len(data) - cut, 0)])
    draft = ingested(folder / "lake", pool)
    manifest = json.loads(export_webdataset(draft, folder / "out").read_text())
    assert manifest["samples"] == contract(draft)["verdict"].to_pylist().count("kept")
    for file in manifest["files"]:
        for name, content in members(folder / "out" / file["file"]).items():
            assert name.endswith(".sluice.json") or whole[name] == content


def test_parquet_and_folder_pools_become_tars_with_the_same_bytes(tmp_path: Path) -> None:
    items = samples(5)
    (tmp_path / "folder").mkdir()
    for i, (ending, image, caption) in enumerate(items):
        (tmp_path / "folder" / f"{i:03d}.{ending}").write_bytes(image)
        (tmp_path / "folder" / f"{i:03d}.txt").write_text(caption, "utf-8")
    (tmp_path / "parquet").mkdir()
    rows = {"image": [{"bytes": image, "path": None} for _, image, _ in items], "text": [text for *_, text in items]}
    pq.write_table(pa.table(rows), tmp_path / "parquet" / "train-0.parquet")
    for layout, tar in (("folder", "00000.tar"), ("parquet", "train-0.tar")):
        draft = ingested(tmp_path / "lake", tmp_path / layout, layout)
        export_webdataset(decided(draft, {1: FILTERED}), tmp_path / layout / "out")
        exported = members(tmp_path / layout / "out" / tar)
        keys = draft.table("samples", ["key"])["key"].to_pylist()
        for i, (ending, image, caption) in enumerate(items):
            assert exported.get(f"{keys[i]}.{ending}") == (None if i == 1 else image)
            assert exported.get(f"{keys[i]}.txt") == (None if i == 1 else caption.encode())


def test_a_shard_that_changed_since_is_refused_by_name(version: Version, tmp_path: Path) -> None:
    write_tars(tmp_path / "pool", samples(19))
    with pytest.raises(PoolError, match=r"00001\.tar.*changed"):
        export_webdataset(version, tmp_path / "out")
    assert not (tmp_path / "out" / "00001.tar").exists()
    (tmp_path / "pool" / "00001.tar").unlink()
    with pytest.raises(PoolError, match=r"00001\.tar.*no longer"):
        export_webdataset(version, tmp_path / "out")


def test_the_pool_may_lie_elsewhere_now(version: Version, tmp_path: Path) -> None:
    (tmp_path / "pool").rename(tmp_path / "moved")
    manifest = json.loads(export_webdataset(version, tmp_path / "out", str(tmp_path / "moved")).read_text())
    assert manifest["samples"] == 18


def test_a_folder_with_tars_of_something_else_is_refused(version: Version, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "00007.tar").write_bytes(b"")
    with pytest.raises(UsageError, match=r"00007\.tar"):
        export_webdataset(version, tmp_path / "out")


def test_shards_of_the_same_name_in_another_format_get_tars_of_their_own(tmp_path: Path) -> None:
    pool = write_tars(tmp_path / "pool", samples(3))
    other = io.BytesIO()
    with tarfile.open(fileobj=other, mode="w:gz") as tar:
        member(tar, "9.jpg", shape(8))
        member(tar, "9.txt", b"another")
    (pool / "00000.tgz").write_bytes(other.getvalue())
    export_webdataset(ingested(tmp_path / "lake", pool), tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").glob("*.tar")} == {"00000.tar.tar", "00000.tgz.tar"}
