"""The commands as a person calls them: help with examples, exit statuses, JSON, and what they say of one sample."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from flows import cli
from tasks.errors import SluiceError
from tests.drawn_pool import draw_pool
from tests.flows.runs import curated

COMMANDS = [command.name or command.callback.__name__ for command in cli.app.registered_commands if command.callback]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cli")
    draw_pool(root / "shapes", 160, shard_rows=80)
    curated(root / "shapes", root / "lake")
    return root / "lake"


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    outcome = call(command, "--help")
    assert outcome.exit_code == 0
    assert f"Example: sluice {command}" in outcome.output


def test_versions_prints_one_object_a_version(lake: Path) -> None:
    rows = json.loads(call("versions", "--lake", str(lake), "--json").output)
    assert [row["version"] for row in rows] == [1, 2, 3, 4, 5]
    assert set(rows[-1]) == {"version", "stage", "parent", "digest", "counts", "complete", "created_at"}
    assert rows[-1]["complete"] and sum(rows[-1]["counts"].values()) == 160


def test_versions_and_show_and_audit_print_tables(lake: Path) -> None:
    assert "publish" in call("versions", "--lake", str(lake)).output
    shown = call("show", "latest", "--lake", str(lake)).output
    assert "digest" in shown and "passed" in shown and "dedup.threshold = 0.97" in shown
    assert "woman" in call("audit", "latest", "--lake", str(lake)).output


def test_a_version_is_audited_against_another_with_words_and_groups_of_ones_own(lake: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("woman\nblack woman\nunicorn\n\nwoman\n", "utf-8")
    (tmp_path / "people.toml").write_text('[groups.woman]\nterms = ["woman"]\n', "utf-8")
    more = ["--keywords", str(tmp_path / "words.txt"), "--groups", str(tmp_path / "people.toml"), "--lake", str(lake)]
    for against in ([], ["--against", "1"]):
        outcome = call("audit", "latest", *against, *more, "--out", str(tmp_path / "out"), "--json")
        rows = json.loads(outcome.stdout)
        assert {row["term"] for row in rows if row["keyword"]} == {"woman", "black woman", "unicorn"}
        assert "woman" in (tmp_path / "out" / "groups.csv").read_text("utf-8")
    assert "160 kept before" in outcome.stderr
    assert "came in" in call("audit", "latest", "--against", "1", "--lake", str(lake)).output


def test_a_file_of_keywords_that_says_nothing_is_refused_with_its_line(lake: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("woman\n...\n", "utf-8")
    for path, said in ((tmp_path / "words.txt", "line 2, '...', has no letter"), (tmp_path, "a text file")):
        problem = call("audit", "latest", "--keywords", str(path), "--lake", str(lake)).exception
        assert isinstance(problem, SluiceError) and said in str(problem)


def test_diff_tells_which_samples_moved(lake: Path) -> None:
    found = json.loads(call("diff", "1", "2", "--lake", str(lake), "--json").output)
    assert found["samples"]["moved"] > 0
    assert "kept → filtered" in call("diff", "1", "2", "--lake", str(lake)).output


def test_why_explains_a_removed_and_a_kept_sample(lake: Path) -> None:
    out = lake.parent / "table"
    assert call("export", "latest", "--out", str(out), "--lake", str(lake)).exit_code == 0
    rows = pq.read_table(out / "samples.parquet").to_pylist()
    for verdict in ("kept", "filtered", "duplicate"):
        row = next(row for row in rows if row["verdict"] == verdict)
        text = call("why", row["uid"], "--lake", str(lake)).output
        assert f"{row['uid']}: {verdict}" in text and row["caption"] in text


def test_an_unknown_version_format_or_pool_is_a_wrong_call(lake: Path) -> None:
    for arguments in (
        ["show", "99"],
        ["show", "x"],
        ["why", "nobody"],
        ["export", "latest", "--out", "o", "--format", "x"],
    ):
        problem = call(*arguments, "--lake", str(lake)).exception
        assert isinstance(problem, SluiceError) and problem.exit_status == 2


def test_a_version_is_handed_on_with_its_card_and_its_description(lake: Path) -> None:
    out = lake.parent / "shared"
    outcome = call("export", "latest", "--format", "croissant", "--out", out, "--lake", lake)
    assert outcome.exit_code == 0 and "license, creators, url under [publish]" in outcome.stderr
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "croissant.json", "samples.parquet"]
    problem = call("export", "1", "--format", "croissant", "--out", out, "--lake", lake).exception
    assert isinstance(problem, SluiceError) and "describes another version" in str(problem)


def test_weights_go_to_trainers_as_repeats(lake: Path) -> None:
    out = lake.parent
    for form, name in (("datacomp", "subset.npy"), ("kohya", "dataset.toml")):
        outcome = call("export", "latest", "--format", form, "--factor", "2", "--out", out / form, "--lake", lake)
        assert outcome.exit_code == 0 and (out / form / name).exists()
        assert json.loads((out / form / "export.json").read_text())["factor"] == 2
    problem = call("export", "latest", "--format", "kohya", "--factor", "0", "--out", out / "x", "--lake", lake)
    assert isinstance(problem.exception, SluiceError) and "factor" in str(problem.exception)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[dedup]\ntreshold = 0.9", "did you mean 'threshold'"),
        ("[dedup]\nthreshold = 1.5", "threshold"),
        ("[dedupe]\n", "did you mean 'dedup'"),
        ("not toml", "is not TOML"),
        ('[[filter.category]]\nname = "a"\nlables = "x.csv"', "did you mean 'labels'"),
        ("[ingest]\nmax_pixels = 'many'", "max_pixels"),
    ],
)
def test_a_wrong_configuration_exits_with_2_before_work_begins(toml: str, said: str, tmp_path: Path) -> None:
    draw_pool(tmp_path / "pool", 4, shard_rows=4)
    (tmp_path / "c.toml").write_text(toml)
    command = ["curate", str(tmp_path / "pool"), "--config", str(tmp_path / "c.toml"), "--lake", str(tmp_path / "lake")]
    problem = call(*command).exception
    assert isinstance(problem, SluiceError) and problem.exit_status == 2
    assert said in str(problem)
    assert not (tmp_path / "lake").exists()


def test_the_process_exits_with_2_for_a_pool_that_is_not_there(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flows.cli", "curate", str(tmp_path / "none"), "--lake", str(tmp_path / "lake")]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert process.returncode == 2
    assert "neither a file nor a folder" in process.stderr and "Traceback" not in process.stderr
