"""`sluice tag`, `rollback` and `gc` on a lake of the flow: what the next run, and every other command, makes of it."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flows import cli
from tasks.errors import LakeError, SluiceError
from tasks.keeping.tags import roll_back, withdrawn
from tasks.lake import Lake, find_pool
from tests.drawn_pool import draw_pool
from tests.flows.runs import TOML, curated, settings


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept") / "shapes"
    draw_pool(folder, 120, shard_rows=40)
    (folder / "00002.tar").rename(folder.parent / "00002.tar")  # arrives later
    return folder


@pytest.fixture(scope="module")
def lake(pool: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs: version 5, and with a smaller recall version 9."""
    root = tmp_path_factory.mktemp("lakes") / "lake"
    curated(pool, root)
    curated(pool, root, settings(pool, **recall(0.5)))
    return root


def recall(value: float) -> dict[str, object]:
    return {"filter": {"category": [{"name": "redcross", "labels": "labels.csv", "recall": value}]}}


def call(lake: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli.app, [*arguments, "--lake", str(lake)], catch_exceptions=True)


def age(lake: Lake) -> None:
    for path in lake.home.rglob("*"):
        os.utime(path, (time.time() - 3 * 86_400,) * 2)


def test_a_tag_works_in_every_command_that_takes_a_version(copied: Path, tmp_path: Path) -> None:
    assert "mine is version 5" in call(copied, "tag", "mine", "5").output
    uid = find_pool(copied, None).version(5).table("samples", ["uid"])["uid"][0].as_py()
    commands = [
        ["show", "mine"],
        ["diff", "mine", "latest"],
        ["why", uid, "--version", "mine"],
        ["audit", "mine"],
        ["export", "mine", "--out", str(tmp_path / "out")],
        ["verify", "mine"],
    ]
    for command in commands:
        outcome = call(copied, *command)
        assert outcome.exit_code == 0, (command, outcome.exception)
    assert json.loads(call(copied, "show", "mine", "--json").output)["version"] == 5


def test_tags_are_listed_and_stand_beside_their_versions(copied: Path) -> None:
    assert "there are no tags" in call(copied, "tag").output
    call(copied, "tag", "mine", "5")
    listed = json.loads(call(copied, "tag", "--json").output)
    assert [(one["name"], one["version"]) for one in listed] == [("mine", 5)]
    lines = call(copied, "versions").output.splitlines()
    assert next(line for line in lines if line.startswith("5 ")).rstrip().endswith("mine")
    assert next(line for line in lines if line.startswith("9 ")).rstrip().endswith("latest")
    assert "taken away" in call(copied, "tag", "--delete", "mine").output
    assert "there are no tags" in call(copied, "tag").output


def test_rolled_back_inputs_are_nothing_new_and_others_supersede(pool: Path, copied: Path) -> None:
    home = find_pool(copied, None)
    outcome = call(copied, "rollback", "5")
    assert "latest is version 5; it was version 9" in outcome.stdout and "rolled back from: 9" in outcome.stderr
    numbers = home.numbers()
    again = curated(pool, copied, settings(pool, **recall(0.5)))
    assert again["status"] == "nothing new" and again["version"] == 5 and home.numbers() == numbers
    assert "make version 9, and latest was rolled back from it to version 5" in again["said"]
    same = curated(pool, copied)
    assert same["status"] == "nothing new" and "version 5 is what these inputs make" in same["said"]
    newer = curated(pool, copied, settings(pool, **recall(0.6)))
    assert newer["status"] == "done" and newer["version"] > 9
    assert home.version("latest").number == newer["version"] and withdrawn(home) == []
    assert home.manifest(newer["version"])["previous"] == 5


def test_a_version_rolled_back_from_is_not_taken_for_what_other_inputs_make(pool: Path, copied: Path) -> None:
    home = find_pool(copied, None)
    roll_back(home, "5")
    gates = {**TOML["gates"], "max_filtered": 0.91}  # judged by another bound, so asked for anew: the same content
    outcome = curated(pool, copied, settings(pool, gates=gates, **recall(0.5)))
    assert outcome["version"] > 9 and outcome["digest"] == home.manifest(9)["digest"]
    assert home.version("latest").number == outcome["version"]


def test_rolling_back_twice_is_as_before(pool: Path, copied: Path) -> None:
    call(copied, "rollback", "5")
    call(copied, "rollback", "9")
    outcome = curated(pool, copied, settings(pool, **recall(0.5)))
    assert outcome["status"] == "nothing new" and outcome["version"] == 9


def test_a_lake_that_was_cleared_gives_the_same_versions_as_one_that_was_not(pool: Path, copied: Path) -> None:
    home = find_pool(copied, None)
    age(home)
    for manifest in (home.home / "versions").iterdir():  # as if made a week ago
        facts = json.loads(manifest.read_text("utf-8"))
        manifest.write_text(json.dumps(facts | {"created_at": "2026-01-01T00:00:00+00:00"}), "utf-8")
    os.utime(home.home, (0, 0))
    untouched = Path(shutil.copytree(copied, copied.parent / "untouched"))
    uid = home.version(5).table("samples", ["uid"])["uid"][0].as_py()
    for path in home.home.rglob("*"):
        os.utime(path, (0, 0))
    told = json.loads(call(copied, "gc", "--keep", "1", "--now", "--json").output)
    done = json.loads(call(copied, "gc", "--keep", "1", "--now", "--delete", "--json").output)
    assert told["retire"] == done["retired"] == [2, 3, 4, 5] and told["remove"] == done["remove"]
    assert done["remove"]["bytes"] > 0 and home.version("latest").missing() == []
    assert "retired" in call(copied, "show", "5").output and "retired" in call(copied, "versions").output
    assert "retired: not known any more" in call(copied, "why", uid).output
    for command in (["export", "5", "--out", str(copied / "out")], ["verify", "5"], ["diff", "5", "9"], ["audit", "5"]):
        problem = call(copied, *command).exception
        assert isinstance(problem, LakeError) and "version 5 was retired" in str(problem)
    shutil.copy(pool.parent / "00002.tar", pool / "00002.tar")
    try:
        outcomes = [curated(pool, root, settings(pool, **recall(0.5))) for root in (copied, untouched)]
        anew = curated(pool, copied)
    finally:
        (pool / "00002.tar").unlink()
    assert outcomes[0]["digest"] == outcomes[1]["digest"] and sum(outcomes[0]["counts"].values()) == 120
    assert anew["status"] == "done" and find_pool(copied, None).version("latest").missing() == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gc", "--keep", "0"], "--keep: at least 1 was expected, 0 was found"),
        (["gc", "--before", "last week"], "--before: a date such as 2026-01-31 was expected, 'last week' was found"),
        (["tag", "mine"], "`sluice tag NAME V`"),
        (["tag", "mine", "5", "--delete", "mine"], "`sluice tag NAME V`"),
        (["tag", "5", "5"], "a tag is a letter"),
        (["rollback", "mine"], "a version is a number, `latest` or a tag"),
        (["rollback", "4"], "version 4 (reweight) ends no run"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_changed(lake: Path, arguments: list[str], said: str) -> None:
    before = sorted(path for path in lake.rglob("*") if path.is_file())
    problem = call(lake, *arguments).exception
    assert isinstance(problem, SluiceError) and problem.exit_status == 2 and said in str(problem)
    assert sorted(path for path in lake.rglob("*") if path.is_file()) == before


def test_a_run_brings_a_lake_of_format_1_to_the_present_one_and_says_so(pool: Path, copied: Path) -> None:
    path = copied / "shapes" / "pool.json"
    facts = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({"format": 1, "pool": "shapes", "source": facts["source"]}), "utf-8")
    assert call(copied, "versions").exit_code == 0 and json.loads(path.read_text("utf-8"))["format"] == 1
    outcome = curated(pool, copied, settings(pool, **recall(0.5)))
    assert outcome["status"] == "nothing new" and "is of format 2 now" in outcome["said"]
    assert json.loads(path.read_text("utf-8"))["format"] == 2
    assert json.loads((copied / "shapes" / "backup" / "format-1" / "pool.json").read_text("utf-8"))["format"] == 1
