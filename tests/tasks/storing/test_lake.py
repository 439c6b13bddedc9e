import threading
from pathlib import Path

import numpy as np
import pytest

from tasks.errors import LakeError, UsageError
from tasks.files import write_array
from tasks.lake import Lake, find_pool, open_lake, pools
from tasks.storing import copying, lease, objects
from tasks.storing.addresses import copies, located
from tests.object_store import on_machine
from tests.tasks.drafts import PARTS, commit, draft_of


@pytest.fixture
def lake(address: str) -> Lake:
    return open_lake(Path(address), "pool", "source")


def elsewhere(monkeypatch: pytest.MonkeyPatch, server: str, tmp_path: Path, address: str) -> Lake:
    """The lake as another machine opens it."""
    on_machine(monkeypatch, server, tmp_path / "elsewhere")
    copying.forget_listings()
    return find_pool(Path(address), None)


def test_a_version_is_read_on_another_machine_as_it_was_written(
    lake: Lake, address: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = draft_of(lake).derive("embed", columns={"embedding": "e"}, artifacts={"model": "m"})
    for part in PARTS:
        write_array(draft.column_path("embedding", part), np.full((part.rows, 2), part.rows, np.float16))
    with lake.new_artifact("model", "m") as folder:
        (folder / "weights").write_text("w")
    made = commit(draft)

    found = elsewhere(monkeypatch, server, tmp_path, address).version("latest")
    assert (found.lake.home != lake.home, found.manifest) == (True, made.manifest)
    assert found.missing() == [] and not (found.lake.home / "columns").exists()
    assert found.table("decision").equals(made.table("decision"))
    assert [array.tolist() for array in found.embeddings()] == [array.tolist() for array in made.embeddings()]
    assert (found.artifact("model") / "weights").read_text() == "w"
    assert found.lake.has_artifact("model", "m") and not found.lake.has_artifact("model", "other")


def test_an_artifact_is_stored_once_and_nothing_of_it_under_a_passing_name(lake: Lake) -> None:
    with lake.new_artifact("model", "m") as folder:
        write_array(folder / "weights.npy", np.zeros(3))
        write_array(folder / "deep" / "more.npy", np.zeros(3))
        assert objects.find(lake.home / "artifacts") == {}
    names = {"model-m/weights.npy", "model-m/deep/more.npy", f"model-m/{copying.WHOLE}"}
    assert set(objects.find(lake.home / "artifacts")) == names


def test_one_file_of_an_artifact_comes_without_the_others_and_leaves_no_artifact_in_part(
    lake: Lake, address: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lake.new_artifact("model", "m") as folder:
        for name in ("a", "b"):
            (folder / name).write_text(name)
    commit(draft_of(lake).derive("embed", artifacts={"model": "m"}))
    found = elsewhere(monkeypatch, server, tmp_path, address).version("latest")
    assert found.artifact_file("model", "a").read_text() == "a"
    assert not found.artifact_file("model", "none").exists()
    assert not [path for path in copies().rglob("b") if path.is_file()]
    assert (found.artifact("model") / "b").read_text() == "b"
    assert found.artifact_file("model", "b") == found.artifact("model") / "b"


def test_a_version_has_the_digest_that_it_has_in_a_folder(lake: Lake, tmp_path: Path) -> None:
    folder = open_lake(tmp_path / "lake", "pool", "source")
    assert commit(draft_of(lake)).manifest["digest"] == commit(draft_of(folder)).manifest["digest"]


def test_machines_that_commit_at_once_get_different_numbers(lake: Lake) -> None:
    drafts = [draft_of(lake) for _ in range(3)]
    numbers: list[int | None] = []
    threads = [
        threading.Thread(
            target=lambda draft=draft: numbers.extend(commit(draft, run=f"{id(draft)}").number for _ in range(4))
        )
        for draft in drafts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for number in numbers if number is not None) == list(range(1, 13)) == lake.numbers()


def test_what_a_version_lacks_is_what_the_store_lacks(lake: Lake) -> None:
    version = commit(draft_of(lake))
    lost = version.column_path("decision", PARTS[0])
    objects.remove(lost)
    copying.forget_listings()
    assert lost.exists() and version.missing() == [f"{copying.shown(lost)}"]
    commit(draft_of(lake))
    assert version.missing() == []


def test_a_run_that_lost_its_lease_commits_nothing(lake: Lake) -> None:
    draft = draft_of(lake)
    facts = {"run": "first", "pid": "1", "host": "one", "since": "now"}
    with lease.leased(lake.home, facts):
        objects.create(lake.home / lease.FOLDER / "000002.json", b'{"run": "second"}')
        with pytest.raises(LakeError, match="taken over by another run"):
            commit(draft)
    assert lake.numbers() == []


def test_pools_are_found_by_their_names_in_the_store(lake: Lake, address: str) -> None:
    objects.write(located(address) / "other" / "notes.txt", b"no pool")
    assert pools(located(address)) == ["pool"] and find_pool(Path(address), None) == lake
    with pytest.raises(UsageError, match=f"no pool 'absent' in the lake {address}; run `sluice curate POOL --lake s3:"):
        open_lake(Path(address), "absent")
    with pytest.raises(UsageError, match="from source; this one is from elsewhere"):
        open_lake(Path(address), "pool", "elsewhere")


def test_the_copy_may_be_removed(lake: Lake, tmp_path: Path) -> None:
    import shutil

    version = commit(draft_of(lake))
    before = version.table("decision")
    shutil.rmtree(copies())
    copying.forget_listings()
    assert lake.version("latest").table("decision").equals(before)
