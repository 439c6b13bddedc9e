"""The stage on a small lake: what it removes and says, and what it does not do twice."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks import committing
from tasks import filter as stage
from tasks.classifying import overrides, scoring
from tasks.classifying.blocklist import Blocklist
from tasks.classifying.category_spec import Category
from tasks.errors import ConfigError, LabelsError
from tasks.files import read_table
from tasks.filter import Config
from tasks.lake import Version
from tasks.records.moves import moved
from tasks.reporting import findings
from tests.tasks.categorised import belongs, categorised, embeddings, uid, write_labels
from tests.tasks.labelled_pool import labelled_pool, say, truth

ROWS = 200


def here(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    return [function(item) for item in items]


class Counting:
    """map_parts that remembers how many parts it worked on."""

    parts = 0

    def __call__(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        self.parts += len(items)
        return here(function, items)


@pytest.fixture
def version(tmp_path: Path) -> Version:
    return categorised(tmp_path / "lake", embeddings(ROWS), quarantined=(4, 7))


@pytest.fixture
def knife(tmp_path: Path) -> Category:
    """Labels of the first half."""
    truth = belongs(ROWS).astype(int)
    return Category("knife", write_labels(tmp_path / "knife.csv", [(uid(i), truth[i]) for i in range(ROWS // 2)]))


def rows(version: Version) -> list[dict[str, Any]]:
    return version.table("decision").to_pylist()


def test_without_a_category_everything_is_kept_and_the_summary_says_so(version: Version) -> None:
    done = stage.run(version, Config(), here)
    assert done.stage == "filter" and done.table("decision").equals(version.table("decision"))
    assert done.summary["filter"]["removed"] == 0 and "nothing was filtered" in done.summary["filter"]["note"]


def test_what_belongs_to_the_category_goes_and_the_quarantined_stay_as_they_are(
    version: Version, knife: Category
) -> None:
    done = stage.run(version, Config((knife,)), here)
    verdicts = np.array([row["verdict"] for row in rows(done)])
    assert (verdicts[[4, 7]] == "quarantined").all()
    unlabelled = np.arange(ROWS) >= ROWS // 2
    assert (verdicts[unlabelled & belongs(ROWS)] == "filtered").mean() > 0.8
    assert (verdicts[unlabelled & ~belongs(ROWS)] == "kept").mean() > 0.8
    filtered = [row for row in rows(done) if row["verdict"] == "filtered"]
    assert {row["stage"] for row in filtered} == {"filter"}
    assert {row["reason"] for row in filtered} == {"knife: labelled", "knife: score"}
    assert all(row["reason"] is None for row in rows(done) if row["verdict"] == "kept")


def test_a_persons_label_overrides_the_score(version: Version, tmp_path: Path) -> None:
    truth = belongs(ROWS).astype(int)
    labels = {uid(i): int(truth[i]) for i in range(ROWS // 2)}
    labels[uid(8)], labels[uid(9)] = 0, 1  # against what the embeddings say
    category = Category("knife", write_labels(tmp_path / "l.csv", labels.items()))
    found = rows(stage.run(version, Config((category,)), here))
    assert found[8]["verdict"] == "kept"
    assert (found[9]["verdict"], found[9]["reason"]) == ("filtered", "knife: labelled")


def test_the_reasons_of_several_categories_are_joined_alphabetically(version: Version, tmp_path: Path) -> None:
    truth = belongs(ROWS).astype(int)
    some = [(uid(i), int(truth[i])) for i in range(40)]
    zebra = Category("zebra", write_labels(tmp_path / "z.csv", some, "zebra"))
    blade = Category("blade", write_labels(tmp_path / "b.csv", [*some, (uid(100), 1)], "blade"))
    found = rows(stage.run(version, Config((zebra, blade)), here))
    assert found[0]["reason"] == "blade: labelled; zebra: labelled"
    assert found[100]["reason"] == "blade: labelled; zebra: score"


def test_scores_are_null_where_there_is_no_image(version: Version, knife: Category) -> None:
    done = stage.run(version, Config((knife,)), here)
    scores = done.table("score.knife")["score"]
    assert scores.type == pa.float32() and scores.null_count == 2
    assert not scores[4].is_valid and not scores[7].is_valid


def test_the_summary_names_an_estimate_and_not_a_certificate(version: Version, knife: Category) -> None:
    done = stage.run(version, Config((knife,)), here)
    facts = done.summary["filter"]["categories"]["knife"]
    recall = facts["recall_estimate"]
    assert facts["positives"] == 24 and facts["negatives"] == 74  # one of each is quarantined
    assert (recall["k"], recall["n"]) == (24, 24)
    assert recall["lower"] == pytest.approx(0.05 ** (1 / 24), abs=1e-6)
    assert recall["note"] == "estimate on labelled positives, not a certificate"
    assert facts["removed"] == sum(row["verdict"] == "filtered" for row in rows(done))
    assert done.summary["filter"]["removed"] == facts["removed"] and facts["unusable_uids"] == 2
    assert json.loads(json.dumps(done.summary)) == done.summary


def test_a_large_removal_comes_with_the_recall_that_smaller_ones_would_have(version: Version, knife: Category) -> None:
    facts = stage.run(version, Config((knife,)), here).summary["filter"]["categories"]["knife"]
    twenty = facts["suggestions"][0]
    assert twenty["share"] == 0.2 and twenty["removed"] <= 0.2 * 198 < facts["removed"]
    assert twenty["recall_estimate"]["k"] < 24 and twenty["recall_estimate"]["n"] == 24


def test_labels_that_cannot_be_used_are_counted_and_not_refused(version: Version, tmp_path: Path) -> None:
    labels = [(uid(i), int(belongs(ROWS)[i])) for i in range(60)]
    more = [(uid(0), 0), (uid(1), 1), ("f" * 32, 1), ("e" * 32, 0)]
    category = Category("knife", write_labels(tmp_path / "l.csv", [*labels, *more]))
    facts = stage.run(version, Config((category,)), here).summary["filter"]["categories"]["knife"]
    assert facts["unknown_uids"] == 2 and facts["unusable_uids"] == 2
    assert facts["contradictions"] == 2 and facts["contradicting_uids"] == [uid(0), uid(1)]


@pytest.mark.parametrize(("label", "lacking"), [(0, "labels 1"), (1, "labels 0")])
def test_labels_of_one_class_only_are_refused_with_what_there_is(
    version: Version, tmp_path: Path, label: int, lacking: str
) -> None:
    other = [("f" * 32, 1 - label), (uid(4), 1 - label)]  # one is unknown, one quarantined
    path = write_labels(tmp_path / "l.csv", [(uid(1), label), (uid(2), label), *other])
    with pytest.raises(LabelsError, match=rf"2 (positive|negative).* 2 labels of samples .*{lacking}"):
        stage.run(version, Config((Category("knife", path),)), here)


def test_a_single_positive_gives_a_filter_without_a_recall(version: Version, tmp_path: Path) -> None:
    labels = [(uid(0), 1), *((uid(i), 0) for i in range(1, 40) if i % 4)]
    category = Category("knife", write_labels(tmp_path / "l.csv", labels))
    done = stage.run(version, Config((category,)), here)
    facts = done.summary["filter"]["categories"]["knife"]
    assert facts["recall_estimate"]["estimate"] is None and facts["recall_estimate"]["lower"] == 0
    assert "recall is unknown" in facts["warnings"][0]
    assert rows(done)[0]["verdict"] == "filtered"


def test_another_recall_moves_the_threshold_without_training_or_scoring(version: Version, knife: Category) -> None:
    high = stage.run(version, Config((knife,)), here)
    counting = Counting()
    low = stage.run(version, Config((Category(knife.name, knife.labels, 0.5),)), counting)
    assert counting.parts == 0
    assert low.artifacts == high.artifacts
    assert low.columns["score.knife"] == high.columns["score.knife"]
    assert low.columns["decision"] != high.columns["decision"]
    thresholds = [done.summary["filter"]["categories"]["knife"]["threshold"] for done in (high, low)]
    assert thresholds[0] < thresholds[1]
    assert [row["verdict"] for row in rows(low)].count("filtered") < [r["verdict"] for r in rows(high)].count(
        "filtered"
    )


def test_a_new_part_without_labels_is_scored_and_nothing_else_is_done(tmp_path: Path, knife: Category) -> None:
    vectors = embeddings(ROWS)
    first = stage.run(categorised(tmp_path / "lake", vectors[:175]), Config((knife,)), here)
    counting = Counting()
    grown = stage.run(categorised(tmp_path / "lake", vectors), Config((knife,)), counting)
    assert counting.parts == 1
    assert grown.artifacts["model.knife"] == first.artifacts["model.knife"]
    assert grown.artifacts["curve.knife"] != first.artifacts["curve.knife"]
    assert rows(grown)[:175] == rows(first)


def test_where_the_labels_file_lies_and_how_it_is_ordered_changes_nothing(
    version: Version, knife: Category, tmp_path: Path
) -> None:
    lines = Path(knife.labels).read_text().splitlines()
    other = tmp_path / "elsewhere.csv"
    other.write_text("\n".join([lines[0], *reversed(lines[1:]), "x,other,1,someone"]))
    one = stage.run(version, Config((knife,)), here)
    two = stage.run(version, Config((Category("knife", str(other)),)), here)
    assert (one.columns, one.artifacts, one.config, one.summary) == (
        two.columns,
        two.artifacts,
        two.config,
        two.summary,
    )
    assert str(tmp_path) not in json.dumps([one.config, one.summary])


def test_the_artifact_names_the_exact_labels_and_can_score(version: Version, knife: Category) -> None:
    done = stage.run(version, Config((knife,)), here)
    folder = done.artifact("model.knife")
    labels = read_table(folder / "labels.parquet")
    assert labels["uid"].to_pylist() == sorted(uid(i) for i in range(100) if i not in (4, 7))
    assert set(labels["label"].to_pylist()) == {0, 1} and labels.column_names == ["uid", "label", "fold", "score"]
    model = scoring.read_model(folder)
    first = version.embeddings()[0][0].astype(np.float64)
    assert model.marks is not None
    row = np.exp(-model.marks.gamma * ((model.marks.points - first) ** 2).sum(axis=1)) @ model.marks.whiten
    logit = model.slope * (row @ model.weights + model.bias) + model.offset
    assert done.table("score.knife")["score"][0].as_py() == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-5)


def test_the_version_is_the_same_from_another_lake(tmp_path: Path, knife: Category) -> None:
    made = [stage.run(categorised(tmp_path / name, embeddings(ROWS)), Config((knife,)), here) for name in "ab"]
    assert made[0].columns == made[1].columns and made[0].config == made[1].config
    assert committing.content(made[0])["files"].keys() == committing.content(made[1])["files"].keys()
    for group in ("decision", "score.knife"):
        for part in made[0].parts:
            assert made[0].column_path(group, part).read_bytes() == made[1].column_path(group, part).read_bytes()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "Two Words"}, "a name of a to z"),
        ({"name": ""}, "a name of a to z"),
        ({"threshold": 2.0}, "threshold: 0 to 1 was expected, 2.0"),
        ({"subgroups": {"women": ()}}, "'women' has no terms"),
        ({"recall": 0.0}, "recall: above 0 and at most 1 was expected, 0.0"),
        ({"recall": 99}, "recall: above 0 and at most 1 was expected, 99"),
        ({"confidence": 1.0}, "confidence: between 0 and 1 was expected, 1.0"),
    ],
)
def test_a_wrong_category_is_refused_with_what_was_expected(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Category(**{"name": "knife", "labels": "l.csv", **fields})


def test_names_are_unique_and_folds_bounded() -> None:
    with pytest.raises(ConfigError, match="'knife' was found again"):
        Config((Category("knife", "a.csv"), Category("knife", "b.csv")))
    with pytest.raises(ConfigError, match="2 to 20 were expected, 1"):
        Config(folds=1)


def test_what_if_another_threshold_re_decides_without_scoring_and_names_who_moved(
    version: Version, knife: Category
) -> None:
    usual = stage.run(version, Config((knife,)), here)
    counting = Counting()
    strict = stage.run(version, Config((dataclasses.replace(knife, threshold=0.999),)), counting)
    assert counting.parts == 0 and strict.columns["score.knife"] == usual.columns["score.knife"]
    scores = np.asarray(usual.table("score.knife")["score"], dtype=np.float64)
    before, after = (
        {i for i, row in enumerate(rows(done)) if row["verdict"] == "filtered"} for done in (usual, strict)
    )
    unlabelled = set(range(ROWS // 2, ROWS))
    assert before > after and before - after == {i for i in before & unlabelled if scores[i] < np.float32(0.999)}
    assert moved(usual, strict)[1]["moved"] == len(before - after)
    told = strict.summary["filter"]["categories"]["knife"]
    assert told["threshold"] == pytest.approx(0.999) and told["recall_estimate"]["estimate"] < 0.99


def test_a_person_keeps_and_drops_over_everything_but_the_blocklist_and_is_named(
    version: Version, knife: Category, tmp_path: Path
) -> None:
    listed = tmp_path / "overrides.csv"
    listed.write_text(
        f"uid,action,author,reason\n{uid(0)},keep,ada,a toy\n{uid(1)},drop,grace,a logo\n{uid(8)},keep,ada,a spoon\n",
        "utf-8",
    )
    hashes = tmp_path / "hashes.txt"
    hashes.write_text(version.table("samples", ["sha256"])["sha256"][8].as_py() + "\n", "utf-8")
    config = Config((knife,), overrides=str(listed), blocklist=Blocklist(sha256=str(hashes)))
    done = stage.run(version, config, here)
    decided = rows(done)
    assert decided[0]["verdict"] == "kept"  # though it is labelled positive
    assert (decided[1]["verdict"], decided[1]["reason"]) == ("filtered", "dropped by grace: a logo")
    assert (decided[8]["verdict"], decided[8]["reason"]) == ("filtered", "blocklist")
    assert overrides.of_uid(done, uid(0)) == {"action": "keep", "author": "ada", "reason": "a toy"}
    assert overrides.of_uid(done, uid(2)) is None
    assert dict(findings.beside(done)) == {
        "dropped by hand": 1,
        "kept by hand though a category would filter them": 1,
        "on the blocklist: filtered, never shown; docs/blocklist.md says what to do": 1,
    }


def test_near_duplicates_of_what_is_filtered_go_too_unless_a_person_said_no(tmp_path: Path, knife: Category) -> None:
    vectors = embeddings(ROWS)
    vectors[[101, 102]] = vectors[0]  # of a positive; 101 and 102 are none, and nobody labelled them
    vectors[1] = vectors[0]  # labelled negative
    version = categorised(tmp_path / "other", vectors)
    low = dataclasses.replace(knife, threshold=1.0)
    without, near = (stage.run(version, Config((low,), near_duplicates=cosine), here) for cosine in (None, 0.999))
    assert [rows(without)[i]["verdict"] for i in (1, 101, 102)] == ["kept"] * 3
    assert [rows(near)[i]["verdict"] for i in (1, 101, 102)] == ["kept", "filtered", "filtered"]
    assert uid(0) in rows(near)[101]["reason"] and near.summary["filter"]["near_duplicates"] >= 2


def test_subgroups_are_told_apart_and_what_is_removed_says_how_much_is_benign(tmp_path: Path) -> None:
    version = labelled_pool(tmp_path / "lake")
    say(version.lake, truth(range(200)))
    category = Category("knife", recall=0.9, subgroups={"women": ("woman",), "dogs": ("dog",)})
    told = stage.run(version, Config((category,)), here).summary["filter"]["categories"]["knife"]
    women, dogs = told["subgroups"]["women"], told["subgroups"]["dogs"]
    assert women["samples"] == dogs["samples"] == 200
    assert women["removed"] + dogs["removed"] == told["removed"]
    assert women["recall_estimate"]["n"] + dogs["recall_estimate"]["n"] == told["recall_estimate"]["n"] == 50
    assert told["benign"]["lower"] is None and 0 < told["benign"]["estimate"] < 1
