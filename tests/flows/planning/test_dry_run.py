"""`sluice curate --dry-run`: what it says is what the run then does, and it writes nothing."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows import cli
from flows.commands.options import in_bytes
from flows.config import CurateConfig
from flows.planning.dry_run import DryRun, dry_run, remark
from tasks.errors import ConfigError, PoolError, UsageError
from tasks.keeping import rates
from tasks.lake import find_pool
from tests.drawn_pool import draw_pool
from tests.flows.runs import TOML, Serial, curated, settings


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dry")
    draw_pool(root / "more", 120, shard_rows=40)
    (root / "more" / "00002.tar").rename(root / "00002.tar")  # arrives later, and has no labels
    draw_pool(root / "shapes", 80, shard_rows=40)
    return root / "shapes"


@pytest.fixture
def grown(pool: Path) -> Any:
    """The pool while it has one shard more."""
    shutil.copy(pool.parent / "00002.tar", pool / "00002.tar")
    yield pool
    (pool / "00002.tar").unlink()


def told(pool: Path, lake: Path, config: CurateConfig) -> DryRun:
    """What a dry run says; nothing below the lake may change."""
    before = snapshot(lake)
    found = dry_run(str(pool), lake, None, config)
    assert snapshot(lake) == before
    return found


def snapshot(root: Path) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()}


def parts(found: DryRun) -> dict[str, int]:
    return {step.stage: step.parts for step in found.steps}


def test_before_a_first_run_everything_is_to_do_and_no_rate_is_known(pool: Path, tmp_path: Path) -> None:
    found = told(pool, tmp_path / "lake", settings(pool))
    assert set(parts(found).values()) == {2} and {step.seconds for step in found.steps} == {None}
    assert found.steps[0].why == ["no run of this pool has ended yet"]
    assert "No rate is known yet" in remark(found)
    assert not (tmp_path / "lake").exists()


def test_inputs_that_were_run_are_nothing_new(pool: Path, lake: Path) -> None:
    found = told(pool, lake, settings(pool))
    assert found.nothing_new == "Nothing new: version 5 is what these inputs make." and found.steps == []


def test_a_new_shard_is_the_only_part_to_work_on_as_the_run_then_finds(grown: Path, copied: Path) -> None:
    found = told(grown, copied, settings(grown))
    assert parts(found) == {"ingest": 1, "filter": 1, "dedup": 1, "reweight": 3, "publish": 3}
    assert found.steps[0].why == ["1 shard new: 00002.tar"] and found.steps[1].why == ["follows ingest"]
    runtime = Serial()
    curated(grown, copied, settings(grown), runtime)
    assert runtime.worked["tasks.ingest"] == found.steps[0].parts
    assert runtime.worked["tasks.classifying.scoring"] == found.steps[1].parts


def test_a_changed_threshold_is_named_and_what_was_before_it_stays(pool: Path, copied: Path) -> None:
    config = settings(pool, dedup={"threshold": 0.96})
    found = told(pool, copied, config)
    assert parts(found) == {"ingest": 0, "filter": 0, "dedup": 2, "reweight": 2, "publish": 2}
    assert [step.why for step in found.steps][:4] == [[], [], ["dedup.threshold: 0.97 → 0.96"], ["follows dedup"]]
    assert [step.seconds for step in found.steps][:2] == [(0.0, 0.0), (0.0, 0.0)]
    runtime = Serial()
    outcome = curated(pool, copied, config, runtime)
    assert runtime.worked["tasks.ingest"] == runtime.worked["tasks.classifying.scoring"] == 0
    assert find_pool(copied, None).manifest(outcome["version"])["previous"] == 5


def test_another_recall_scores_nothing_again_and_other_labels_score_everything(pool: Path, copied: Path) -> None:
    category = {"name": "redcross", "labels": "labels.csv", "recall": 0.5}
    found = told(pool, copied, settings(pool, filter={"category": [category]}))
    assert parts(found)["filter"] == 0
    assert found.steps[1].why == ["filter.category.redcross.recall: 0.9 → 0.5"]
    rows = (pool / "labels.csv").read_text("utf-8").splitlines()
    (pool / "fewer.csv").write_text("\n".join(rows[:-1]) + "\n", "utf-8")
    found = told(pool, copied, settings(pool, filter={"category": [{**category, "labels": "fewer.csv"}]}))
    assert parts(found)["filter"] == 2
    assert "filter.category.redcross.labels changed" in found.steps[1].why


def test_a_gone_shard_and_fresh_are_told(grown: Path, copied: Path) -> None:
    curated(grown, copied, settings(grown))
    (grown / "00002.tar").rename(grown.parent / "away.tar")
    try:
        config = settings(grown)
        fresh = dataclasses.replace(config, dedup=dataclasses.replace(config.dedup, fresh=True))
        found = told(grown, copied, fresh)
    finally:
        (grown.parent / "away.tar").rename(grown / "00002.tar")
    assert found.steps[0].why == ["1 shard gone: 00002.tar"] and found.steps[0].parts == 0
    assert found.steps[2].why == ["near-duplicates are decided anew (--fresh)"] and found.steps[2].parts == 2


def test_shards_that_were_touched_are_not_read_and_count_as_new(pool: Path, copied: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(pool, tmp_path / "moved" / "shapes"))
    facts = copied / "shapes" / "pool.json"
    facts.write_text(json.dumps({**json.loads(facts.read_text("utf-8")), "source": str(moved)}), "utf-8")
    found = told(moved, copied, settings(moved))
    assert found.steps[0].why == ["2 shards touched and not compared yet: 00000.tar, 00001.tar"]
    assert found.steps[0].parts == 2
    assert curated(moved, copied, settings(moved))["status"] == "nothing new"  # it compares
    assert told(moved, copied, settings(moved)).nothing_new is not None


def test_what_no_manifest_records_is_told_as_such(pool: Path, copied: Path) -> None:
    found = told(pool, copied, settings(pool, gates={**TOML["gates"], "max_filtered": 0.8}))
    assert found.steps[0].why == ["a gate, a labelling round, a deletion request, or a stage's own revision"]


def test_files_that_lack_are_told(pool: Path, copied: Path) -> None:
    version = find_pool(copied, None).version("latest")
    version.column_path("embedding", version.parts[0]).unlink()
    found = told(pool, copied, settings(pool))
    assert found.steps[0].why == ["1 file lack"] and found.steps[0].parts == 1


def test_times_are_those_of_earlier_runs_for_the_parts_and_samples_to_do(pool: Path, copied: Path) -> None:
    home = find_pool(copied, None)
    path = next((home.home / "runs").glob("*.json"))
    record = json.loads(path.read_text("utf-8"))
    for took in record["stages"]:
        took["seconds"] = 80.0
    path.write_text(json.dumps(record), "utf-8")
    known = rates.rates(home)
    assert known["ingest"] == ("ingest", 40.0, 40.0, 1)  # a part
    assert known["dedup"] == ("dedup", 1.0, 1.0, 1)  # a sample
    found = told(pool, copied, settings(pool, dedup={"threshold": 0.96}))
    assert {step.stage: step.seconds for step in found.steps} == {
        "ingest": (0.0, 0.0), "filter": (0.0, 0.0), "dedup": (80.0, 80.0), "reweight": (80.0, 80.0),
        "publish": (80.0, 80.0),
    }  # fmt: skip
    assert remark(found).startswith("4 min in all, as in 1 earlier run of this pool")


def test_a_stage_that_found_its_version_there_says_nothing_of_its_speed(pool: Path, copied: Path) -> None:
    curated(pool, copied, settings(pool, dedup={"threshold": 0.96}))
    known = rates.rates(find_pool(copied, None))
    assert known["ingest"].runs == known["filter"].runs == 1 and known["dedup"].runs == 2


def test_what_is_to_be_written_is_what_a_run_writes_give_or_take(grown: Path, copied: Path) -> None:
    found = told(grown, copied, settings(grown))
    before = sum(path.stat().st_size for path in copied.rglob("*") if path.is_file())
    curated(grown, copied, settings(grown))
    wrote = sum(path.stat().st_size for path in copied.rglob("*") if path.is_file()) - before
    assert 0.3 * wrote < sum(step.bytes or 0 for step in found.steps) < 3 * wrote


def test_the_command_prints_a_table_or_json(pool: Path, copied: Path) -> None:
    toml = copied.parent / "my.toml"
    toml.write_text(
        f'[[filter.category]]\nname = "redcross"\nlabels = "{pool / "labels.csv"}"\nrecall = 0.9\n', "utf-8"
    )
    command = ["curate", str(pool), "--lake", str(copied), "--config", str(toml), "--dry-run"]
    outcome = CliRunner().invoke(cli.app, command)
    assert "dedup.threshold: 0.97 → 0.95" in outcome.stdout and "Nothing was written" in outcome.stderr
    found = json.loads(CliRunner().invoke(cli.app, [*command, "--json"]).stdout)
    assert [step["stage"] for step in found["steps"]] == ["ingest", "filter", "dedup", "reweight", "publish"]


def test_bad_input_is_refused_as_a_run_refuses_it(pool: Path, lake: Path, tmp_path: Path) -> None:
    with pytest.raises(PoolError, match="neither a file nor a folder"):
        dry_run(str(tmp_path / "nowhere"), lake, None, settings(pool))
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        dry_run(str(pool), lake, None, settings(pool, audit={"groups": "nowhere.toml"}))
    shutil.copytree(pool, tmp_path / "shapes")
    with pytest.raises(UsageError, match="give it a name of its own with --pool"):
        dry_run(str(tmp_path / "shapes"), lake, None, settings(pool))


@pytest.mark.parametrize(
    ("count", "said"), [(12, "12 bytes"), (3400, "3.4 kB"), (1.2e9, "1.2 GB"), (5e15, "5000.0 TB")]
)
def test_bytes_are_told_in_words(count: float, said: str) -> None:
    assert in_bytes(count) == said
