"""The flow `label` and its commands: rounds unattended and by files, several categories, and bad input."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from flows import cli
from flows.config import parse_config
from flows.label import chosen, of_round, of_rounds, plainly, run_label, waits_for
from flows.shown.progress import Reporter
from tasks.classifying.given import log_path
from tasks.errors import ConfigError, LabelsError, SluiceError, UsageError
from tasks.labelling.active import Ask
from tasks.labels.label_log import read_log
from tasks.labels.rounds import latest_round
from tasks.lake import Version, open_lake
from tests.flows.runs import Serial
from tests.tasks.categorised import uid, write_labels
from tests.tasks.labelled_pool import answer, labelled_pool, say, truth

TOML: dict[str, Any] = {
    "embed": {"embeddings": "elsewhere"},  # no encoder: prompts cannot be embedded
    "filter": {"category": [{"name": "knife", "recall": 0.9}, {"name": "fork", "labels": "forks.csv"}]},
}


@pytest.fixture
def version(tmp_path: Path) -> Version:
    write_labels(tmp_path / "forks.csv", [(uid(row), row % 2) for row in range(40)], "fork")
    made = labelled_pool(tmp_path / "lake")
    open_lake(tmp_path / "lake", "pool", str(tmp_path))  # as a first run of curate does
    return made


def label(version: Version, folder: Path, name: str | None = None, **ask: int) -> list[dict[str, Any]]:
    wanted = chosen(version.lake, parse_config(TOML, folder, "test"), name)
    reporter = Reporter(Console(file=io.StringIO(), width=200), artifacts=False)
    return run_label(version.lake, wanted, Ask(**{"labels": 30, **ask}), Serial(), reporter, plainly)


def call(version: Version, *arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["label", *arguments, "--lake", str(version.lake.root)])


def test_a_run_asks_for_every_category_and_ends(version: Version, tmp_path: Path) -> None:
    told = label(version, tmp_path)
    assert [(one["category"], one["number"], one["items"]) for one in told] == [("knife", 1, 30), ("fork", 1, 30)]
    assert told[0]["model"] == "" and told[1]["model"]  # forks have a labels file, knives have nothing yet


def test_it_runs_unattended_with_an_oracle_and_finds_positives_faster_than_chance(
    version: Version, tmp_path: Path
) -> None:
    """100 of 400 are positive; of 120 picks chance finds 30."""
    for _ in range(4):
        label(version, tmp_path, "knife")
        done = latest_round(version.lake, "knife")
        assert done is not None
        answer(version.lake, done)
    found = [entry.label for entry in read_log(log_path(version.lake, "knife"), "knife").entries]
    assert len(found) == 120 and found.count("1") > 36


def test_a_round_remembers_what_the_configuration_said(version: Version, tmp_path: Path) -> None:
    label(version, tmp_path, "fork")
    (again,) = chosen(version.lake, None, "fork")
    done = latest_round(version.lake, "fork")
    assert done is not None and of_round(done) == again
    assert again.category.labels == str(tmp_path / "forks.csv") and again.embedding.embeddings is not None


def test_a_schedule_waits_until_the_newest_round_is_answered(version: Version, tmp_path: Path) -> None:
    assert of_rounds(version.lake) == []
    (wanted,) = chosen(version.lake, parse_config(TOML, tmp_path, "test"), "knife")
    assert waits_for(version.lake, wanted.category) is None  # there is no round yet: it may open the first
    label(version, tmp_path, "knife")
    assert waits_for(version.lake, wanted.category) == "knife: 30 of the 30 samples of round 1 wait"
    done = latest_round(version.lake, "knife")
    assert done is not None
    answer(version.lake, done)
    assert waits_for(version.lake, wanted.category) is None
    assert [one.name for one in of_rounds(version.lake)] == ["knife"]


def test_a_schedule_never_spends_a_certificate(version: Version, tmp_path: Path) -> None:
    say(version.lake, truth(range(80)))
    label(version, tmp_path, "knife", labels=0, certify=40)
    done = latest_round(version.lake, "knife")
    assert done is not None
    answer(version.lake, done)
    (wanted,) = chosen(version.lake, parse_config(TOML, tmp_path, "test"), "knife")
    assert waits_for(version.lake, wanted.category) == "knife: round 1 certifies, and is followed by hand only"


def test_a_category_that_nobody_declared_is_refused_with_those_that_are_known(version: Version, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'spoon' was expected in the configuration, known are: fork, knife"):
        label(version, tmp_path, "spoon")
    with pytest.raises(UsageError, match="known are: none; give its file with --config"):
        chosen(version.lake, None, "spoon")
    with pytest.raises(UsageError, match="--config: the file with the categories was expected"):
        chosen(version.lake, None, None)


def test_a_labels_file_that_cannot_be_read_stops_before_a_round_is_written(version: Version, tmp_path: Path) -> None:
    (tmp_path / "forks.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises((LabelsError, ConfigError), match=r"forks\.csv"):
        label(version, tmp_path, "fork")
    assert latest_round(version.lake, "fork") is None


def test_labels_go_out_and_come_in_by_csv_and_twice_is_once(version: Version, tmp_path: Path) -> None:
    label(version, tmp_path, "knife")
    done = latest_round(version.lake, "knife")
    assert done is not None
    sheet = tmp_path / "answers.csv"
    with sheet.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["uid", "label"])
        writer.writerows([item.uid, int(int(item.uid, 16) % 4 == 0)] for item in done.items)
    first = call(version, "import", "knife", str(sheet), "--annotator", "ada")
    again = call(version, "import", "knife", str(sheet), "--annotator", "ada")
    assert first.exit_code == again.exit_code == 0
    entries = read_log(log_path(version.lake, "knife"), "knife").entries
    assert len(entries) == 30 and {entry.source for entry in entries} == {item.arm for item in done.items}
    out = tmp_path / "out.csv"
    assert call(version, "export", "knife", "--out", str(out)).exit_code == 0
    written = list(csv.DictReader(out.read_text("utf-8").splitlines()))
    assert {row["uid"]: row["label"] for row in written} == {entry.uid: entry.label for entry in entries}


def test_labels_of_unknown_uids_are_told_and_the_others_kept(version: Version, tmp_path: Path) -> None:
    sheet = tmp_path / "answers.csv"
    sheet.write_text(f"uid,label\n{uid(1)},0\n{'f' * 32},1\n", "utf-8")
    outcome = call(version, "import", "knife", str(sheet), "--annotator", "ada")
    assert outcome.exit_code == 0 and "f" * 32 in outcome.output
    assert [entry.uid for entry in read_log(log_path(version.lake, "knife"), "knife").entries] == [uid(1)]


def test_a_label_that_is_none_refuses_the_file_whole_and_names_its_line(version: Version, tmp_path: Path) -> None:
    sheet = tmp_path / "answers.csv"
    sheet.write_text(f"uid,label\n{uid(1)},0\n{uid(2)},maybe\n", "utf-8")
    outcome = call(version, "import", "knife", str(sheet))
    assert "line 3: label: 1, 0 or unsure was expected, 'maybe' was found" in str(outcome.exception)
    assert not read_log(log_path(version.lake, "knife"), "knife").entries


def test_a_file_that_is_no_table_and_a_format_that_is_none_are_refused(version: Version, tmp_path: Path) -> None:
    sheet = tmp_path / "answers.csv"
    sheet.write_bytes(b"\x00\x01")
    for arguments in (["import", "knife", str(sheet)], ["import", "knife", str(sheet), "--format", "xls"]):
        outcome = call(version, *arguments)
        assert outcome.exit_code != 0 and isinstance(outcome.exception, SluiceError)
    outcome = call(version, "export", "knife", "--out", str(tmp_path / "o"), "--format", "xls")
    assert "csv, log or label-studio" in str(outcome.exception)


def test_status_and_plan_are_told_in_words_and_as_json(version: Version, tmp_path: Path) -> None:
    say(version.lake, truth(range(80)))
    label(version, tmp_path, "knife")
    shown = call(version, "status", "knife").output
    assert "20 positive, 60 negative, 0 unsure." in shown and "sluice label plan knife" in shown
    facts = json.loads(call(version, "status", "knife", "--json").output)
    assert facts["labels"]["positive"] == 20
    planned = call(version, "plan", "knife", "--labels", "50", "--labels", "320")
    assert "For a recall of 90% at least" in planned.output and "census" in planned.output
    assert len(json.loads(call(version, "plan", "knife", "--labels", "50", "--json").output)["plans"]) == 1


def test_label_studio_gets_tasks_only_after_a_round(version: Version, tmp_path: Path) -> None:
    outcome = call(version, "export", "knife", "--out", str(tmp_path / "t.json"), "--format", "label-studio")
    assert "has no round yet; begin with `sluice label next knife`" in str(outcome.exception)


def test_the_command_runs_under_prefect_and_tells_the_round(version: Version, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        '[embed]\nembeddings = "elsewhere"\n[[filter.category]]\nname = "fork"\nlabels = "forks.csv"\n', "utf-8"
    )
    command = [sys.executable, "-m", "flows.cli", "label", "next", "fork", "--lake", str(version.lake.root)]
    settings = ["--config", str(tmp_path / "c.toml"), "--labels", "20"]
    outcome = subprocess.run([*command, *settings], capture_output=True, text=True, timeout=300)
    assert outcome.returncode == 0, outcome.stderr
    assert "Round 1 of fork: 20 samples to label" in outcome.stdout and "sluice dashboard" in outcome.stdout


def test_a_question_that_makes_no_sense_starts_no_server(version: Version) -> None:
    outcome = call(version, "next", "knife", "--labels", "0")
    assert isinstance(outcome.exception, UsageError)
