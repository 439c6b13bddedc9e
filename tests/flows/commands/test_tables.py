"""What a pool says of itself is shown as text: nothing in it moves a cursor, colours a line or breaks one."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console

from flows.commands.tables import audit_table, diff_text, show_text, why_text
from flows.shown.progress import Reporter
from flows.shown.stage_markdown import stage_markdown
from flows.shown.texts import failure, smaller_removals, stage_line
from tasks.files import read_table
from tasks.gates import Result, evaluate
from tasks.lake import Version, find_pool
from tasks.records.history import diff, why
from tasks.reporting.screen import screen
from tasks.suites import Config
from tests.flows.runs import curated, settings
from tests.small_pool import drawn, write_img2dataset

HOSTILE = "[red]boo[/red] \x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J line one\nline two\r\u202etfel [/] [bold"
PROBLEM = "missing \x1b[2Jheader [red]a[/red]\nnext line"


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """A published version of a pool whose every caption is hostile, with near-duplicates."""
    folder = tmp_path_factory.mktemp("hostile")
    samples = [(key, image, f"{HOSTILE} {text}") for key, image, text in drawn(80)]
    copies = [(f"9{key[1:]}", image, text) for key, image, text in samples[:20]]
    write_img2dataset(folder / "pool", [*samples, *copies], per_shard=50)
    curated(folder / "pool", folder / "lake", settings(folder / "pool", filter={}))
    return find_pool(folder / "lake", None).version("latest")


def printed(renderable: Any, width: int = 100) -> str:
    """What a terminal is sent: colours, and nothing else that is not text."""
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def is_text(lines: str) -> bool:
    return all(character.isprintable() for character in lines.replace("\n", ""))


def test_a_hostile_caption_is_text_when_one_asks_why(version: Version) -> None:
    rows = version.table("decision").to_pylist()
    uids = version.table("samples")["uid"].to_pylist()
    for verdict in ("kept", "duplicate"):
        uid = next(uid for uid, row in zip(uids, rows, strict=True) if row["verdict"] == verdict)
        text = why_text(why(version, uid))
        assert is_text(text) and "[red]boo[/red]" in text
        assert not any(line.startswith("line two") for line in text.splitlines())


def test_a_hostile_caption_is_text_in_a_difference(version: Version) -> None:
    text = diff_text(diff(version.lake.version(1), version))
    assert is_text(text) and "kept → duplicate" in text and "[red]boo[/red]" in text


def test_a_hostile_caption_is_text_on_the_screen(version: Version) -> None:
    shown = printed(screen(version))
    assert is_text(shown) and "[red]boo[/red]" in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_a_hostile_shards_name_and_break_are_text_in_a_version(version: Version) -> None:
    part = dataclasses.replace(version.parts[0], path="\x1b[31mfolder\n/[red]0.tar", broken=PROBLEM)
    text = show_text(dataclasses.replace(version, parts=(part,)))
    assert is_text(text) and "[red]0.tar" in text and "[red]a[/red]" in text
    assert "\nnext line" not in text


def test_markup_in_an_audited_term_is_text(version: Version) -> None:
    words = read_table(version.artifact("audit") / "words.parquet").slice(0, 1)
    place = words.schema.get_field_index("term")
    shown = printed(audit_table(words.set_column(place, "term", pa.array(["[red]x[/red] [/]"])), 5))
    assert "[red]x[/red] [/]" in shown


def test_an_audit_shows_no_more_rows_than_asked_and_a_dash_for_what_is_unknown(version: Version) -> None:
    words = read_table(version.artifact("audit") / "words.parquet")
    assert len(printed(audit_table(words, 3)).strip().splitlines()) == 4
    place = words.schema.get_field_index("change_weighted")
    unknown = words.set_column(place, "change_weighted", pa.nulls(words.num_rows, pa.float64()))
    assert "–" in printed(audit_table(unknown, 3))


def test_the_terminals_lines_are_plain_text() -> None:
    console = Console(file=io.StringIO(), width=40)
    Reporter(console, artifacts=False).say("[red]a pool's name[/red] :smile: " + 80 * "x")
    assert console.file.getvalue() == "[red]a pool's name[/red] :smile: " + 80 * "x" + "\n"  # type: ignore[attr-defined]


# --- texts: what a stage did, and why a gate failed


def test_every_stage_says_what_it_did_in_a_line_and_in_markdown(version: Version) -> None:
    for made in version.lake.versions():
        line = stage_line(made.stage, made)
        assert line.endswith(f"→ version {made.number}") and "\n" not in line
        text = stage_markdown(made.stage, made)
        assert text.startswith(f"**{made.stage}**: {line}")
        assert text.count("| yes |") == len(made.manifest["gate"]) and "NO" not in text


def test_a_metric_that_was_not_evaluated_is_told_from_one_that_failed(version: Version) -> None:
    gate = [
        dataclasses.asdict(Result("orphans", False, None, 0, 0, "no orphan", "it was not evaluated")),
        dataclasses.asdict(Result("kept", False, 0.0, 1, None, "samples kept")),
    ]
    text = stage_markdown("dedup", dataclasses.replace(version, manifest={**version.manifest, "gate": gate}))
    assert "| orphans | not evaluated | 0 | NO |" in text and "| kept | 0 | 1 … | NO |" in text


@pytest.mark.parametrize(
    ("stage", "bounds", "metric", "advice"),
    [
        ("dedup", {"max_duplicates": 0.01}, "duplicate_share", "raise dedup.threshold"),
        ("reweight", {"min_kept": 10_000}, "kept", "lower gates.min_kept"),
        ("ingest", {"max_quarantined": 0.0}, "quarantined_share", "mend the pool"),
        ("filter", {"max_filtered": 0.0}, "filtered_share", "lower the category's recall"),
        ("reweight", {"min_effective_sample_share": 1.0}, "effective_sample_share", "lower reweight.cap"),
    ],
)
def test_a_failure_says_what_failed_and_what_to_do_next(
    version: Version, stage: str, bounds: dict[str, Any], metric: str, advice: str
) -> None:
    (result,) = [r for r in evaluate(version, stage, Config(**bounds)) if r.metric == metric]
    text = failure(stage, version, [result])
    assert text.startswith(f"the gate after {stage} failed; no version was committed")
    assert result.sentence() in text and advice in text.splitlines()[-1]


def test_what_no_pool_should_do_is_to_be_reported(version: Version) -> None:
    text = failure("dedup", version, [Result("orphans", False, 1.0, 0, 0, "no orphan")])
    assert text.splitlines()[-1].endswith("keep the run's record, and report it")


def test_a_failure_of_the_pool_names_reasons_and_broken_shards_as_text(version: Version) -> None:
    broken = {f"{number}.tar": PROBLEM for number in range(7)}
    told = version.derive("ingest", summary={"quarantined": {"zero bytes": 1200}, "broken_shards": broken})
    text = failure("ingest", told, [Result("kept", False, 0.0, 1, None, "samples kept")])
    assert "quarantined, zero bytes: 1,200" in text and "and 2 more broken shards" in text
    assert "broken shard 4.tar: missing" in text and "5.tar" not in text
    assert is_text(text)


def test_a_smaller_removal_is_told_with_its_recall_or_as_impossible() -> None:
    recall = {"estimate": 0.8, "lower": 0.7, "confidence": 0.95, "note": "40 positives"}
    points = [
        {"share": 0.1, "threshold": 0.6, "removed": 1, "recall_estimate": recall},
        {"share": 0.05, "threshold": None, "removed": None, "recall_estimate": None},
    ]
    possible, impossible = smaller_removals({"categories": {"romance": {"suggestions": points}}})
    assert "at most 10% of the pool (threshold 0.6)" in possible and "80.0%, at least 70.0% at 95%" in possible
    assert "at most 5% of the pool is not possible" in impossible
    assert smaller_removals({}) == []


def test_a_certificate_that_fails_a_gate_is_told_with_the_parts_it_leaves_out(version: Version) -> None:
    certificate = {"sentence": "Not certified: 5 labels lack.", "not_covered": ["late.tar"]}
    told = version.derive("filter", summary={"categories": {"knife": {"certificate": certificate, "suggestions": []}}})
    text = failure("filter", told, [Result("certified_recall.knife", False, 0.0, 0.9, None, "recall certified")])
    assert "knife: Not certified: 5 labels lack." in text and "not covered: late.tar" in text
    assert "--labels 0 --certify N" in text.splitlines()[-1]
