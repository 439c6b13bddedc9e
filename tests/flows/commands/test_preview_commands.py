"""`sluice dedup-preview`, as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from flows.commands.preview import register
from tasks import committing, dedup, references
from tasks.errors import UsageError
from tasks.files import write_array
from tasks.lake import open_lake
from tests.tasks.decided_pool import ingested, samples, serial, write_tars

FACTS = {"parent": None, "previous": None, "run": "r", "gate": [], "code": "", "created_at": "", "inputs": None}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pool "shapes" of 24 samples: clocks are near-duplicates. Version 1 is embedded, 2 deduplicated."""
    root = tmp_path_factory.mktemp("preview")
    draft = ingested(root / "lake", write_tars(root / "shapes", samples(24), per_shard=24), "shapes")
    vectors = np.eye(24, 32)
    vectors[::3] = vectors[0] + 0.03 * np.random.default_rng(0).standard_normal((8, 32))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    write_array(draft.lake.column_path("embedding", "e", draft.parts[0].part), vectors.astype(np.float16))
    draft = draft.derive("embed", columns={"embedding": "e"})
    first = committing.commit(draft, committing.content(draft), {**FACTS, "complete": False})
    done = dedup.run(first, dedup.Config(threshold=0.97, method="exact"), serial)
    committing.commit(done, committing.content(done), {**FACTS, "complete": True})
    return root / "lake"


def call(lake: Path, *arguments: str) -> Result:
    app = typer.Typer()
    register(app)
    app.command("other")(lambda: None)  # an app of one command drops its name
    return CliRunner().invoke(app, ["dedup-preview", *arguments, "--lake", str(lake)])


def test_help_has_an_example(lake: Path) -> None:
    assert "Example: sluice dedup-preview" in call(lake, "--help").output


def test_a_table_says_what_each_threshold_would_remove(lake: Path) -> None:
    outcome = call(lake, "latest")
    assert outcome.exit_code == 0
    assert "0.97 ●" in outcome.output and "0.995" in outcome.output


def test_the_page_and_json_are_written_of_a_pool_or_a_version(lake: Path, tmp_path: Path) -> None:
    outcome = call(lake, "shapes", "--out", str(tmp_path / "page.html"), "--json")
    told = json.loads(outcome.stdout)
    assert told["exact"] and told["pool"] == "shapes"
    assert told["families"] == json.loads(call(lake, "latest", "--json").stdout)["families"]
    assert "What each threshold removes" in (tmp_path / "page.html").read_text("utf-8")


def test_a_tag_names_a_version(lake: Path) -> None:
    home = open_lake(lake, "shapes").home
    assert references.append(home, references.entry("looked-at", 1, 2), 0)
    assert json.loads(call(lake, "looked-at", "--json").stdout)["version"] == 1
    assert json.loads(call(lake, "shapes", "--version", "looked-at", "--json").stdout)["version"] == 1


def test_nothing_is_written_to_the_lake(lake: Path, tmp_path: Path) -> None:
    before = sorted(lake.rglob("*"))
    call(lake, "shapes", "--version", "1", "--out", str(tmp_path / "page.html"))
    assert sorted(lake.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["latest", "--version", "1"], "one of shapes; 'latest' was found"),
        (["shapes", "--pool", "others"], "one pool was expected"),
        (["elsewhere"], "a pool, one of shapes, or a version's number, a tag or latest was expected, not 'elsewhere'"),
        (["elsewhere", "--version", "1"], "one of shapes; 'elsewhere' was found"),
        (["99"], "no version 99"),
    ],
)
def test_a_wrong_call_is_refused_with_the_reason(lake: Path, arguments: list[str], said: str) -> None:
    problem = call(lake, *arguments).exception
    assert isinstance(problem, UsageError) and said in str(problem)
