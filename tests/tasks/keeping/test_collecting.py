"""Garbage collection: whatever was tagged, rolled back, retired: the rest is whole, and nothing else stays."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import LakeError, LakeHeld
from tasks.files import write_text
from tasks.keeping import tags
from tasks.keeping.caches import caches_of
from tasks.keeping.collecting import collect, look
from tasks.keeping.retiring import Age, retirable, retire
from tasks.lake import Lake
from tasks.lock import hold
from tests.tasks.keeping.kept_lake import add_round, add_run, age, files, files_of, left_behind, new_lake

NOW = timedelta()

Run = tuple[list[str], int, bool]  # parts, setting, complete
RUNS = st.lists(
    st.tuples(st.lists(st.sampled_from("abcd"), min_size=1, unique=True).map(sorted), st.integers(0, 2), st.booleans()),
    min_size=1,
    max_size=5,
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return new_lake(tmp_path / "lake")


def whole(lake: Lake) -> dict[int, dict[str, bytes]]:
    """Version → its files, of those that are not retired."""
    return {v.number or 0: files_of(v) for v in lake.versions() if "retired" not in v.manifest}


def made(lake: Lake, runs: list[Run], tagged: int, back: int) -> None:
    """Runs one after another; then a version is tagged, and latest rolled back, where there is something to choose."""
    for place, (parts, setting, complete) in enumerate(runs):
        add_run(lake, parts, setting, complete, days=20.0 - place)
    complete_ones = [version.number or 0 for version in lake.versions() if version.manifest["complete"]]
    if tagged:
        tags.tag(lake, "mine", str(lake.numbers()[tagged % len(lake.numbers())]))
    if back and len(complete_ones) > 1:
        tags.roll_back(lake, str(complete_ones[back % (len(complete_ones) - 1)]))
    left_behind(lake)
    age(lake, days=30)


@settings(max_examples=40)
@given(runs=RUNS, tagged=st.integers(0, 9), back=st.integers(0, 4), keep=st.none() | st.integers(1, 3))
def test_what_is_not_retired_is_whole_and_nothing_else_stays(
    runs: list[Run], tagged: int, back: int, keep: int | None
) -> None:
    with tempfile.TemporaryDirectory() as root:
        lake = new_lake(Path(root))
        made(lake, runs, tagged, back)
        before, latest, named = whole(lake), lake.latest(), tags.names(lake)
        told = look(lake, Age(keep), NOW)
        done = collect(lake, Age(keep), NOW)
        after = whole(lake)
        assert (told.retire, sorted(told.remove), told.later) == (done.retire, sorted(done.remove), done.later)
        assert all(version.missing() == [] for version in lake.versions() if version.number in after)
        assert after == {number: found for number, found in before.items() if number not in done.retire}
        assert lake.latest() == latest or latest is None
        assert not set(done.retire) & {number for number, names in named.items() if set(names) - {"retired"}}
        if latest is not None:
            needed = {path for found in after.values() for path in found}
            stay = [str(lake.home / name) for name in files(lake) if name.startswith(("columns/", "artifacts/"))]
            assert set(stay) == needed


def test_a_look_writes_nothing(lake: Lake) -> None:
    add_run(lake, ["a"])
    left_behind(lake)
    age(lake)
    before = files(lake)
    found = look(lake, Age(keep=1))
    assert {one.kind for one in found.remove} == {"column", "cache"}
    assert files(lake) == before


def test_nothing_is_retired_unless_it_is_asked_for(lake: Lake) -> None:
    for setting in range(3):
        add_run(lake, ["a"], setting)
    age(lake)
    assert collect(lake, Age(), NOW).retire == []


def test_all_but_the_newest_complete_versions_are_retired_with_what_they_were_made_from(lake: Lake) -> None:
    runs = [add_run(lake, ["a"], setting) for setting in range(4)]
    stopped = add_run(lake, ["a", "b"], complete=False)
    assert retirable(lake, Age(keep=2)) == [*runs[0], *runs[1]]
    assert stopped[0] not in retirable(lake, Age(keep=1))  # the next run goes on from it


def test_versions_made_before_a_date_are_retired_and_with_both_bounds_what_both_allow(lake: Lake) -> None:
    old, middle, _ = (add_run(lake, ["a"], place, days=days) for place, days in enumerate((30, 20, 10)))
    before = datetime.now(UTC) - timedelta(days=15)
    assert retirable(lake, Age(before=before)) == [*old, *middle]
    assert retirable(lake, Age(keep=2, before=before)) == old


def test_latest_is_never_retired_however_old_nor_what_it_was_rolled_back_from(lake: Lake) -> None:
    first, second = add_run(lake, ["a"], 0, days=30), add_run(lake, ["a"], 1, days=29)
    tags.roll_back(lake, str(first[1]))
    assert retirable(lake, Age(before=datetime.now(UTC))) == []
    third = add_run(lake, ["a"], 2, days=28)  # a newer run ends: what was rolled back from is an old version now
    assert retirable(lake, Age(before=datetime.now(UTC))) == [*first, *second]
    assert lake.latest() == lake.version(third[1])


def test_versions_that_labelling_needs_stay_with_the_scores_of_their_rounds(lake: Lake) -> None:
    runs = [add_run(lake, ["a", "b"], setting) for setting in range(5)]
    add_round(lake, 1, runs[0][1], certification={"draws": []})
    add_round(lake, 2, runs[1][1])
    add_round(lake, 3, runs[2][1])
    key = lake.key("score", 2, f"{1:016x}")
    score = lake.place("score.weapon", key, "a" * 16)
    write_text(score, "scores that the certificate stands on")
    age(lake)
    assert collect(lake, Age(keep=1), NOW).retire == [*runs[1], *runs[3]]
    assert score.exists()


def test_a_retired_version_keeps_its_manifest_and_says_so(lake: Lake) -> None:
    first, _ = add_run(lake, ["a"], 0), add_run(lake, ["a"], 1)
    age(lake)
    manifest = lake.manifest(first[1])
    collect(lake, Age(keep=1), NOW)
    now = lake.manifest(first[1])
    assert {name: value for name, value in now.items() if name != "retired"} == manifest
    with pytest.raises(LakeError, match=rf"version {first[1]} was retired at .+ its files were given up"):
        lake.version(first[1]).whole()
    with pytest.raises(LakeError, match="was retired"):
        tags.tag(lake, "late", str(first[1]))


def test_files_of_a_retired_version_go_a_day_later_unless_told_otherwise(lake: Lake) -> None:
    first, _ = add_run(lake, ["a"], 0), add_run(lake, ["a"], 1)
    age(lake)
    version, before = lake.version(first[1]), files_of(lake.version(first[1]))
    told = look(lake, Age(keep=1))
    done = collect(lake, Age(keep=1))
    assert done.retire == list(first) and done.remove == [] and done.later == told.later != []
    assert files_of(version) == before
    assert collect(lake, Age(), NOW).remove == done.later
    assert version.missing() != []


def test_a_version_that_is_tagged_while_others_are_retired_is_let_be(lake: Lake) -> None:
    first, _ = add_run(lake, ["a"], 0), add_run(lake, ["a"], 1)
    numbers = retirable(lake, Age(keep=1))
    tags.tag(lake, "mine", str(first[1]))
    assert retire(lake, numbers) == [first[0]]
    assert "retired" not in lake.manifest(first[1])


def test_what_was_made_since_the_last_complete_version_stays_for_the_run_that_goes_on(lake: Lake) -> None:
    add_run(lake, ["a"], days=10)
    left_behind(lake)
    age(lake, days=5)  # after the version, which is ten days old
    assert look(lake, Age(), NOW).remove == []
    add_run(lake, ["a"], 1, days=2)
    assert len(look(lake, Age(), NOW).remove) == 2


def test_what_is_younger_than_a_day_stays_for_who_may_be_reading_it(lake: Lake) -> None:
    add_run(lake, ["a"], days=0)
    left_behind(lake)
    age(lake, days=0.5)
    assert look(lake, Age()).remove == []
    assert len(look(lake, Age(), NOW).remove) == 2


def test_a_lake_without_a_complete_version_loses_nothing(lake: Lake) -> None:
    add_run(lake, ["a"], complete=False)
    left_behind(lake)
    age(lake)
    assert look(lake, Age(keep=1), NOW) == ([], [], [])


def test_names_that_no_run_gives_are_left_alone(lake: Lake) -> None:
    add_run(lake, ["a"])
    mine = [lake.home / "columns" / "notes" / "a.txt", lake.home / "artifacts" / "mine-1" / "b", lake.home / "c.txt"]
    for path in mine:
        write_text(path, "somebody's own")
    age(lake)
    collect(lake, Age(keep=1), NOW)
    assert all(path.exists() for path in mine)


def test_caches_stay_for_latest_and_tagged_versions_and_go_for_others(lake: Lake) -> None:
    first, second, third = (add_run(lake, ["a", *more], 0) for more in ([], ["b"], ["c"]))
    tags.tag(lake, "mine", str(first[1]))
    caches: dict[int, Any] = {}
    for run in (first, second, third):
        kind, key = next(one for one in sorted(caches_of(lake.version(run[1]))) if one[0] == "words")
        caches[run[1]] = lake.artifact_place(kind, key) / "words.parquet"
        write_text(caches[run[1]], "words")
    age(lake)
    assert [one.kind for one in collect(lake, Age(), NOW).remove] == ["cache"]
    assert [path.exists() for path in caches.values()] == [True, False, True]


def test_tokens_of_parts_that_went_away_go(lake: Lake) -> None:
    first, second = add_run(lake, ["a", "b"]), add_run(lake, ["a"])
    age(lake)
    collect(lake, Age(keep=1), NOW)
    tokens = lake.version(second[1]).artifact("tokens")
    assert [path.stem for path in tokens.iterdir()] == ["a" * 16]
    assert lake.version(first[1]).missing()


def test_a_running_job_s_lake_is_not_touched_and_the_message_names_it(lake: Lake) -> None:
    add_run(lake, ["a"])
    left_behind(lake)
    age(lake)
    before = files(lake)
    with hold(lake.home, "run-1"), pytest.raises(LakeHeld, match="held by run run-1"):
        collect(lake, Age(keep=1), NOW)
    assert files(lake) == before


def test_a_file_that_cannot_be_removed_is_named(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    add_run(lake, ["a"])
    left_behind(lake)
    age(lake)

    def refuse(*given: Any, **more: Any) -> None:
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(LakeError, match=r"f\.parquet cannot be removed .+ the versions are whole"):
        collect(lake, Age(), NOW)
