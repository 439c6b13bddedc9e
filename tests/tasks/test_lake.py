import json
from pathlib import Path

import numpy as np
import pytest

from tasks.errors import LakeError, UsageError
from tasks.files import TEMPORARY, write_array
from tasks.lake import Lake, Version, find_pool, open_lake
from tasks.lake_format import FORMAT
from tests.tasks.drafts import PARTS, commit, draft_of
from tests.tasks.small_version import decision_table


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(tmp_path / "lake", "pool", "source")


# --- the pool's folder


def test_a_pool_s_name_with_another_source_is_refused(lake: Lake) -> None:
    assert open_lake(lake.root, "pool", "source") == lake
    with pytest.raises(UsageError, match="has a pool 'pool' from source; this one is from elsewhere"):
        open_lake(lake.root, "pool", "elsewhere")


def test_a_lake_of_another_format_is_refused_by_its_number(lake: Lake) -> None:
    (lake.home / "pool.json").write_text(json.dumps({"format": FORMAT + 1, "pool": "pool", "source": "source"}))
    with pytest.raises(LakeError, match=f"format {FORMAT} was expected, {FORMAT + 1} was found"):
        open_lake(lake.root, "pool")


def test_a_pool_that_is_not_there_is_not_made_by_asking(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no pool 'pool'"):
        open_lake(tmp_path, "pool")
    assert not list(tmp_path.iterdir())


def test_the_only_pool_needs_no_name_and_one_of_two_does(lake: Lake) -> None:
    assert find_pool(lake.root, None) == lake
    open_lake(lake.root, "second", "source")
    with pytest.raises(UsageError, match="it holds: pool, second"):
        find_pool(lake.root, None)
    assert find_pool(lake.root, "second").pool == "second"


# --- columns


def test_a_decision_is_split_over_the_parts_and_read_as_one(lake: Lake) -> None:
    verdicts = ["kept", "quarantined", "kept", "kept", "quarantined"]
    draft = draft_of(lake, verdicts)
    assert [path.stem for path in sorted((lake.home / "columns" / "decision-k").iterdir())] == ["aa", "bb", "cc"]
    assert draft.table("decision", ["verdict"])["verdict"].to_pylist() == verdicts
    with pytest.raises(LakeError, match="a decision for each of 5 samples was expected, 4 were given"):
        draft.write_decision(decision_table(["kept"] * 4), "other")


def test_embeddings_are_a_memory_map_a_part(lake: Lake) -> None:
    draft = draft_of(lake).derive("embed", columns={"embedding": "e"})
    for number, part in enumerate(PARTS):
        write_array(draft.column_path("embedding", part), np.full((part.rows, 2), number, np.float16))
    found = draft.embeddings()
    assert [array.shape for array in found] == [(3, 2), (0, 2), (2, 2)]
    assert not found[0].flags.writeable


def test_what_a_version_lacks_is_named(lake: Lake) -> None:
    draft = draft_of(lake).derive("filter", columns={"score.x": "s"}, artifacts={"model": "m"})
    missing = [Path(name).relative_to(lake.home).as_posix() for name in draft.missing()]
    assert missing == [f"columns/score.x-s/{part.part}.parquet" for part in PARTS] + ["artifacts/model-m"]


def test_an_empty_version_has_empty_tables(lake: Lake) -> None:
    draft = Version(lake).derive("ingest", columns={"decision": "k"})
    assert draft.table("decision", ["verdict"]).num_rows == 0


def test_a_draft_keeps_what_it_was_made_from_and_is_no_longer_committed(lake: Lake) -> None:
    committed = commit(draft_of(lake))
    draft = committed.derive("filter", config={"recall": 0.9}, summary={"kept": 3})
    assert (draft.number, draft.config) == (None, {"ingest": {"limit": 1}, "filter": {"recall": 0.9}})
    assert committed.config == {"ingest": {"limit": 1}}


# --- artifacts


def test_an_artifact_is_there_whole_or_not_at_all(lake: Lake) -> None:
    with pytest.raises(RuntimeError), lake.new_artifact("model", "k") as folder:
        (folder / "half").write_text("half")
        raise RuntimeError
    assert not lake.has_artifact("model", "k")
    assert not list((lake.home / "artifacts").iterdir())
    for text in ("first", "second"):
        with lake.new_artifact("model", "k") as folder:
            assert folder.name.startswith(TEMPORARY)
            (folder / "weights").write_text(text)
    assert (lake.artifact_path("model", "k") / "weights").read_text() == "first"


def test_a_key_depends_on_every_fact_and_not_on_the_order_of_names() -> None:
    assert Lake.key("a", {"x": 1, "y": [2, 3]}) == Lake.key("a", {"y": [2, 3], "x": 1})
    keys = {Lake.key(*facts) for facts in (("a",), ("a", None), ("a", ""), (["a"],), ("a", 1), ("a", 1.5), ("a", "1"))}
    assert len(keys) == 7
    assert all(len(key) == 16 for key in keys)


# --- versions


def test_a_committed_version_is_read_as_it_was_written(lake: Lake) -> None:
    draft = draft_of(lake).derive("ingest", summary={"read": 5})
    found = commit(draft)
    assert (found.number, found.parts, found.columns, found.summary) == (1, PARTS, draft.columns, draft.summary)
    assert found.manifest["counts"] == {"kept": 4, "filtered": 0, "duplicate": 0, "quarantined": 1}
    assert lake.version(1) == lake.version("1") == lake.version("latest") == found


def test_latest_is_the_newest_version_that_ends_a_run(lake: Lake) -> None:
    assert lake.latest() is None
    with pytest.raises(UsageError, match="no complete version yet"):
        lake.version("latest")
    for complete in (False, True, False):
        commit(draft_of(lake), complete=complete)
    assert [version.number for version in lake.versions()] == [1, 2, 3]
    assert lake.version("latest").number == 2


def test_a_version_that_is_not_there_is_refused_with_those_that_are(lake: Lake) -> None:
    commit(draft_of(lake))
    with pytest.raises(UsageError, match=r"there is no version 7 .* there are: 1"):
        lake.version(7)
    with pytest.raises(UsageError, match="not 'newest'"):
        lake.version("newest")


def test_a_damaged_manifest_is_named(lake: Lake) -> None:
    commit(draft_of(lake))
    (lake.home / "versions" / "000001.json").write_text("{")
    with pytest.raises(LakeError, match=r"000001\.json is damaged"):
        lake.version(1)
