"""The page Bias on a lake that a run made: changes of words and groups, associations, weights."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from infra.dashboard.pages.bias_associations import support as pair_support
from infra.dashboard.pages.bias_changes import interval, searched, support
from tasks.files import read_table
from tasks.lake import Version, find_pool
from tasks.queries import database
from tests.infra.shown_pages import html, is_text_only, open_page, written

VIEWS = ("In short", "Words and phrases", "Groups", "Associations", "Weights")


def newest(lake: Path) -> Version:
    return find_pool(lake, None).version("latest")


def table(lake: Path, name: str) -> list[dict[str, Any]]:
    return read_table(newest(lake).artifact("audit") / f"{name}.parquet").to_pylist()


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_shows_text_only(view: str, curated_lake: Path) -> None:
    app = open_page("bias", curated_lake, bias_view=view)
    is_text_only(app)
    assert html(app).text or written(app)


def test_a_version_without_weights_says_so(curated_lake: Path) -> None:
    assert "has no weights" in written(open_page("bias", curated_lake, "3", bias_view="Weights"))


def test_a_version_without_an_audit_says_so(curated_lake: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(curated_lake, tmp_path / "lake"))
    lake = find_pool(root, None)
    (lake.home / "versions" / "000001.json").rename(tmp_path / "first.json")
    text = (tmp_path / "first.json").read_text("utf-8").replace('"audit": "', '"unknown": "')
    (lake.home / "versions" / "000001.json").write_text(text, "utf-8")
    assert "was not audited" in written(open_page("bias", root, "1"))


def test_words_are_sorted_by_what_the_reader_chose(curated_lake: Path) -> None:
    app = open_page("bias", curated_lake, bias_view="Words and phrases", bias_order="captions in the pool")
    shown = app.dataframe[0].value
    assert shown["pool"].is_monotonic_decreasing
    app.selectbox(key="bias_order").set_value("change by the filter").run()
    assert app.dataframe[0].value["by filter"].abs().is_monotonic_decreasing


def test_words_are_searched_and_bounded_by_support(curated_lake: Path) -> None:
    asked = {"bias_search": "Wom", "bias_least": 20, "bias_longest": "words and phrases"}
    app = open_page("bias", curated_lake, bias_view="Words and phrases", **asked)
    shown = app.dataframe[0].value
    wanted = [row for row in table(curated_lake, "words") if "wom" in row["term"] and row["n_pool"] >= 20]
    assert len(shown) == len(wanted) > 0
    assert all("wom" in term for term in shown["term"])
    app.text_input(key="bias_search").set_value("no such word").run()
    assert "No word or phrase" in written(app)


def test_significant_words_and_asked_words_can_be_had_alone(curated_lake: Path) -> None:
    app = open_page("bias", curated_lake, bias_view="Words and phrases", bias_asked=True)
    assert sorted(app.dataframe[0].value["term"]) == ["man", "woman"]
    app = open_page("bias", curated_lake, bias_view="Words and phrases", bias_significant=True)
    assert all(frame.value["significant"].all() for frame in app.dataframe)


def test_a_word_goes_through_all_steps_as_the_audit_has_it(curated_lake: Path) -> None:
    app = open_page("bias", curated_lake, bias_view="Words and phrases", bias_longest="words")
    (row,) = [row for row in app.dataframe[0].value.to_dict("records") if row["term"] == "woman"]
    (told,) = [row for row in table(curated_lake, "words") if row["term"] == "woman"]
    assert [row["pool"], row["behind filter"], row["kept"]] == [
        told["n_pool"], told["n_after_filter"], told["n_kept"],
    ]  # fmt: skip
    assert row["by filter"] == pytest.approx(100 * told["change_filter"])
    assert row["95% of it"] == interval(told, "change_filter") != ""


def test_groups_and_their_intersections_are_listed(curated_lake: Path) -> None:
    shown = open_page("bias", curated_lake, bias_view="Groups").dataframe[0].value
    assert {"person", "person/woman", "a woman in red"} <= set(shown["group"])


def test_associations_are_searched(curated_lake: Path) -> None:
    app = open_page("bias", curated_lake, bias_view="Associations", bias_pair="WOMAN")
    shown = app.dataframe[0].value
    assert len(shown) == 4  # two groups and two attributes
    assert all("woman" in name for name in shown["group"])


def test_weights_are_told_with_their_quantiles(curated_lake: Path) -> None:
    text = html(open_page("bias", curated_lake, bias_view="Weights")).text
    assert "effective sample size" in text
    assert f"Of the {newest(curated_lake).manifest['counts']['kept']:,} kept samples" in text


def test_support_is_told_where_it_lacks() -> None:
    row = {"term": "cat", "n_kept": 3, "effective_groups": 12.4}
    assert support(row, True, set()) == "no support: counts as 12 groups"
    assert support({**row, "effective_groups": 30.0}, True, set()) == "few: counts as 30 groups"
    assert support({**row, "effective_groups": 80.0}, True, set()) == support(row, False, set()) == ""
    assert support(row, True, {"cat"}) == "no support: not restored"
    assert support({**row, "n_kept": 0}, True, set()) == "none is left"


def test_a_pair_says_why_it_was_not_tested() -> None:
    end = {"by_construction": False, "p_value": 0.2}
    assert pair_support({"before": end, "last": end}) == ""
    assert "no support after" in pair_support({"before": end, "last": {**end, "p_value": None}})
    assert "near-duplicate groups" in pair_support({"before": {**end, "p_value": None}, "last": end})
    assert "by construction" in pair_support({"before": {**end, "by_construction": True}, "last": end})


def test_an_open_bound_of_odds_is_infinite_and_no_bound_is_empty() -> None:
    assert interval({"odds_lower": 1.5, "odds_upper": None}, "odds", "{:.1f}".format) == "1.5 … ∞"
    assert interval({"odds_lower": None, "odds_upper": None}, "odds") == ""


def test_a_search_is_read_as_terms_are_written() -> None:
    assert searched("  Cafe\u0301’S  BAR ") == "caf\u00e9's bar"


def test_weights_of_kept_samples_alone_are_counted() -> None:
    decision = pa.table({"verdict": ["kept", "kept", "filtered"], "weight": [1.0, 3.0, None]})
    with database({"decision": decision}) as db:
        (row,) = db.run("dashboard", "bias_weights").to_pylist()
    assert (row["samples"], row["mean"], row["quantiles"][0], row["quantiles"][-1]) == (2, 2.0, 1.0, 3.0)


def test_odds_of_removal_are_ordered_by_how_far_from_even_they_are() -> None:
    words = {
        "term": ["even", "never", "often", "seldom", "unknown"],
        "removal_odds_ratio": [1.1, 0.0, 3.0, 0.2, None],
        **dict.fromkeys(("change_filter", "change_dedup", "change", "change_weighted"), [0.0] * 5),
        "n_pool": [9] * 5, "n_words": [1] * 5, "significant": [True] * 5, "keyword": [False] * 5,
    }  # fmt: skip
    asked = {"search": "", "least": 0, "longest": 1, "significant": False, "asked": False}
    with database({"words": pa.table(words)}) as db:
        rows = db.run("dashboard", "bias_words", by="removal_odds_ratio", rows=9, skip=0, **asked).to_pylist()
    assert [row["term"] for row in rows] == ["never", "seldom", "often", "even", "unknown"]
    assert {row["matching"] for row in rows} == {5}


def test_weights_are_counted_in_bins_the_last_of_which_holds_the_largest() -> None:
    decision = pa.table({"verdict": ["kept"] * 4 + ["filtered"], "weight": [0.0, 0.9, 1.0, 2.0, None]})
    with database({"decision": decision}) as db:
        rows = db.run("dashboard", "bias_weight_bins", bins=2, most=2.0).to_pylist()
    assert [(row["bin"], row["samples"]) for row in rows] == [(0, 2), (1, 2)]
