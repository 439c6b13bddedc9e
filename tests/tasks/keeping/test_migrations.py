"""Lakes of format 1 are read as they are, brought to format 2 before they are written to; newer ones are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import LakeError, LakeHeld
from tasks.keeping import migrations, tags
from tasks.keeping.collecting import collect
from tasks.keeping.migrations import MIGRATIONS
from tasks.keeping.retiring import Age
from tasks.lake import Lake, find_pool, open_lake
from tasks.lake_format import FORMAT, OLDEST, release
from tasks.lock import hold
from tests.tasks.keeping.kept_lake import add_run, files, new_lake


@pytest.fixture
def old(tmp_path: Path) -> Lake:
    """A lake as the release wrote it that knew format 1: facts without a release, manifests that say 1, no names."""
    lake = new_lake(tmp_path / "lake")
    add_run(lake, ["a"], 0)
    add_run(lake, ["a"], 1)
    rewrite(lake.home / "pool.json", {"format": 1, "pool": "kept", "source": "made by hand"})
    for path in (lake.home / "versions").iterdir():
        rewrite(path, json.loads(path.read_text("utf-8")) | {"format": 1})
    return lake


def rewrite(path: Path, facts: dict[str, Any]) -> None:
    path.write_text(json.dumps(facts, indent=1, ensure_ascii=False), "utf-8")


def test_an_old_lake_is_read_without_being_changed(old: Lake) -> None:
    before = files(old)
    lake = find_pool(old.root, None)
    assert lake.version("latest").number == 4 and lake.version(2).missing() == []
    assert tags.names(lake) == {4: ["latest"]}
    assert files(old) == before


@pytest.mark.parametrize(
    "write",
    [
        lambda lake: tags.tag(lake, "mine", "2"),
        lambda lake: tags.roll_back(lake, "2"),
        lambda lake: collect(lake, Age()),
    ],
    ids=["tag", "rollback", "gc"],
)
def test_the_first_write_brings_it_to_the_present_format_and_keeps_what_was(old: Lake, write: Any) -> None:
    before, versions = (old.home / "pool.json").read_bytes(), files(old)
    write(old)
    assert migrations.facts_of(old) == {
        "format": FORMAT, "release": release(), "pool": "kept", "source": "made by hand"
    }  # fmt: skip
    assert (old.home / "backup" / "format-1" / "pool.json").read_bytes() == before
    now = files(old)
    assert all(now[name] == data for name, data in versions.items() if name.startswith(("versions", "columns")))
    assert open_lake(old.root, "kept", "made by hand").numbers() == [1, 2, 3, 4]


def test_each_step_is_told_once(old: Lake) -> None:
    said = migrations.ensure(old)
    assert len(said) == FORMAT - OLDEST and f"is of format {FORMAT} now" in said[-1]
    assert migrations.ensure(old) == []


def test_a_step_that_was_killed_is_done_again_and_the_backup_is_of_before_it(
    old: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (old.home / "pool.json").read_bytes()

    def killed(lake: Lake) -> None:
        rewrite(lake.home / "pool.json", {"format": 1, "half": "done"} | json.loads(before))
        raise KeyboardInterrupt

    monkeypatch.setattr(migrations, "MIGRATIONS", (MIGRATIONS[0]._replace(step=killed),))
    with pytest.raises(KeyboardInterrupt):
        migrations.ensure(old)
    monkeypatch.undo()
    assert len(migrations.ensure(old)) == 1 and migrations.facts_of(old)["format"] == FORMAT
    assert (old.home / "backup" / "format-1" / "pool.json").read_bytes() == before


def test_a_lake_that_a_run_holds_is_not_brought_up(old: Lake) -> None:
    with hold(old.home, "run-1"), pytest.raises(LakeHeld):
        migrations.ensure(old)
    assert migrations.facts_of(old)["format"] == 1


def test_the_steps_lead_from_the_oldest_format_to_the_present_one() -> None:
    assert [one.since for one in MIGRATIONS] == list(range(OLDEST, FORMAT))


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"format": FORMAT + 1, "release": "9.1.0"}, "use sluice 9.1.0 or newer"),
        ({"format": FORMAT + 1}, "use the release that wrote it"),
        ({"format": 0}, "0 was found"),
        ({"format": "2"}, "2 was found"),
        ({}, "None was found"),
    ],
)
def test_a_lake_of_a_format_that_is_not_known_is_refused_with_the_release_that_knows_it(
    old: Lake, facts: dict[str, Any], said: str
) -> None:
    rewrite(old.home / "pool.json", {"pool": "kept", "source": "made by hand", **facts})
    before = files(old)
    with pytest.raises(LakeError, match=f"format {FORMAT} was expected.+this is sluice {release()}.+") as problem:
        find_pool(old.root, None)
    assert said in str(problem.value) and files(old) == before
