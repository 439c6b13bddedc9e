from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tasks import audit
from tasks.audit import Config
from tasks.errors import ConfigError
from tasks.lake import Version
from tests.tasks.captioned import captioned, map_here

# The article's toy filter: three in four dogs go, every second cat.
TOY = [("a dog", "filtered")] * 30 + [("a dog", "kept")] * 10 + [("a cat", "filtered")] * 20 + [("a cat", "kept")] * 20


def toy(root: Path, weights: list[float | None] | None = None) -> Version:
    return captioned(root, [caption for caption, _ in TOY], [verdict for _, verdict in TOY], weights)


def audited(version: Version, **settings: Any) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Rows by term, and the summary."""
    tables, summary = audit.audit(version, Config(**settings), map_here)
    words = tables["words"]
    return {row["term"]: row for row in words.to_pylist()}, summary


def test_the_change_of_a_word_is_its_share_of_the_kept_over_its_share_of_the_pool(tmp_path: Path) -> None:
    rows, summary = audited(toy(tmp_path))
    assert rows["dog"]["n_pool"] == 40 and rows["dog"]["n_kept"] == 10
    assert rows["dog"]["change_filter"] == rows["dog"]["change"] == pytest.approx((10 / 30) / (40 / 80) - 1, abs=1e-6)
    assert rows["cat"]["change_filter"] == pytest.approx((20 / 30) / (40 / 80) - 1, abs=1e-6)
    assert rows["a"]["change_filter"] == 0
    assert rows["dog"]["change_dedup"] == 0
    assert rows["dog"]["change_weighted"] is None
    assert rows["dog"]["change_filter_lower"] < rows["dog"]["change_filter"] < rows["dog"]["change_filter_upper"]
    assert summary["samples"] == {"pool": 80, "units": 80, "after_filter": 30, "kept": 30}


def test_weights_that_undo_the_filter_bring_every_change_back_to_nothing(tmp_path: Path) -> None:
    weights = [{"a dog": 1.5, "a cat": 0.75}[caption] if verdict == "kept" else None for caption, verdict in TOY]
    rows, _ = audited(toy(tmp_path, weights))
    assert [rows[word]["change_weighted"] for word in ("dog", "cat", "a")] == [0, 0, 0]
    assert rows["dog"]["change"] < -0.3
    assert rows["dog"]["change_weighted_lower"] < 0 < rows["dog"]["change_weighted_upper"]
    assert rows["dog"]["few_groups"]


def test_filter_and_dedup_are_told_apart(tmp_path: Path) -> None:
    captions = ["clock"] * 4 + ["cat"] * 4 + ["dog"] * 4
    verdicts = ["kept", *["duplicate"] * 3, *["kept"] * 4, *["filtered"] * 2, *["kept"] * 2]
    rows, summary = audited(captioned(tmp_path, captions, verdicts, groups=[range(4)]), min_count=1)
    assert summary["samples"] == {"pool": 12, "units": 9, "after_filter": 10, "kept": 7}
    clock, dog = rows["clock"], rows["dog"]
    assert (clock["n_pool"], clock["n_units"], clock["n_kept"]) == (4, 1, 1)
    assert clock["change_filter"] == pytest.approx((4 / 10) / (4 / 12) - 1, abs=1e-6)
    assert clock["change_dedup"] == pytest.approx((1 / 7) / (4 / 10) - 1, abs=1e-6)
    assert clock["change"] == pytest.approx((1 / 7) / (1 / 9) - 1, abs=1e-6)
    assert dog["change"] == pytest.approx((2 / 7) / (4 / 9) - 1, abs=1e-6)
    assert dog["change_lower"] < dog["change"] < dog["change_upper"]


def test_removing_duplicates_with_other_captions_is_no_fall_of_a_word(tmp_path: Path) -> None:
    captions = ["cat", "feline"] * 10
    verdicts = ["kept", "duplicate", "duplicate", "kept"] * 5
    groups = [(i, i + 1) for i in range(0, 20, 2)]
    rows, _ = audited(captioned(tmp_path, captions, verdicts, groups=groups), min_count=1)
    assert (rows["cat"]["n_units"], rows["cat"]["reference"], rows["cat"]["change"]) == (10, 5, 0)


def test_a_wider_group_makes_a_wider_interval(tmp_path: Path) -> None:
    alone, _ = audited(toy(tmp_path / "alone"))
    fives = [range(i, i + 5) for i in range(0, 80, 5)]
    grouped, _ = audited(captioned(tmp_path / "grouped", [c for c, _ in TOY], [v for _, v in TOY], groups=fives))
    assert grouped["dog"]["change_filter"] == alone["dog"]["change_filter"]
    assert grouped["dog"]["change_filter_upper"] > alone["dog"]["change_filter_upper"]


def test_a_large_change_is_significant_and_listed_and_a_word_in_every_caption_is_not(tmp_path: Path) -> None:
    captions = ["a woman"] * 100 + ["a tree"] * 400
    verdicts = ["filtered"] * 60 + ["kept"] * 40 + ["kept"] * 400
    rows, summary = audited(captioned(tmp_path, captions, verdicts), phrases=1)
    assert {term for term, row in rows.items() if row["significant"]} == {"woman", "tree"}
    assert (summary["tested"], summary["significant"], summary["vocabulary"]) == (3, 2, 3)
    assert [row["term"] for row in summary["falls"]] == ["woman"]
    assert [row["term"] for row in summary["rises"]] == ["tree"]
    assert summary["listed_level"] == pytest.approx(1 - 0.05 * 2 / 3, abs=1e-6)
    fall = summary["falls"][0]  # picked from three, hence a wider interval than the word has for itself
    assert fall["change_filter_upper"] > rows["woman"]["change_filter_upper"]


def test_phrases_are_audited_like_words_and_the_summary_names_of_a_phrase_and_its_parts_the_longest(
    tmp_path: Path,
) -> None:
    captions = ["a night in los angeles"] * 60 + ["a night by the sea"] * 60 + ["a day by the sea"] * 280
    verdicts = ["filtered"] * 50 + ["kept"] * 350
    rows, summary = audited(captioned(tmp_path, captions, verdicts))
    assert rows["los angeles"]["n_words"] == 2 and rows["in los angeles"]["n_words"] == 3
    assert rows["los angeles"]["n_pool"] == rows["angeles"]["n_pool"] == 60
    assert rows["los angeles"]["change_filter"] == rows["los"]["change_filter"] < -0.5
    assert "night in los angeles" not in rows
    assert summary["tested"] == len(rows) and summary["vocabulary"] == 9
    falls = [row["term"] for row in summary["falls"]]
    assert falls[:3] == ["a night in", "in los angeles", "night in los"] and "a night" in falls
    assert not {"los", "los angeles", "in", "in los", "night in", "night"} & set(falls)
    alone, _ = audited(captioned(tmp_path / "alone", captions, verdicts), phrases=1, keywords=("los angeles",))
    assert {term for term in alone if " " in term} == {"los angeles"}
    for name, value in alone["los angeles"].items():
        assert value == rows["los angeles"][name] or name in ("keyword", "significant")


def test_the_removal_odds_ratio_is_that_of_the_captions_with_the_term_and_without(tmp_path: Path) -> None:
    rows, _ = audited(toy(tmp_path))
    dog = rows["dog"]
    assert dog["removal_odds_ratio"] == pytest.approx((30 / 10) / (20 / 20), abs=1e-6)
    assert 1 < dog["removal_odds_ratio_lower"] < 3 < dog["removal_odds_ratio_upper"]
    assert rows["cat"]["removal_odds_ratio"] == pytest.approx(1 / 3, abs=1e-6)
    assert rows["a"]["removal_odds_ratio"] is None  # every caption has it: there is nothing to compare it with


def test_keywords_are_reported_in_the_order_asked_also_where_no_caption_has_them(tmp_path: Path) -> None:
    captions = ["Medium-dark skin tone", "dark medium tone", "skin tone: medium, dark", "若い女性", "nothing"]
    keywords = ("medium-dark", "'; drop table sample; --", "女性", "[a-z]+", "SKIN TONE", "skin tone")
    rows, summary = audited(captioned(tmp_path, captions), keywords=keywords)
    found = summary["keywords"]
    assert [row["keyword"] for row in found] == list(keywords)
    assert [row["n_pool"] for row in found] == [2, 0, 1, 0, 2, 2]
    assert found[1]["change"] is None and found[1]["p_value"] is None
    assert set(rows) == {"medium dark", "drop table sample", "女 性", "a z", "skin tone"}
    assert summary["notes"][-1] == "no caption of the pool has: a z, drop table sample"


def test_where_nothing_was_removed_nothing_changed_and_nothing_is_tested(tmp_path: Path) -> None:
    rows, summary = audited(captioned(tmp_path, ["a cat", "a dog", None], ["kept", "kept", "quarantined"]), min_count=1)
    assert {row["change"] for row in rows.values()} == {0}
    assert {row["change_filter_lower"] for row in rows.values()} == {None}
    assert (summary["tested"], summary["significant"]) == (0, 0)
    assert "removed nothing" in summary["notes"][0]


@pytest.mark.parametrize(
    ("captions", "verdicts", "note"),
    [
        ([], [], "no usable sample"),
        ([None, None], ["quarantined"] * 2, "no usable sample"),
        (["a", "a"], ["filtered"] * 2, "let no sample through"),
    ],
)
def test_a_pool_of_which_nothing_is_left_has_no_changes_and_the_summary_says_so(
    tmp_path: Path, captions: list[str | None], verdicts: list[str], note: str
) -> None:
    rows, summary = audited(captioned(tmp_path, captions, verdicts), min_count=1, keywords=("a",))
    assert {row["change"] for row in rows.values()} == {row["change_filter"] for row in rows.values()} == {None}
    assert note in summary["notes"][0]


def test_run_leaves_the_artifact_and_the_summary_and_the_stage_as_it_was(tmp_path: Path) -> None:
    version = audit.run(toy(tmp_path), Config(keywords=("dog",)), map_here)
    folder = version.artifact("audit")
    words = pq.read_table(folder / "words.parquet")
    with (folder / "words.csv").open(newline="") as file:
        assert [row["term"] for row in csv.DictReader(file)] == words["term"].to_pylist()
    assert words["term"].to_pylist() == ["a", "a cat", "a dog", "cat", "dog"]
    assert version.stage == "filter"
    assert version.summary["audit"]["keywords"][0]["change_filter"] == -0.333333
    settings = {
        "keywords": ("dog",),
        "groups": "",
        "min_count": 20,
        "fdr": 0.05,
        "tau": 0.01,
        "target_share": {},
        "phrases": 3,
    }
    assert version.config["audit"] == settings
    assert version.missing() == []


def test_an_audit_that_exists_is_not_done_again(tmp_path: Path) -> None:
    def refuse(function: Any, items: Any) -> list[Any]:
        raise AssertionError("work that exists was done again")

    first = audit.run(toy(tmp_path), Config(), map_here)
    again = audit.run(toy(tmp_path), Config(), refuse)
    assert again.summary == first.summary and again.artifacts == first.artifacts
    other = audit.run(toy(tmp_path), Config(min_count=2), map_here)
    assert other.artifacts["audit"] != first.artifacts["audit"]
    assert other.artifacts["tokens"] == first.artifacts["tokens"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"keywords": ("woman", "!?")}, r"'!\?' has no letter"),
        ({"min_count": 0}, "min_count of at least 1"),
        ({"fdr": 1.0}, "fdr between 0 and 1"),
        ({"tau": -0.1}, "tau of at least 0"),
        ({"phrases": 0}, "phrases: at least 1"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config(**settings)


def test_term_groups_are_audited_beside_the_words_and_recorded_by_their_digest(tmp_path: Path) -> None:
    version = toy(tmp_path / "lake")
    listed = tmp_path / "groups.toml"
    listed.write_text('[groups.pet]\nterms = ["dog", "cat"]\n[groups."pet/dog"]\nterms = ["dog"]\n', "utf-8")
    done = audit.run(version, Config(groups=str(listed)), map_here)
    told = done.summary["audit"]["groups"]
    assert {row["group"]: row["n_pool"] for row in told["groups"]} == {"pet": 80, "pet/dog": 40}
    assert done.config["audit"]["groups"] == told["digest"] and str(tmp_path) not in str(done.config)
    assert {path.name for path in done.artifact("audit").glob("*.csv")} == {
        "words.csv", "groups.csv", "associations.csv", "corrected.csv", "residual.csv",
    }  # fmt: skip
    listed.write_text('[groups.pet]\nterms = ["dog"]\n', "utf-8")
    assert audit.run(version, Config(groups=str(listed)), map_here).artifacts["audit"] != done.artifacts["audit"]


def test_a_classifier_s_verdict_waits_for_scores_and_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    version = toy(tmp_path / "lake")
    listed = tmp_path / "groups.toml"
    listed.write_text(
        '[groups.dog]\nterms = ["dog"]\n[attributes.unsafe]\nclassifier = "knife"\nabove = 0.5\n', "utf-8"
    )
    told = audit.run(version, Config(groups=str(listed)), map_here).summary["audit"]["groups"]
    assert told["associations"] == {"before": [], "after": []} and told["residual_harm"] == []
    with pytest.raises(ConfigError, match=r"none\.toml: a file of term groups was expected"):
        audit.run(version, Config(groups=str(tmp_path / "none.toml")), map_here)
