"""The page Filter on a lake that a run made: what is removed, what another threshold would do, how far labelling is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from infra.dashboard.pages.filter import thresholds
from infra.dashboard.pages.filter_plan import pool
from tasks.classifying.category_spec import Category
from tasks.classifying.given import log_path
from tasks.labelling import active
from tasks.labels.label_log import NEGATIVE, POSITIVE, UNSURE, Entry, append
from tasks.labels.rounds import Item, Round, write_round
from tasks.lake import find_pool
from tasks.queries import database
from tests.infra.shown_pages import html, is_text_only, open_page, written

HOSTILE_NAME = "<img src=x onerror=alert(1)> **bold** :smile:"


@pytest.fixture
def labelled(curated_lake: Path, tmp_path: Path) -> Path:
    """The lake with answers of two annotators, one of whom has a hostile name and disagrees."""
    root = Path(shutil.copytree(curated_lake, tmp_path / "lake"))
    lake = find_pool(root, None)
    said = [(0, POSITIVE, "ann"), (0, NEGATIVE, HOSTILE_NAME), (1, NEGATIVE, "ann"), (2, UNSURE, "ann")]
    time = "2026-03-01T08:00:00+00:00"
    entries = [Entry(f"{row:032x}", "redcross", label, name, time, "prompt", "") for row, label, name in said]
    append(log_path(lake, "redcross"), entries)
    return root


def test_a_version_before_the_filter_says_so(curated_lake: Path) -> None:
    assert "filters no category" in written(open_page("filter", curated_lake, "1"))


def test_the_figures_are_those_of_the_version(curated_lake: Path) -> None:
    told = find_pool(curated_lake, None).version("latest").summary["filter"]["categories"]["redcross"]
    text = html(open_page("filter", curated_lake)).text
    assert f"removed {told['removed']:,}" in text
    assert told["certificate"]["sentence"].replace("`", "")[:60] in text.replace("  ", " ")
    assert "Labels that would certify it." in text


def test_another_threshold_tells_what_it_would_remove_and_find(curated_lake: Path) -> None:
    app = open_page("filter", curated_lake)
    assert "The threshold that is used" in html(app).text
    app.select_slider[0].set_value(0).run()
    text = html(app).text
    assert "The threshold that is used" not in text
    assert "in the category's settings sets it" in text


def test_the_curve_and_the_scores_are_drawn_from_the_version(curated_lake: Path) -> None:
    app = open_page("filter", curated_lake)
    curve, scores = (json.loads(chart.proto.spec) for chart in app.get("vega_lite_chart"))
    threshold = find_pool(curated_lake, None).version("latest").summary["filter"]["categories"]["redcross"]["threshold"]
    assert scores["layer"][1]["encoding"]["x"]["datum"] == threshold
    assert any(layer["mark"]["type"] == "rule" for layer in curve["layer"])


def test_labels_are_told_by_annotator_and_disagreements_by_name(labelled: Path) -> None:
    app = open_page("filter", labelled, filter_view="Labels and rounds")
    text = html(app).text
    assert "ann 1 1 1" in text
    assert HOSTILE_NAME in text
    assert app.dataframe[0].value["no"].to_list() == [HOSTILE_NAME]
    is_text_only(app)


def test_a_new_answer_is_seen_at_once(labelled: Path) -> None:
    app = open_page("filter", labelled, filter_view="Labels and rounds")
    entry = Entry(f"{9:032x}", "redcross", POSITIVE, "ben", "2026-03-02T08:00:00+00:00", "prompt", "")
    append(log_path(find_pool(labelled, None), "redcross"), [entry])
    assert "ben 1 0 0" in html(app.run()).text


def test_rounds_are_told_with_what_they_bought_and_what_another_would(labelled: Path) -> None:
    lake = find_pool(labelled, None)
    items = tuple(Item(f"{row:032x}", "uncertain", 0.5) for row in range(4))
    report = {"model": {"removed": 9}}
    write_round(lake, Round("redcross", 1, "2026-02-01T08:00:00+00:00", 5, "m", 0.4, "t", items, None, (), report))
    text = html(open_page("filter", labelled, filter_view="Labels and rounds")).text
    assert "uncertain: 4 asked, 3 answered, 1 positive" in text
    assert "Of the last 3 picks 1 were positive" in text


def test_a_damaged_line_of_the_log_is_named(labelled: Path) -> None:
    with log_path(find_pool(labelled, None), "redcross").open("a", encoding="utf-8") as file:
        file.write("<script>alert(1)</script>,redcross\n")
    app = open_page("filter", labelled, filter_view="Labels and rounds")
    assert "Line 6 of the log is damaged" in html(app).text
    is_text_only(app)


def test_a_category_that_is_only_being_labelled_is_shown_too(labelled: Path) -> None:
    entry = Entry(f"{9:032x}", "new-one", POSITIVE, "ben", "2026-03-02T08:00:00+00:00", "prompt", "")
    append(log_path(find_pool(labelled, None), "new-one"), [entry])
    app = open_page("filter", labelled, filter_category="new-one")
    assert "does not filter by this category" in written(app)


def test_scores_are_counted_by_verdict_and_label() -> None:
    decision = pa.table(
        {
            "verdict": ["kept", "duplicate", "filtered", "filtered", "quarantined"],
            "reason": [None, "near-duplicate", "cat: score", "a-cat: score; dog: labelled", "zero bytes"],
            "score": [0.1, 0.2, 1.0, 0.6, 0.9],
        }
    )
    labelled = pa.table({"label": pa.array([1, 0], pa.int8()), "score": [0.95, 0.05]})
    with database({"decision": decision, "labelled": labelled}) as db:
        rows = db.run("dashboard", "filter_scores", wanted="cat", bins=2).to_pylist()
    counts = {(row["state"], row["low"]): row["samples"] for row in rows}
    assert counts == {
        ("let through", 0.0): 2, ("let through", 0.5): 0,
        ("filtered", 0.0): 0, ("filtered", 0.5): 1,
        ("filtered for something else", 0.0): 0, ("filtered for something else", 0.5): 1,
        ("labelled yes", 0.0): 0, ("labelled yes", 0.5): 1,
        ("labelled no", 0.0): 1, ("labelled no", 0.5): 0,
    }  # fmt: skip


def test_usable_samples_are_counted_on_both_sides_of_a_threshold() -> None:
    verdict = ["filtered", "filtered", "kept", "kept", "quarantined"]
    decision = pa.table({"verdict": verdict, "score": pa.array([0.9, 0.7, 0.25, None, 0.9], pa.float32())})
    with database({"decision": decision}) as db:
        (row,) = db.run("dashboard", "filter_size", threshold=float(np.float32(0.7))).to_pylist()
    assert row == {"flagged": 2, "unflagged": 2}


def test_the_labels_that_would_certify_are_those_that_the_plan_of_a_round_tells(curated_lake: Path) -> None:
    """What the summary tells of the pool is what active learning counts sample by sample."""
    lake = find_pool(curated_lake, None)
    version = lake.version("latest")
    labels = curated_lake.parent / "shapes" / "labels.csv"
    category = Category("redcross", labels=str(labels), recall=0.9)
    prepared = active.prepare(lake.version(2), category, 5, lambda work, items: [work(item) for item in items])
    facts = version.summary["filter"]["categories"]["redcross"]
    expected = active.expected(prepared)
    assert prepared.judged is not None and prepared.judged.threshold == facts["threshold"]
    sides = {"flagged": expected.flagged, "unflagged": expected.unflagged}
    found = pool(facts, sides, 60)
    assert found._replace(positives=0) == expected._replace(positives=0)
    assert found.positives == pytest.approx(expected.positives, abs=0.01)


def test_thresholds_are_told_apart_by_as_few_digits_as_do() -> None:
    first = np.float32(0.9882091)
    near = [{"threshold": float(one)} for one in (first, np.nextafter(first, np.float32(1)))]
    assert thresholds([{"threshold": 0.5}, {"threshold": 0.25}]) == ["0.5", "0.25"]
    assert [np.float32(text) for text in thresholds(near)] == [np.float32(point["threshold"]) for point in near]
