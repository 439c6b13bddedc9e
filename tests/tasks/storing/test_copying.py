import json
from pathlib import Path

import pytest

from tasks.errors import LakeError, UsageError
from tasks.files import write_json, write_text
from tasks.storing import copying, objects
from tasks.storing.addresses import located
from tests.object_store import on_machine


def elsewhere(monkeypatch: pytest.MonkeyPatch, server: str, cache: Path, address: str) -> Path:
    """The lake's folder on another machine."""
    on_machine(monkeypatch, server, cache)
    copying.forget_listings()
    return located(address)


def test_what_is_written_here_can_be_fetched_elsewhere(
    address: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(located(address) / "pool" / "columns" / "a-k" / "one.parquet", "1")
    there = elsewhere(monkeypatch, server, tmp_path / "other", address) / "pool" / "columns" / "a-k"
    assert copying.there(there / "one.parquet") and not (there / "one.parquet").exists()
    assert not copying.there(there / "two.parquet")
    copying.fetch([there / "one.parquet", there / "two.parquet"])
    assert [path.name for path in there.iterdir()] == ["one.parquet"]
    assert (there / "one.parquet").read_text() == "1"


def test_what_concerns_one_machine_is_not_stored(address: str) -> None:
    home = located(address) / "pool"
    write_text(home / "cache" / "digests.json", "{}")
    write_text(home / "runs" / "1.json", "{}")
    assert list(objects.find(home)) == ["runs/1.json"]


def test_a_file_that_came_in_part_is_refused_and_leaves_nothing(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = located(address) / "pool" / "columns" / "a-k" / "one.parquet"
    objects.write(path, b"whole")
    monkeypatch.setattr(objects, "get", lambda wanted: [file.write_bytes(b"wh") for file in wanted.values()])
    with pytest.raises(LakeError, match="5 bytes were expected, 2 came"):
        copying.fetch([path])
    assert list(path.parent.iterdir()) == []


def test_where_no_copy_can_be_written_it_says_what_to_set(
    address: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(located(address) / "pool" / "pool.json", "{}")
    (tmp_path / "no-folder").write_text("")
    home = elsewhere(monkeypatch, server, tmp_path / "no-folder", address) / "pool"
    with pytest.raises(LakeError, match="set SLUICE_CACHE to a folder that may be written"):
        copying.refresh(home)


def test_an_artifact_that_was_not_finished_is_none(address: str, tmp_path: Path) -> None:
    folder = located(address) / "pool" / "artifacts" / "model-k"
    objects.write(folder / "weights", b"w")
    copying.fetch_folder(folder, whole=True)
    assert not folder.exists()
    (tmp_path / "made" / "deep").mkdir(parents=True)
    (tmp_path / "made" / "weights").write_text("w")
    (tmp_path / "made" / "deep" / "facts").write_text("f")
    copying.put_folder(tmp_path / "made", folder)
    copying.fetch_folder(folder, whole=True)
    assert sorted(path.name for path in folder.rglob("*")) == ["deep", "facts", "weights"]


def test_what_the_store_lost_is_stored_again(address: str) -> None:
    path = located(address) / "pool" / "columns" / "a-k" / "one.parquet"
    write_text(path, "1")
    objects.remove(path)
    copying.forget_listings()
    assert not copying.there(path)
    copying.ensure([path])
    assert copying.there(path) and objects.read(path) == b"1"


def test_an_artifact_that_the_store_lost_in_part_is_stored_again(address: str, tmp_path: Path) -> None:
    folder = located(address) / "pool" / "artifacts" / "model-k"
    (tmp_path / "made").mkdir()
    for name in ("weights", "facts"):
        (tmp_path / "made" / name).write_text(name)
    copying.put_folder(tmp_path / "made", folder)
    copying.fetch_folder(folder)
    for name in (copying.WHOLE, "facts"):
        objects.remove(folder / name)
    copying.forget_listings()
    copying.ensure([folder])
    assert sorted(objects.find(folder)) == [copying.WHOLE, "facts", "weights"]


def test_state_that_changes_follows_the_store(
    address: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = located(address) / "pool"
    write_json(here / "pool.json", {"id": "a"})
    write_json(here / "runs" / "1.json", {"status": "running"})
    write_json(here / "runs" / "2.json", {"status": "done"})
    there = elsewhere(monkeypatch, server, tmp_path / "other", address) / "pool"
    copying.refresh(there)
    assert json.loads((there / "runs" / "1.json").read_text()) == {"status": "running"}
    objects.write(there / "runs" / "1.json", b'{"status": "done"}')
    objects.remove(there / "runs" / "2.json")
    copying.refresh(there)
    assert [(path.name, path.read_text()) for path in (there / "runs").iterdir()] == [("1.json", '{"status": "done"}')]


def test_state_that_did_not_change_is_not_copied_again(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    home = located(address) / "pool"
    objects.write(home / "runs" / "1.json", b"{}")
    copying.refresh(home)
    monkeypatch.setattr(objects, "read", lambda path: pytest.fail(f"{path} was copied again"))
    copying.refresh(home)


def test_the_copy_of_a_pool_that_was_made_anew_is_removed(address: str) -> None:
    home = located(address) / "pool"
    write_json(home / "pool.json", {"id": "a"})
    write_text(home / "columns" / "a-k" / "one.parquet", "1")
    copying.refresh(home)
    objects.write(home / "pool.json", b'{"id": "b"}')
    copying.refresh(home)
    assert not (home / "columns").exists() and json.loads((home / "pool.json").read_text()) == {"id": "b"}


def test_what_needs_a_folder_says_so(address: str, tmp_path: Path) -> None:
    copying.refuse(tmp_path, "labelling")
    with pytest.raises(UsageError, match=r"s3://.*: labelling works on a lake in a folder"):
        copying.refuse(located(address), "labelling")
