"""The documentation says what the code does: made pages are as the code makes them, what people wrote is checked."""

from __future__ import annotations

import ast
import functools
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.main import get_command

from flows import cli
from flows.commands import reference_pages
from flows.config import CurateConfig
from infra.docs import columns, comments, configuration, markdown
from infra.docs.commands import example, leaves
from tasks.lake import Version, find_pool
from tests.drawn_pool import draw_pool
from tests.flows.runs import curated, settings

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
COMMANDS = dict(leaves(get_command(cli.app)))
GROUPS = '[groups.woman]\nterms = ["woman"]\n[attributes.red]\nterms = ["red"]\n'


@pytest.mark.parametrize("name", ["commands.md", "configuration.md", "columns.md", "metrics.md", "questions.md"])
def test_a_page_of_the_reference_is_what_the_code_makes(name: str) -> None:
    kept = (reference_pages.FOLDER / name).read_text("utf-8")
    assert kept == _made()[name], f"run `python -m flows.commands.reference_pages`: {name} is not what the code says"


@functools.cache
def _made() -> dict[str, str]:
    return reference_pages.pages()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_an_example_that_it_understands(name: str) -> None:
    call = example(COMMANDS[name])
    assert call.startswith(f"{name} ") or call == name, f"{name}: its help needs a line `Example: {name} …`"
    _check_call(call)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name: str) -> None:
    assert not [one.name for one in COMMANDS[name].params if not (one.help or "").strip()]


def test_every_call_that_a_page_shows_is_one_that_sluice_understands() -> None:
    calls = [(page, call) for page in PAGES for call in _calls(page)]
    assert len(calls) > 50
    for page, call in calls:
        try:
            _check_call(call)
        except AssertionError as problem:
            raise AssertionError(f"{page.relative_to(ROOT)}: {call}: {problem}") from None


def _calls(page: Path) -> Iterator[str]:
    """The lines of code that call sluice, without their remarks; … stands for more."""
    lines = page.read_text("utf-8").replace("\\\n", " ").splitlines()
    for line in lines:
        found = re.match(r" {4,}(?:\S+=\S+ )*(?:\.venv/bin/)?(sluice .*)", line)
        if found:
            yield re.split(r"\s+#|\s+\|\s", found[1])[0].replace("…", "")


def _check_call(call: str) -> None:
    words = shlex.split(call)
    name = " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else " ".join(words[:3])
    if words[2:3] and words[2].count("|") > 1:
        name = f"{name.rpartition(' ')[0]} {words[2].partition('|')[0]}"  # one of several, as in next|import
    assert name in COMMANDS, "there is no such command"
    known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert given <= known, f"unknown options: {', '.join(sorted(given - known))}"


def test_every_command_that_printed_a_figure_is_there() -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES)
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    assert set(re.findall(r"`make ([\w-]+)", text)) <= targets
    modules = set(re.findall(r"python -m ((?:tests|flows|infra)[\w.]+)", text))
    assert modules and all((ROOT / f"{name.replace('.', '/')}.py").is_file() for name in modules)


def test_every_measured_figure_names_the_command_that_prints_it() -> None:
    tables = re.findall(r"\| what \| command \| here \|\n.*\n((?:\|.*\n)+)", (DOCS / "measured.md").read_text("utf-8"))
    assert len(tables) > 4
    for table in tables:
        commands = [row.split(" | ")[1] for row in table.splitlines()]
        assert commands[0] != "the same"
        assert all(re.match(r"`(?:make|python -m) |the same$", command) for command in commands), commands


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 130


def test_every_key_of_the_configuration_has_a_meaning() -> None:
    text = _made()["configuration.md"]
    rows = re.findall(r"^\| (`\w+`) \| .* \| (.*) \|$", text, re.M)
    assert len(rows) > 50
    assert not [key for key, meaning in rows if not meaning.strip()], "give the field a comment at the end of its line"


def test_defaults_are_shown_as_toml_reads_them() -> None:
    for value in (True, 0.2, 80_000_000, "probes", ("a", "b"), {}):
        text = configuration.toml_text(value).strip("`")
        read = tomllib.loads(f"x = {text}")["x"]
        assert (tuple(read) if isinstance(read, list) else read) == value


def test_types_that_toml_does_not_have_are_not_made_up() -> None:
    with pytest.raises(TypeError, match="a type that TOML has was expected"):
        configuration.type_text(complex)


def test_every_column_has_a_meaning() -> None:
    rows = re.findall(r"^\| (`[^`]+`) \| (\w+) \| (.*) \|$", _made()["columns.md"], re.M)
    assert len(rows) >= 13 + 10 + 6 + 1
    assert not [column for column, _, meaning in rows if not meaning.strip()]
    assert "zero bytes" in columns.reasons() and "ok" not in columns.reasons()


def test_a_comment_is_shown_as_it_stands_and_breaks_no_table() -> None:
    assert markdown.cell("one | two\nthree") == r"one \| two three"
    assert markdown.plain("a_b <c> [d] `e_f|<g>`") == r"a\_b \<c\> \[d\] `e_f|<g>`"
    assert markdown.plain("see docs/groups.md.") == "see [groups](../groups.md)."


def test_a_comment_is_found_beside_its_field_and_nowhere_else() -> None:
    found = comments.fields(CurateConfig)
    assert set(found) == {"ingest", "embed", "filter", "dedup", "audit", "reweight", "publish", "gates"}
    assert set(found.values()) == {""}


def test_every_setting_in_a_toml_example_is_one_that_there_is() -> None:
    known = set(re.findall(r"^## `\[+([\w.]+)\]+`", _made()["configuration.md"], re.M))
    blocks = [block for page in PAGES for block in re.findall(r"```toml\n(.*?)```", page.read_text("utf-8"), re.S)]
    assert blocks
    for block in blocks:
        for section in tomllib.loads(block):
            assert section in known, section


def test_every_message_in_troubleshooting_is_one_that_the_code_has() -> None:
    entries = re.findall(r"^### `(.*)`$", (DOCS / "troubleshooting.md").read_text("utf-8"), re.M)
    assert len(entries) > 30
    texts = list(_literals())
    for entry in entries:
        pieces = [re.escape(piece) for piece in entry.split("…")]
        assert sum(map(len, pieces)) > 15, f"{entry}: too short to tell one message from another"
        pattern = re.compile(".*".join(pieces), re.S)
        assert any(pattern.search(text) for text in texts), f"no message of the code reads: {entry}"


def _literals() -> Iterator[str]:
    """Every text in the code; … where something is put in."""
    for folder in ("flows", "tasks", "infra"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.JoinedStr | ast.Constant):
                    yield _text(node)


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text, node.values))
    return str(node.value) if isinstance(node, ast.Constant) else "…"


def test_every_variable_of_ours_is_described_and_no_other() -> None:
    files = [path for folder in ("flows", "tasks", "infra") for path in (ROOT / folder).rglob("*") if path.is_file()]
    code = [path for path in files if path.suffix in (".py", ".sh", ".yaml") or path.name == "Dockerfile"]
    used = {name for path in code for name in re.findall(r"SLUICE_[A-Z_]+[A-Z]", path.read_text("utf-8"))}
    text = (DOCS / "reference" / "environment.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(SLUICE_\w+)` \|", text, re.M)) == used


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    root = tmp_path_factory.mktemp("documented")
    draw_pool(root / "shapes", 160, shard_rows=80)
    (root / "shapes" / "groups.toml").write_text(GROUPS, "utf-8")
    config = settings(root / "shapes", audit={"keywords": ["woman", "man"], "min_count": 5, "groups": "groups.toml"})
    curated(root / "shapes", root / "lake", config)
    return find_pool(root / "lake", None).version("latest")


def test_every_field_of_a_version_is_described_and_no_other(version: Version) -> None:
    text = (DOCS / "reference" / "versions.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.M)) == set(version.manifest)


def test_every_column_of_the_audits_tables_is_described_and_no_other(version: Version) -> None:
    text = (DOCS / "reference" / "audit-tables.md").read_text("utf-8")
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.M | re.S))
    tables = {path.stem: pq.read_schema(path).names for path in version.artifact("audit").glob("*.parquet")}
    assert set(tables) == set(sections)
    described = {name: _described(section) for name, section in sections.items()}
    described["groups"] |= described["words"] - {"term", "n_words", "keyword"}  # as its text says
    assert described == {name: set(names) for name, names in tables.items()}


def _described(section: str) -> set[str]:
    found = set(re.findall(r"^\| `(\w+)` \|", section, re.M))
    interval = re.search(r"With an interval: (.*?)\.\n", section, re.S)
    bounded = re.findall(r"`(\w+)`", interval[1]) if interval else []
    return found | {f"{name}{end}" for name in bounded for end in ("_lower", "_upper")}


def test_figures_in_the_methods_are_those_of_the_code() -> None:
    from tasks.certifying.elusion import SEEDS_SHARE
    from tasks.certifying.label_plan import BETA
    from tasks.classifying.rbf import POINTS
    from tasks.duplicates.near_pairs import PAIRS_PER_SAMPLE
    from tasks.duplicates.pair_recall import LOW_GAP
    from tasks.duplicates.probing import PROBES
    from tasks.labelling.arms import FEW
    from tasks.words.changes import FEW_GROUPS, TOO_FEW_GROUPS, UNSEEN

    pages = {path.stem: " ".join(path.read_text("utf-8").split()) for path in (DOCS / "methods").glob("*.md")}
    assert f"β = {BETA:g}" in pages["certificates"] and SEEDS_SHARE == 0.1  # "a tenth of the level"
    assert f"at most {POINTS} are landmarks" in pages["certificates"]
    assert f"until {FEW} labels are there" in pages["certificates"]
    assert f"visits up to {PROBES} others" in pages["near-duplicates"]
    assert f"keeps at most {PAIRS_PER_SAMPLE} near ones" in pages["near-duplicates"]
    assert "the tenth of the vectors with the smallest gap" in pages["near-duplicates"] and LOW_GAP == 0.1
    assert f"Below {TOO_FEW_GROUPS} of them there is no interval, below {FEW_GROUPS} it is flagged" in pages["bias"]
    assert "fewer than three whole groups" in pages["bias"] and UNSEEN == 3


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_site_is_built_with_every_link_and_anchor_found(site: Path) -> None:
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert pages <= {path.relative_to(site) for path in site.rglob("*.html")}


def test_the_site_fetches_nothing_from_elsewhere(site: Path) -> None:
    fetching = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^\s\"'>]+")
    for path in site.rglob("*.html"):
        assert not fetching.findall(path.read_text("utf-8")), path
    for path in site.rglob("*.css"):
        assert not re.findall(r"url\([\"']?(?:https?:)?//|@import", path.read_text("utf-8")), path


def test_pages_hold_nothing_of_the_machine_that_they_were_written_on() -> None:
    private = re.compile(r"/work/|/root/|pypi\.|/tmp/(?!dask)", re.I)
    found: dict[str, Any] = {str(page.relative_to(ROOT)): private.findall(page.read_text("utf-8")) for page in PAGES}
    assert not {name: hits for name, hits in found.items() if hits}
