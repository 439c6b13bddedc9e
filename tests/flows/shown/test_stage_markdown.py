"""What the Prefect UI shows: figures that are the version's own, and captions that are text whatever they hold."""

from __future__ import annotations

import base64
import dataclasses
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.shown.gate_examples import MOST, examples
from flows.shown.markdown import plain, table
from flows.shown.plot import Row, bar, forest
from flows.shown.stage_markdown import failure_markdown, run_markdown, stage_markdown
from flows.shown.texts import failure
from tasks.gates import Result
from tasks.lake import Version, find_pool
from tests.drawn_pool import draw_pool
from tests.flows.runs import curated

HOSTILE = "<img src=x onerror=alert(1)> [a](javascript:b) `c` | https://evil.example www.evil.example x@evil.example"


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    folder = tmp_path_factory.mktemp("told")
    draw_pool(folder / "shapes", 120, shard_rows=60)
    curated(folder / "shapes", folder / "lake")
    return find_pool(folder / "lake", None).version("latest")


def test_a_stage_shows_funnel_gate_audit_with_a_plot_and_lineage(version: Version) -> None:
    weighted = next(one for one in version.lake.versions() if one.stage == "reweight")
    text = stage_markdown("reweight", weighted, "1.0 s, 2 parts worked on")
    assert text.startswith("**reweight**: ") and "; 1.0 s, 2 parts worked on\n" in text
    counts = weighted.manifest["counts"]
    assert f"| kept | {counts['kept']:,} |" in text and f"−{counts['filtered']:,} filtered |" in text
    assert text.count("| yes |") == len(weighted.manifest["gate"])
    assert "| woman |" in text and "data:image/svg+xml;base64," in text
    assert weighted.manifest["digest"] in text and weighted.manifest["run"] in text


def test_a_run_shows_all_its_gates_and_what_it_was_made_from(version: Version) -> None:
    text = run_markdown(version)
    assert [name for name in ("ingest", "filter", "dedup", "reweight", "publish") if f"\n| {name} | " in text] != []
    assert text.count("| yes |") == 5
    for number in range(1, 6):
        assert f"`{version.lake.manifest(number)['digest'][:16]}`" in text


def test_a_failed_gate_shows_first_what_failed_and_samples_that_it_is_about(version: Version) -> None:
    results = [Result("kept", True, 9.0, 1, None, "kept"), Result("filtered_share", False, 0.5, 0, 0.2, "filtered")]
    found = examples(version, ["filtered_share"], {})
    text = failure_markdown(failure("filter", version, results[1:]), version, results, found)
    assert text.index("| filtered\\_share |") < text.index("| kept |") and "| NO |" in text
    filtered = dict(zip(*(version.table(*column)[column[1][0]].to_pylist() for column in UID_AND_VERDICT), strict=True))
    assert found and all(filtered[one.uid] == "filtered" and f"`{one.uid}`" in text for one in found)


UID_AND_VERDICT = (("samples", ["uid"]), ("decision", ["verdict"]))


def test_examples_are_few_spread_and_fit_their_metric(version: Version) -> None:
    metrics = ["filtered_share", "duplicate_share", "effective_sample_share", "audit.change woman", "kept"]
    found = examples(version, metrics, {"audit.change woman": "woman"})
    of = {metric: [one for one in found if one.metric == metric] for metric in metrics}
    assert all(len(one) <= MOST for one in of.values()) and of["kept"] == []
    assert all(one.why.startswith("filtered") for one in of["filtered_share"])
    assert all("near-duplicate of" in one.why for one in of["duplicate_share"])
    assert of["effective_sample_share"] and all("weight" in one.why for one in of["effective_sample_share"])
    said = of["audit.change woman"]
    assert said and all("woman" in one.caption and not one.why.startswith("kept") for one in said)


def test_hostile_captions_are_text(version: Version) -> None:
    cell = plain(HOSTILE)
    assert not re.search(r"(?<!\\)[<>`|\[\](){}*_#!&]", cell)
    assert "://" not in cell and "www." not in cell and not re.search(r"\w@", cell)


@given(st.text())
def test_whatever_a_pool_says_stays_in_its_cell(text: str) -> None:
    lines = table(("a",), [(plain(text),)])
    assert len(lines) == 5 and "\n" not in lines[3]
    assert not re.search(r"(?<!\\)(?:\\\\)*\|", lines[3][2:-2])


@given(st.lists(st.tuples(st.text(max_size=30), *[st.none() | st.floats(-1, 50)] * 3), min_size=1, max_size=5))
def test_a_plot_is_one_picture_without_a_word_of_markup(rows: list[tuple[str, float, float, float]]) -> None:
    _, line, _ = forest([Row(*row) for row in rows], "change")
    found = re.fullmatch(r"!\[change\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", line)
    assert found
    picture = base64.b64decode(found[1]).decode()
    root = ElementTree.fromstring("".join(c for c in picture if c.isprintable() or c == "\n"))
    assert root.tag == "{http://www.w3.org/2000/svg}svg" and not list(root.iter("{http://www.w3.org/2000/svg}script"))


@pytest.mark.parametrize(("share", "full"), [(0, 0), (0.5, 10), (1, 20)])
def test_a_bar_is_as_long_as_its_share(share: float, full: int) -> None:
    assert bar(share).count("█") == full and len(bar(share)) == 20


def test_a_version_without_an_audit_shows_none(version: Version) -> None:
    bare = dataclasses.replace(version, summary={**version.summary, "audit": {}})
    assert "### Audit" not in stage_markdown("dedup", bare)
