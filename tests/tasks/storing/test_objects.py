from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.errors import LakeError, Unavailable, UsageError
from tasks.storing import objects
from tasks.storing.addresses import located


def test_objects_are_listed_below_a_folder_with_their_bytes(address: str, tmp_path: Path) -> None:
    home = located(address)
    objects.write(home / "a" / "b" / "one.json", b"1")
    objects.write(home / "a" / "two.json", b"22")
    objects.write(home.parent / f"{home.name}x" / "other.json", b"333")
    assert {name: one.bytes for name, one in objects.find(home).items()} == {"a/b/one.json": 1, "a/two.json": 2}
    files, folders = objects.entries(home / "a")
    assert (list(files), folders) == (["two.json"], ["b"])
    assert objects.find(home / "none") == {} and objects.entries(home / "none") == ({}, [])
    objects.get({home / "a" / "two.json": tmp_path / "two"})
    assert (tmp_path / "two").read_bytes() == objects.read(home / "a" / "two.json") == b"22"
    objects.remove(home / "a" / "two.json")
    objects.remove(home / "a" / "two.json")
    with pytest.raises(FileNotFoundError):
        objects.read(home / "a" / "two.json")


def test_a_listing_of_more_than_a_page_is_read_to_its_end(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = located(address)
    for number in range(5):
        objects.write(folder / f"{number}.json", b"")
    call = objects.client().call_s3
    monkeypatch.setattr(
        objects.client(), "call_s3", lambda *a, **k: call(*a, **k, **({"MaxKeys": 2} if k.get("Prefix") else {}))
    )
    assert list(objects.find(folder)) == [f"{number}.json" for number in range(5)]


def test_of_many_who_create_one_name_one_succeeds(address: str) -> None:
    path = located(address) / "one.json"
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda n: objects.create(path, f"{n}".encode()), range(8)))
    assert made.count(True) == 1
    assert objects.read(path) == f"{made.index(True)}".encode()


def test_an_object_whose_first_answer_was_lost_is_known_as_ours(address: str) -> None:
    path = located(address) / "one.json"
    assert objects.create(path, b"ours") and objects.create(path, b"ours")
    assert not objects.create(path, b"theirs")


def test_names_that_lead_out_of_the_copy_are_not_listed(address: str) -> None:
    home = located(address)
    bucket, _, key = objects.name_of(home).partition("/")
    for name in ("../out.json", "a//b.json", "good.json"):
        objects.client().call_s3("put_object", Bucket=bucket, Key=f"{key}/{name}", Body=b"x")
    assert list(objects.find(home)) == ["good.json"]


def test_a_bucket_that_is_not_there_is_named(address: str) -> None:
    with pytest.raises(LakeError, match="there is no bucket absent; make it, or correct the address"):
        objects.entries(located("s3://absent/lake"))


def test_a_store_that_does_not_answer_is_told_with_its_address(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setitem(objects.SETTINGS, "retries", {"max_attempts": 1})
    with pytest.raises(Unavailable, match=r"the store \(http://127\.0\.0\.1:1\) did not serve the request"):
        objects.entries(located(address))


def test_a_store_that_refuses_is_told_with_what_is_needed(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object, **settings: object) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(objects.client(), "call_s3", refused)
    for ask in (objects.entries, lambda path: objects.create(path, b"x")):
        with pytest.raises(LakeError, match=r"Access Denied: the store refused; see that the keys .* may list, read"):
            ask(located(address))


def test_missing_keys_are_asked_for_by_their_names(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    objects.client().clear_instance_cache()
    with pytest.raises(UsageError, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        objects.entries(located(address))
    objects.client().clear_instance_cache()
