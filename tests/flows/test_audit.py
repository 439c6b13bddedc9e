"""The drift report: a version against the one before and one of a month ago."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.audit import _drift, audit, earlier, highlights, markdown, write
from tasks.errors import UsageError
from tasks.lake import Lake, find_pool
from tests.drawn_pool import draw_pool
from tests.flows.runs import curated, settings


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Two complete versions: of two shards, and of three."""
    folder = tmp_path_factory.mktemp("drift")
    draw_pool(folder / "all", 240, shard_rows=80)
    shutil.copytree(folder / "all", folder / "shapes", ignore=lambda *_: ["00002.tar"])
    config = settings(folder / "all")
    curated(folder / "shapes", folder / "lake", config)
    shutil.copy(folder / "all" / "00002.tar", folder / "shapes")
    curated(folder / "shapes", folder / "lake", config)
    return find_pool(folder / "lake", None)


def aged(lake: Lake, number: int, days: int, folder: Path) -> Lake:
    """A copy of the lake in which a version was made so many days ago."""
    home = Lake(Path(shutil.copytree(lake.root, folder / "lake")), lake.pool)
    path = home.home / "versions" / f"{number:06d}.json"
    facts = json.loads(path.read_text("utf-8"))
    facts["created_at"] = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="seconds")
    path.write_text(json.dumps(facts), "utf-8")
    return home


def test_the_version_before_is_compared_and_a_month_that_is_not_there_is_told(lake: Lake) -> None:
    version = lake.version("latest")
    told = [_drift(version, *other, None, None) for other in earlier(lake, version, 30)]
    assert [one.since for one in told] == ["the version before", "30 days ago"]
    assert told[0].facts["reference"] == 5 and told[0].facts["samples"]["entered"] > 0
    assert told[1].remark == "there is no such version"
    text = markdown(version, told)
    assert "### Since the version before" in text and "there is no such version" in text
    assert "| woman |" in text and "data:image/svg+xml" in text  # what the version audits is asked for


def test_the_newest_version_that_is_a_month_old_is_the_other_one(lake: Lake, tmp_path: Path) -> None:
    home = aged(lake, 5, 40, tmp_path)
    (_, before), (_, month) = earlier(home, home.version("latest"), 30)
    assert before is not None and month is not None and before.number == month.number == 5
    assert earlier(home, home.version("latest"), 50)[1][1] is None


def test_a_first_version_has_nothing_to_be_compared_with(lake: Lake) -> None:
    assert [other for _, other in earlier(lake, lake.version(5), 30)] == [None, None]


def test_falls_and_rises_are_significant_and_asked_words_are_shown_whatever_they_did(lake: Lake) -> None:
    version = lake.version("latest")
    told = _drift(version, "x", lake.version(5), ["woman"], None)
    found = highlights(told.tables["words"])
    assert [row["term"] for row in found["Asked for"]] == ["woman"]
    assert all(row["significant"] and row["change"] < 0 for row in found["Fell most"])
    assert all(row["significant"] and row["change"] > 0 for row in found["Rose most"])


def test_the_whole_tables_go_to_a_folder(lake: Lake, tmp_path: Path) -> None:
    told = [_drift(lake.version("latest"), "the version before", lake.version(5), None, None)]
    write(tmp_path / "out", "text", told)
    assert (tmp_path / "out" / "drift.md").read_text("utf-8") == "text\n"
    head = (tmp_path / "out" / "the-version-before" / "words.csv").read_text("utf-8").splitlines()[0]
    assert head.startswith('"term"')


def test_a_keyword_without_a_letter_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'…' has no letter or digit"):
        audit.fn(lake=str(tmp_path / "absent"), keywords=["…"])
