from __future__ import annotations

import math
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import ConfigError
from tasks.files import write_table
from tasks.groups.association import audit_groups
from tasks.groups.residual_harm import Harm, interval
from tasks.groups.term_groups import TermGroups, parse_groups
from tasks.lake import Version
from tasks.samples import SCORE
from tasks.words.tokens import write_tokens
from tests.tasks.captioned import captioned, map_here

GROUPS = parse_groups(
    {
        "groups": {"woman": {"terms": ["woman"]}, "man": {"terms": ["man"]}, "pair": {"all": ["woman", "man"]}},
        "attributes": {"sexy": {"terms": ["sexy", "very hot"]}, "old": {"terms": ["old"]}},
    },
    "test",
)
STAGES = ("pool", "after_filter", "kept", "weighted")

Samples = list[tuple[str, str, float, int]]  # caption, verdict, weight, near-duplicate group or 0


def made(root: Path, samples: Samples, scores: list[float | None] | None = None) -> Version:
    grouped = defaultdict(list)
    for place, sample in enumerate(samples):
        grouped[sample[3]].append(place)
    groups = [members for group, members in grouped.items() if group and len(members) > 1]
    weights = [weight if verdict == "kept" else None for _, verdict, weight, _ in samples]
    version = captioned(root, [s[0] for s in samples], [s[1] for s in samples], weights, groups)
    write_tokens(version, map_here)
    return version if scores is None else scored(version, scores)


def scored(version: Version, scores: list[float | None], name: str = "sexual") -> Version:
    start = 0
    for part in version.parts:
        piece = pa.table([pa.array(scores[start : start + part.rows], pa.float32())], schema=SCORE)
        write_table(version.lake.column_path(f"score.{name}", "k", part.part), piece)
        start += part.rows
    return version.derive("filter", columns={f"score.{name}": "k"})


def associations(version: Version, groups: TermGroups = GROUPS, **settings: Any) -> dict[tuple[str, ...], Any]:
    """Rows by stage, group and attribute."""
    tables, _ = audit_groups(version, groups, **settings)
    return {(row["stage"], row["group"], row["attribute"]): row for row in tables["associations"].to_pylist()}


def masses(samples: Samples, stage: str) -> list[float]:
    """Each sample's mass at a stage, in plain Python."""
    there = {
        "pool": lambda s: s[1] != "quarantined",
        "after_filter": lambda s: s[1] in ("kept", "duplicate"),
        "kept": lambda s: s[1] == "kept",
        "weighted": lambda s: s[1] == "kept",
    }[stage]
    sizes = defaultdict(int)
    for place, sample in enumerate(samples):
        sizes[sample[3] or -1 - place] += there(sample)
    share = {
        place: 1 / sizes[s[3] or -1 - place] if stage in STAGES[:2] else s[2] if stage == "weighted" else 1.0
        for place, s in enumerate(samples)
        if there(s)
    }
    return [share.get(place, 0.0) for place in range(len(samples))]


def oracle(samples: Samples, stage: str, in_group: Any, attribute: Any) -> tuple[float | None, float | None]:
    """PMI and log odds ratio, in plain Python; None is undefined or infinite."""
    cells = defaultdict(float)
    for (caption, *_), mass in zip(samples, masses(samples, stage), strict=True):
        words = caption.split()
        cells[in_group(words), attribute(words)] += mass
    both, group, other = (
        cells[True, True],
        cells[True, True] + cells[True, False],
        cells[True, True] + cells[False, True],
    )
    pmi = math.log(both * sum(cells.values()) / (group * other)) if both > 0 else None
    whole = min(cells[a, b] for a in (True, False) for b in (True, False)) > 1e-9
    odds = math.log(both * cells[False, False] / (cells[True, False] * cells[False, True])) if whole else None
    return pmi, odds


SAMPLES = st.lists(
    st.tuples(
        st.lists(st.sampled_from(["woman", "man", "sexy", "old"]), max_size=4).map(" ".join),
        st.sampled_from(["kept", "kept", "filtered", "duplicate", "quarantined"]),
        st.sampled_from([0.5, 1.0, 2.0]),
        st.integers(0, 4),
    ),
    max_size=14,
)


@settings(max_examples=8, deadline=None)
@given(SAMPLES)
def test_associations_are_what_plain_python_finds_at_every_stage(samples: Samples) -> None:
    with tempfile.TemporaryDirectory() as root:
        rows = associations(made(Path(root), samples))
    asks = {
        "woman": lambda words: "woman" in words,
        "man": lambda words: "man" in words,
        "pair": lambda words: "woman" in words and "man" in words,
    }
    weighted = any(verdict == "kept" for _, verdict, *_ in samples)
    assert {stage for stage, *_ in rows} == set(STAGES if weighted else STAGES[:3])
    for (stage, group, attribute), row in rows.items():
        pmi, odds = oracle(samples, stage, asks[group], lambda words, name=attribute: name in words)
        assert row["pmi"] == (None if pmi is None else pytest.approx(pmi, abs=2e-5))
        assert row["log_odds_ratio"] == (None if odds is None else pytest.approx(odds, abs=2e-5))


def planted(rng: np.random.Generator, rows: int) -> tuple[Samples, list[float | None]]:
    """Women are flagged five times as often as men; a filter takes half of what is flagged."""
    woman, flagged = rng.random(rows) < 0.3, np.empty(rows, np.bool_)
    flagged = rng.random(rows) < np.where(woman, 0.25, 0.05)
    gone = flagged & (rng.random(rows) < 0.5)
    captions = [
        f"a {'woman' if w else 'man'}{' old' if o else ''}" for w, o in zip(woman, rng.random(rows) < 0.1, strict=True)
    ]
    samples = [(c, "filtered" if g else "kept", 1.0, 0) for c, g in zip(captions, gone, strict=True)]
    return samples, [0.9 if f else 0.1 for f in flagged]


VERDICTS = parse_groups(
    {
        "groups": {"woman": {"terms": ["woman"]}, "old": {"terms": ["old"]}, "old woman": {"all": ["old", "woman"]}},
        "attributes": {"flagged": {"classifier": "sexual", "above": 0.5}, "aged": {"terms": ["old"]}},
    },
    "test",
)


def test_a_group_that_is_flagged_five_times_as_often_is_found_and_ranked_first(tmp_path: Path) -> None:
    samples, scores = planted(np.random.default_rng(0), 3000)
    tables, summary = audit_groups(made(tmp_path, samples, scores), VERDICTS)
    for stage in ("before", "after"):
        first = summary["associations"][stage][0]
        assert (first["group"], first["attribute"], first["kind"]) == ("woman", "flagged", "classifier's verdict")
    figures = summary["associations"]["before"][0]["stages"]
    assert figures["pool"]["share_inside"] > 4 * figures["pool"]["share_outside"]
    assert figures["pool"]["log_odds_ratio_lower"] > 1 and set(figures) == set(STAGES)
    rows = {(row["stage"], row["group"], row["attribute"]): row for row in tables["associations"].to_pylist()}
    aged = rows["pool", "old", "aged"]
    assert aged["by_construction"] and aged["p_value"] is None and not aged["significant"]


def test_weights_that_make_group_and_attribute_independent_bring_the_association_to_nothing(tmp_path: Path) -> None:
    captions = ["woman sexy"] * 60 + ["woman"] * 60 + ["man sexy"] * 20 + ["man"] * 100
    weights = [2 / 3] * 60 + [4 / 3] * 60 + [2.0] * 20 + [0.8] * 100
    rows = associations(made(tmp_path, [(c, "kept", w, 0) for c, w in zip(captions, weights, strict=True)]))
    before, after = rows["kept", "woman", "sexy"], rows["weighted", "woman", "sexy"]
    assert before["significant"] and before["log_odds_ratio"] == pytest.approx(math.log(5), abs=1e-6)
    assert not after["significant"] and after["log_odds_ratio"] == pytest.approx(0, abs=1e-5)
    assert after["log_odds_ratio_lower"] < -0.3 and after["log_odds_ratio_upper"] > 0.3


def test_residual_harm_is_the_mean_score_before_and_after(tmp_path: Path) -> None:
    samples = [("a", "filtered", 1.0, 0), ("b", "kept", 0.5, 0), ("c", "kept", 1.5, 0), ("d", "quarantined", 1.0, 0)]
    tables, summary = audit_groups(made(tmp_path, samples, [0.75, 0.5, 0.25, None]), VERDICTS)
    found = {row["stage"]: row["residual_harm"] for row in tables["residual"].to_pylist()}
    assert found == {"pool": 0.5, "after_filter": 0.375, "kept": 0.375, "weighted": 0.3125}
    assert {row["unscored"] for row in summary["residual_harm"]} == {0}
    assert {row["residual_harm_lower"] for row in summary["residual_harm"]} == {None}


def test_residual_harm_has_the_interval_that_its_near_duplicate_groups_carry(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    captions, groups = ["x"] * 900, (np.arange(900) // 3 + 1).tolist()
    samples = [(c, "kept", float(w), g) for c, w, g in zip(captions, rng.choice([0.5, 1.5], 900), groups, strict=True)]
    scores = np.repeat(rng.beta(0.5, 2, 300), 3).astype(np.float32)
    tables, _ = audit_groups(made(tmp_path, samples, scores.tolist()), VERDICTS)
    rows = {row["stage"]: row for row in tables["residual"].to_pylist()}
    for stage in STAGES:
        mass = np.bincount(np.arange(900) // 3, masses(samples, stage))
        score = scores[::3].astype(np.float64)
        mean = mass @ score / mass.sum()
        z = mass * (score - mean)
        sums = [np.array([x]) for x in (mean, 300.0, mass.sum(), mass @ mass, z @ z, (z**2) @ (z**2))]
        expected = [bound[0] for bound in interval(Harm(*sums))]
        found = rows[stage]
        assert [found["residual_harm_lower"], found["residual_harm_upper"]] == pytest.approx(expected, abs=2e-6)
        assert found["effective_groups"] == pytest.approx((z @ z) ** 2 / ((z**2) @ (z**2)), rel=1e-4)


def test_groups_have_the_figures_of_words_the_odds_of_removal_and_exclusion_amplification(tmp_path: Path) -> None:
    samples = [("woman", "filtered" if i < 30 else "kept", 1.0, 0) for i in range(60)]
    samples += [("man", "filtered" if i < 10 else "kept", 1.0, 0) for i in range(100)]
    tables, summary = audit_groups(made(tmp_path, samples), GROUPS, targets={"woman": 0.5, "man": 0.5})
    woman, man, pair = (
        next(r for r in tables["groups"].to_pylist() if r["group"] == name) for name in ("woman", "man", "pair")
    )
    assert woman["change_filter"] == pytest.approx((30 / 120) / (60 / 160) - 1, abs=1e-6)
    assert woman["removal_odds_ratio"] == pytest.approx((30 / 30) / (10 / 90))
    assert woman["removal_odds_ratio_lower"] > 1 and woman["significant"]
    assert (woman["share"], woman["excluded"], man["excluded"], pair["excluded"]) == (0.375, True, False, None)
    assert (pair["n_pool"], pair["change"], pair["removal_odds_ratio"]) == (0, None, None)
    assert summary["notes"] == ["no caption of the pool is in: pair"]


def test_few_groups_carry_a_flagged_interval_and_too_few_carry_none(tmp_path: Path) -> None:
    captions = ["woman sexy"] * 5 + ["woman"] * 14 + ["man sexy"] * 30 + ["man"] * 200
    rows = associations(made(tmp_path, [(c, "kept", 1.0, 0) for c in captions]))
    few, flagged = rows["pool", "woman", "sexy"], rows["pool", "man", "sexy"]
    assert few["effective_groups"] == 19 and few["pmi_lower"] is None and few["p_value"] is None
    assert few["pmi"] == pytest.approx(math.log(5 * 249 / (19 * 35)), abs=1e-6)
    assert flagged["effective_groups"] == 19
    rows = associations(made(tmp_path / "more", [(c, "kept", 1.0, 0) for c in [*captions, "woman"]]))
    assert rows["pool", "woman", "sexy"]["few_groups"] and rows["pool", "woman", "sexy"]["pmi_lower"] is not None


@pytest.mark.parametrize("verdict", ["filtered", "kept", "quarantined"])
def test_a_filter_that_took_everything_or_nothing_leaves_figures_undefined_and_no_failure(
    tmp_path: Path, verdict: str
) -> None:
    rows = associations(made(tmp_path, [("woman sexy", verdict, 1.0, 0), ("man", verdict, 1.0, 0)]))
    assert rows["kept", "woman", "sexy"]["pmi"] == (pytest.approx(math.log(2), abs=1e-6) if verdict == "kept" else None)
    assert not any(row["significant"] for row in rows.values())


def test_groups_of_one_sample_and_of_none_have_exact_figures_and_neither_interval_nor_test(tmp_path: Path) -> None:
    samples = [("woman sexy", "kept", 1.0, 0), *[("x old", "filtered" if i < 9 else "kept", 1.0, 0) for i in range(90)]]
    tables, summary = audit_groups(made(tmp_path, samples), GROUPS)
    rows = {(row["stage"], row["group"], row["attribute"]): row for row in tables["associations"].to_pylist()}
    for stage, all_there in zip(STAGES, (91, 91 - 9, 91 - 9, 91 - 9), strict=True):
        one, none = rows[stage, "woman", "sexy"], rows[stage, "man", "old"]
        assert one["pmi"] == pytest.approx(math.log(all_there), abs=1e-6) and one["group_samples"] == 1
        assert none["pmi"] is None and none["samples"] == 0
        for row in (one, none):
            assert row["pmi_lower"] is row["log_odds_ratio_upper"] is row["p_value"] is None and not row["significant"]
    group = {row["group"]: row for row in tables["groups"].to_pylist()}
    assert group["woman"]["n_pool"] == 1 and group["man"]["n_pool"] == 0 and group["man"]["change"] is None
    assert summary["notes"] == ["no caption of the pool is in: man, pair"] and not summary["significant"]


def test_an_empty_pool_has_no_figures_and_says_so_of_every_group(tmp_path: Path) -> None:
    tables, summary = audit_groups(made(tmp_path, []), GROUPS)
    assert {row["pmi"] for row in tables["associations"].to_pylist()} == {None}
    assert summary["notes"] == ["no caption of the pool is in: man, pair, woman"]


def test_without_groups_there_is_nothing_to_tell(tmp_path: Path) -> None:
    tables, summary = audit_groups(made(tmp_path, [("a", "kept", 1.0, 0)]), TermGroups())
    assert [len(table) for table in tables.values()] == [0, 0, 0, 0]
    assert summary["associations"] == {"before": [], "after": []}


@pytest.mark.parametrize(("reason", "own"), [("gore: score; sexual: labelled", True), ("sexual gore: score", False)])
def test_rows_of_a_classifier_that_the_filter_decided_by_are_marked(tmp_path: Path, reason: str, own: bool) -> None:
    version = made(tmp_path, [("woman", "filtered", 1.0, 0), ("man", "kept", 1.0, 0)], [0.7, 0.3])
    decision = version.table("decision")
    reasons = pa.array([reason, None], pa.string())
    version.write_decision(decision.set_column(2, "reason", reasons), "decided")
    version = version.derive("filter", columns={"decision": "decided"})
    tables, summary = audit_groups(version, VERDICTS)
    marked = {row["attribute"]: row["own_filter"] for row in tables["associations"].to_pylist()}
    assert marked == {"flagged": own, "aged": None}
    assert {row["own_filter"] for row in tables["residual"].to_pylist()} == {own}
    assert any(note.startswith("flagged: the filter's own classifier") for note in summary["notes"]) == own
    assert any(note.startswith("flagged: associations with the classifier's verdict") for note in summary["notes"])


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"woman": 1.2}, r"target of 'woman': a share between 0 and 1 was expected, 1\.2 was found"),
        ({"women": 0.5}, r"target of 'women': there is no such group; known are: man, pair, woman"),
    ],
)
def test_a_wrong_target_is_named(tmp_path: Path, targets: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        audit_groups(made(tmp_path, [("a", "kept", 1.0, 0)]), GROUPS, targets=targets)


def test_a_classifier_without_scores_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    version = scored(made(tmp_path, [("a", "kept", 1.0, 0)]), [0.1], "violence")
    with pytest.raises(ConfigError, match=r"the version has no score of 'sexual'; it has: violence"):
        audit_groups(version, VERDICTS)
