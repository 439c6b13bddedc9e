"""The page Duplicates on a lake that a run made: strips, blurred until asked; thresholds; what to review."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from infra.dashboard.pages import duplicates_groups, duplicates_thresholds
from infra.dashboard.pages.duplicates_groups import Members
from tasks.files import read_table
from tasks.lake import Version, find_pool
from tasks.queries import database
from tests.infra.shown_pages import html, is_text_only, open_page, written
from tests.tasks.queued import HOSTILE


def newest(lake: Path) -> Version:
    return find_pool(lake, None).version("latest")


def test_a_version_before_deduplication_says_so(curated_lake: Path) -> None:
    assert "were not searched yet" in written(open_page("duplicates", curated_lake, "2"))


def test_the_largest_group_comes_first_and_its_captions_are_text(curated_lake: Path) -> None:
    app = open_page("duplicates", curated_lake)
    is_text_only(app)
    found = html(app)
    assert f"Group 0: {sum(bool(text) for text in HOSTILE)} images" in found.text
    assert "<script>alert(1)</script>" in found.text
    assert "\u202e" not in found.text


def test_pictures_are_blurred_until_asked(curated_lake: Path) -> None:
    app = open_page("duplicates", curated_lake)
    before = html(app).pictures
    app.toggle(key="duplicates_sharp").set_value(True).run()
    after = html(app).pictures
    assert len(before) == len(after) > 0
    assert not set(before) & set(after)


def test_one_group_can_be_seen_whole(curated_lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates_groups, "MEMBERS", 2)
    assert "“One group whole” shows all of them" in html(open_page("duplicates", curated_lake)).text
    app = open_page("duplicates", curated_lake, duplicates_one=0)
    assert len(html(app).pictures) == sum(bool(text) for text in HOSTILE)


def test_a_gone_pool_leaves_captions_without_pictures(curated_lake: Path) -> None:
    pool = curated_lake.parent / "shapes"
    pool.rename(pool.with_name("elsewhere"))
    try:
        duplicates_groups._made.clear()
        found = html(open_page("duplicates", curated_lake))
    finally:
        pool.with_name("elsewhere").rename(pool)
        duplicates_groups._made.clear()
    assert not found.pictures
    assert "no picture" in found.text


def test_groups_that_disagree_can_be_had_alone(curated_lake: Path) -> None:
    app = open_page("duplicates", curated_lake, duplicates_which="captions say something else")
    text = html(app).text
    assert "disagree with that of the one that stays" in text


def test_groups_that_the_filter_judged_differently_can_be_had_alone(curated_lake: Path) -> None:
    groups = read_table(newest(curated_lake).artifact("groups") / "groups.parquet").group_by("group")
    mixed = sum(n > 1 for n in groups.aggregate([("verdict", "count_distinct")])["verdict_count_distinct"].to_pylist())
    app = open_page("duplicates", curated_lake, duplicates_which=duplicates_groups.MIXED)
    assert html(app).text.count("Group ") == min(mixed, duplicates_groups.GROUPS) > 0


def test_the_review_list_is_searched(curated_lake: Path) -> None:
    app = open_page("duplicates", curated_lake, duplicates_view="To review")
    whole = app.dataframe[0].value
    review = read_table(newest(curated_lake).artifact("published") / "duplicates_review.parquet")
    assert len(whole) == len(review) > 0
    app.text_input(key="duplicates_search").set_value("no caption has this").run()
    assert "No group fits" in written(app)
    is_text_only(app)


def test_a_version_before_publishing_has_no_review_list(curated_lake: Path) -> None:
    assert "when a run publishes" in written(open_page("duplicates", curated_lake, "3", duplicates_view="To review"))


def test_the_own_threshold_removes_what_the_version_removed(curated_lake: Path) -> None:
    version = newest(curated_lake)
    open_page("duplicates", curated_lake, duplicates_view="Similarity and thresholds")
    found = duplicates_thresholds.removals(version)
    assert found.rows[0].threshold == version.config["dedup"]["threshold"]
    assert found.rows[0].removed == version.summary["dedup"]["removed"] > 0
    removed = [row.removed for row in found.rows]
    assert removed == sorted(removed, reverse=True)


def test_bands_and_thresholds_are_told(curated_lake: Path) -> None:
    app = open_page("duplicates", curated_lake, duplicates_view="Similarity and thresholds")
    text = html(app).text
    assert "How many pairs were found" in text
    assert "0.97 (now)" in text
    assert len(app.get("vega_lite_chart")) == 2


def test_groups_come_largest_first_and_mixed_ones_alone() -> None:
    groups = pa.table({"group": [0, 0, 0, 1, 1], "verdict": ["kept", "kept", "kept", "filtered", "kept"]})
    with database({"groups": groups}) as db:
        every = db.run("dashboard", "duplicates_groups", mixed=False, rows=9, skip=0).to_pylist()
        mixed = db.run("dashboard", "duplicates_groups", mixed=True, rows=9, skip=0).to_pylist()
        second = db.run("dashboard", "duplicates_groups", mixed=False, rows=1, skip=1).to_pylist()
    assert [(row["group"], row["size"], row["filtered"]) for row in every] == [(0, 3, 0), (1, 2, 1)]
    assert [(row["group"], row["matching"]) for row in mixed] == [(1, 1)]
    assert [row["group"] for row in second] == [1]


def test_pairs_are_counted_by_similarity_and_kind() -> None:
    pairs = pa.table({"similarity": [0.9, 0.96, 1.0, 1.0], "step": pa.array([0, 0, 0, -1], pa.int8())})
    with database({"pairs": pairs}) as db:
        rows = db.run("dashboard", "duplicates_similarity", low=0.9, bins=2).to_pylist()
    assert [(row["kind"], round(row["low"], 6), row["pairs"]) for row in rows] == [
        ("exact copies", 0.95, 1), ("near-duplicates", 0.9, 1), ("near-duplicates", 0.95, 2),
    ]  # fmt: skip


def test_members_of_a_group_are_found_by_its_number() -> None:
    found = Members(pa.array(["a", "b", "c"]), np.array([0, 2, 3]))
    assert found.of(0, 0, 9) == ["a", "b"]
    assert found.of(0, 1, 9) == ["b"]
    assert found.of(1, 0, 9) == ["c"]


def test_rows_of_uids_are_found_once_and_quarantined_ones_never() -> None:
    sample = pa.table(
        {
            "row": [0, 1, 2],
            "uid": ["a", "a", "b"],
            "caption": ["x", "y", "z"],
            "verdict": ["kept", "quarantined", "duplicate"],
            "duplicate_similarity": [None, None, 0.99],
        }
    )
    with database({"sample": sample}) as db:
        rows = db.run("dashboard", "duplicates_rows", uids="a,b,c").to_pylist()
    assert [(row["row"], row["uid"]) for row in rows] == [(0, "a"), (2, "b")]


def test_near_samples_are_told_once_each_with_whether_the_filter_kept_them() -> None:
    facts = {"uid": ["a", "b", "c"], "caption": ["x"] * 3, "width": [1] * 3, "height": [1] * 3}
    sample = pa.table({"row": [0, 1, 2], **facts, "verdict": ["kept", "filtered", "duplicate"]})
    pairs = pa.table({"i": [0, 0], "j": [1, 2]})
    with database({"sample": sample, "pairs": pairs}) as db:
        rows = db.run("dashboard", "duplicates_near").to_pylist()
    assert [(row["row"], row["candidate"]) for row in rows] == [(0, True), (1, False), (2, True)]


def test_the_review_list_is_ordered_by_disagreement_and_searched_in_captions_and_words() -> None:
    review = pa.table(
        {
            "group": [0, 1, 2],
            "reasons": ["words", "verdicts captions", "captions"],
            "disagreeing": [1, 5, 2],
            "jaccard": [0.5, None, 0.1],
            "stays_caption": ["A Cat", "dog", None],
            "unlike_caption": ["cat", "dog", "owl"],
            "words": ["one two", "", ""],
        }
    )
    with database({"review": review}) as db:

        def groups(reason: str, search: str) -> list[int]:
            rows = db.run("dashboard", "duplicates_review", reason=reason, search=search, rows=9, skip=0)
            return rows["group"].to_pylist()

        assert groups("", "") == [1, 2, 0]
        assert groups("captions", "") == [1, 2]
        assert groups("", "CAT") == groups("", "two") == [0]
