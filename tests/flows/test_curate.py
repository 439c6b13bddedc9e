"""The flow: what a run leaves in the lake, what the next run finds there, and what a failed gate does not touch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from flows.runtime import Runtime
from flows.stages import STAGES
from tasks.errors import GateFailed, LakeError, PoolError
from tasks.lake import Version, find_pool, open_lake
from tasks.lock import hold
from tasks.records import history
from tests.drawn_pool import draw, draw_pool
from tests.flows.runs import TOML, Serial, curated, settings

STAGE_NAMES = [stage.name for stage in STAGES]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 drawn samples in three shards."""
    folder = tmp_path_factory.mktemp("pools") / "shapes"
    draw_pool(folder, 240, shard_rows=80)
    return folder


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def verdicts(version: Version) -> dict[str, str]:
    uids = version.table("samples", ["uid"])["uid"].to_pylist()
    return dict(zip(uids, version.table("decision", ["verdict"])["verdict"].to_pylist(), strict=True))


def test_a_run_commits_one_version_a_stage_and_the_last_is_complete(lake: Path) -> None:
    versions = find_pool(lake, None).versions()
    assert [version.stage for version in versions] == STAGE_NAMES
    assert [version.manifest["complete"] for version in versions] == [False] * 4 + [True]
    assert [version.manifest["parent"] for version in versions] == [None, 1, 2, 3, 4]


def test_every_sample_has_one_verdict_in_every_version(lake: Path) -> None:
    for version in find_pool(lake, None).versions():
        assert sum(version.manifest["counts"].values()) == version.rows == 240
        assert version.table("decision").num_rows == 240


def test_each_stage_does_something_on_the_drawn_pool(lake: Path) -> None:
    counts = find_pool(lake, None).version("latest").manifest["counts"]
    assert counts["filtered"] > 0 and counts["duplicate"] > 0 and counts["kept"] > 0


def test_every_version_passed_its_gate_and_says_what_was_judged(lake: Path) -> None:
    for version in find_pool(lake, None).versions():
        assert version.manifest["gate"]
        assert all(result["passed"] for result in version.manifest["gate"])


def test_a_rerun_with_nothing_new_does_no_work_and_says_so(pool: Path, copied: Path) -> None:
    before = find_pool(copied, None).numbers()
    outcome = curated(pool, copied)
    assert outcome["status"] == "nothing new" and outcome["parts_worked"] == 0
    assert "Nothing new" in outcome["said"]
    assert find_pool(copied, None).numbers() == before


def test_the_same_inputs_elsewhere_give_the_same_digest(pool: Path, lake: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(pool, tmp_path / "shapes"))
    outcome = curated(moved, tmp_path / "lake")
    assert outcome["digest"] == find_pool(lake, None).version("latest").manifest["digest"]


def test_the_digest_does_not_depend_on_the_number_of_workers(pool: Path, lake: Path, tmp_path: Path) -> None:
    outcome = curated(pool, tmp_path / "lake", runtime=Runtime(workers=2))
    assert outcome["digest"] == find_pool(lake, None).version("latest").manifest["digest"]


def test_other_inputs_that_make_the_same_version_are_worked_through_once(
    pool: Path, copied: Path, tmp_path: Path
) -> None:
    labels = (pool / "labels.csv").read_text("utf-8")
    (tmp_path / "labels.csv").write_text(f"{labels}\n", "utf-8")  # the same answers, another file
    category = [{"name": "redcross", "labels": str(tmp_path / "labels.csv"), "recall": 0.9}]
    config = settings(pool, filter={"category": category})
    outcomes = [curated(pool, copied, config) for _ in range(2)]
    assert [outcome["status"] for outcome in outcomes] == ["done", "nothing new"]
    assert {outcome["version"] for outcome in outcomes} == {5}
    assert curated(pool, copied)["status"] == "nothing new"  # the inputs that made it first
    (copied / "shapes" / "cache" / "inputs.json").write_text("{")
    assert curated(pool, copied, config)["status"] == "done"


def test_a_new_shard_costs_its_own_parts_only(pool: Path, copied: Path, tmp_path: Path) -> None:
    grown = Path(shutil.copytree(pool, tmp_path / "grown" / "shapes"))
    draw_pool(tmp_path / "more", 320, shard_rows=80)
    shutil.copy(tmp_path / "more" / "00003.tar", grown / "00003.tar")
    source = copied / "shapes" / "pool.json"
    source.write_text(json.dumps({**json.loads(source.read_text()), "source": str(grown.absolute())}))
    runtime = Serial()
    outcome = curated(grown, copied, runtime=runtime)
    assert sum(outcome["counts"].values()) == 320
    new = {name: count for name, count in runtime.worked.items() if not name.startswith("tasks.duplicates.")}
    assert sum(new.values()) == 3 + 4, new  # the new part's samples, score and tokens; the components' moments of all
    facts = open_lake(copied, "shapes").version("latest").summary["dedup"]
    assert facts["parent"]["version"] == 5 and facts["compared"] <= 80
    assert facts["orphans"] == facts["survivor_pairs"] == 0
    assert curated(grown, copied)["status"] == "nothing new"
    anew = curated(grown, copied, settings(grown, dedup={**TOML["dedup"], "fresh": True}))
    assert anew["digest"] == curated(grown, tmp_path / "fresh")["digest"]


def test_what_is_near_to_the_reference_set_leaves_the_pool_and_why_says_so(
    pool: Path, copied: Path, tmp_path: Path
) -> None:
    home = find_pool(copied, None)
    before = home.version("latest")
    kept = [uid for uid, verdict in verdicts(before).items() if verdict == "kept"]
    (tmp_path / "benchmark").mkdir()
    for uid in kept[:3]:
        draw(int(uid, 16), 64)[0].save(tmp_path / "benchmark" / f"{uid}.png")
    config = settings(pool, dedup={**TOML["dedup"], "reference": str(tmp_path / "benchmark")})
    outcome = curated(pool, copied, config)
    after = home.version("latest")
    assert outcome["status"] == "done"
    assert after.summary["dedup"]["reference"]["images"] == 3
    assert [verdicts(after)[uid] for uid in kept[:3]] == ["filtered"] * 3
    assert history.why(after, kept[0])["reason"] == "near-duplicate of the reference set"
    report = (after.artifact("published") / "report.html").read_text("utf-8")
    assert "near to the reference set" in report and "no classifier filtered" not in report
    assert after.artifacts["pairs"] == before.artifacts["pairs"]
    assert curated(pool, copied, config)["status"] == "nothing new"
    draw(int(kept[3], 16), 64)[0].save(tmp_path / "benchmark" / "more.png")
    curated(pool, copied, config)
    assert verdicts(home.version("latest"))[kept[3]] == "filtered"


def test_a_reference_set_that_is_not_there_is_refused_by_its_key_before_work_begins(pool: Path, tmp_path: Path) -> None:
    config = settings(pool, dedup={**TOML["dedup"], "reference": str(tmp_path / "absent")})
    with pytest.raises(PoolError, match=r"dedup.reference: .*absent is neither a file nor a folder"):
        curated(pool, tmp_path / "lake", config)
    assert open_lake(tmp_path / "lake", "shapes").numbers() == []


def test_a_changed_recall_embeds_and_scores_nothing_again(pool: Path, copied: Path) -> None:
    category = [{"name": "redcross", "labels": "labels.csv", "recall": 0.5}]
    outcome = curated(pool, copied, settings(pool, filter={"category": category}))
    assert outcome["status"] == "done"
    home = find_pool(copied, None)
    before, after = home.version(5).columns, home.version("latest").columns
    assert all(before[group] == after[group] for group in ("samples", "embedding", "score.redcross"))
    assert before["decision"] != after["decision"]
    assert home.version("latest").manifest["previous"] == 5
    assert home.version(6).stage == "filter"  # ingest's version is the same one


def test_going_back_to_an_earlier_configuration_makes_it_the_latest_again(pool: Path, copied: Path) -> None:
    first = find_pool(copied, None).version("latest").manifest["digest"]
    curated(pool, copied, settings(pool, dedup={"threshold": 0.99}))
    assert find_pool(copied, None).version("latest").manifest["digest"] != first
    curated(pool, copied)
    assert find_pool(copied, None).version("latest").manifest["digest"] == first


def test_a_removed_shard_leaves_the_next_version_and_stays_in_the_earlier_ones(
    copied: Path, pool: Path, tmp_path: Path
) -> None:
    shrunk = Path(shutil.copytree(pool, tmp_path / "shrunk"))
    (shrunk / "00001.tar").unlink()
    config = settings(pool)
    outcome = curated(shrunk, tmp_path / "lake2", config)
    assert sum(outcome["counts"].values()) == 160
    assert find_pool(copied, None).version(5).rows == 240


def test_a_failed_gate_commits_nothing_and_touches_nothing(pool: Path, copied: Path) -> None:
    before = snapshot(copied / "shapes" / "versions")
    with pytest.raises(GateFailed, match=r"filtered_share.*at most 0.001 was expected"):
        curated(pool, copied, settings(pool, gates={"max_filtered": 0.001}))
    assert snapshot(copied / "shapes" / "versions") == before
    records = [json.loads(p.read_text()) for p in (copied / "shapes" / "runs").glob("*.json")]
    failed = [record for record in records if record["status"] == "failed"]
    assert len(failed) == 1 and failed[0]["stage"] == "filter"
    assert failed[0]["gate"][0]["metric"] == "filtered_share"


def test_a_gate_that_the_filter_fails_says_what_recall_a_smaller_removal_would_cost(pool: Path, tmp_path: Path) -> None:
    with pytest.raises(GateFailed, match=r"removing at most 20% of the pool .* would take recall to an estimated"):
        curated(pool, tmp_path / "lake", settings(pool, gates={"max_filtered": 0.001}))


def test_a_second_run_is_told_who_holds_the_lake(pool: Path, copied: Path) -> None:
    with hold(copied / "shapes", "run-1"), pytest.raises(LakeError, match="held by run run-1"):
        curated(pool, copied)


def test_a_lake_of_another_format_is_refused(copied: Path, pool: Path) -> None:
    path = copied / "shapes" / "pool.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(LakeError, match=r"format \d was expected, 99 was found"):
        curated(pool, copied)


def test_a_lost_column_file_is_made_again(pool: Path, copied: Path) -> None:
    home = find_pool(copied, None)
    version = home.version("latest")
    version.column_path("embedding", version.parts[0]).unlink()
    outcome = curated(pool, copied)
    assert outcome["status"] == "done" and outcome["digest"] == version.manifest["digest"]


def test_an_open_lake_finds_the_source_that_it_was_made_from(pool: Path, lake: Path) -> None:
    assert open_lake(lake, "shapes", str(pool.absolute())).pool == "shapes"


def test_a_shard_that_is_there_twice_has_its_samples_quarantined_once(pool: Path, tmp_path: Path) -> None:
    doubled = Path(shutil.copytree(pool, tmp_path / "doubled"))
    shutil.copy(doubled / "00000.tar", doubled / "00009.tar")
    outcome = curated(doubled, tmp_path / "lake")
    assert outcome["counts"]["quarantined"] == 80 and sum(outcome["counts"].values()) == 320
    ingest = find_pool(tmp_path / "lake", None).version("latest").summary["ingest"]
    assert ingest["quarantined"] == {"duplicate uid": 80}
