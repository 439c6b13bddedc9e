from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from tasks.errors import ConfigError
from tasks.files import write_table
from tasks.groups.association import audit_groups
from tasks.groups.drawn_labels import read_drawn, write_drawn
from tasks.groups.label_draw import Draw, edges, plan
from tasks.groups.label_strata import FEWEST
from tasks.groups.term_groups import TermGroups, parse_groups
from tasks.lake import Version
from tests.tasks.captioned import uid
from tests.tasks.groups.test_association import Samples, made, masses

GROUPS = parse_groups(
    {
        "groups": {"woman": {"terms": ["woman"]}, "old": {"terms": ["old"]}, "nobody": {"terms": ["nobody"]}},
        "attributes": {"nude": {"classifier": "sexual", "above": 0.5}, "bare": {"terms": ["bare"]}},
    },
    "test",
)
STAGES = ("pool", "after_filter", "kept", "weighted")
Rows = list[dict[str, Any]]


class Made(NamedTuple):
    version: Version
    samples: Samples
    true: np.ndarray  # (n,) whether the attribute is there


def pool(root: Path, rows: int = 600) -> Made:
    """Women among the old and the others; near-duplicates; a filter at 0.7; weights; a classifier that misses women."""
    rng = np.random.default_rng(0)
    woman, old = rng.random(rows) < 0.3, rng.random(rows) < 0.4
    score = np.where(rng.random(rows) < 0.2, rng.beta(4, 2, rows), rng.beta(0.5, 10, rows)).astype(np.float32)
    true = rng.random(rows) < np.where(woman, np.sqrt(score), score)
    captions = [" ".join(np.array(["woman", "old", "x"])[[a, b, True]]) for a, b in zip(woman, old, strict=True)]
    group = rng.integers(0, rows, rows) % 150
    verdict = np.where(score > 0.7, "filtered", np.where(rng.random(rows) < 0.1, "duplicate", "kept"))
    weight = rng.choice([0.5, 1.0, 2.0], rows)
    samples = [(c, str(v), float(w), int(g)) for c, v, w, g in zip(captions, verdict, weight, group, strict=True)]
    return Made(made(root, samples, score.tolist()), samples, true)


def labelled(rows: Rows, true: np.ndarray, answer: Callable[[int], bool] = lambda place: True) -> Rows:
    """The rows with their labels, of those places in the file that are answered."""
    return [{**row, "label": int(true[int(row["uid"], 16)]) if answer(i) else ""} for i, row in enumerate(rows)]


def with_labels(folder: Path, rows: Rows) -> TermGroups:
    path = folder / f"labels{len(list(folder.glob('labels*')))}.csv"
    write_drawn(path, rows)
    attributes = [replace(one, drawn=read_drawn(path)) if one.classifier else one for one in GROUPS.attributes]
    return replace(GROUPS, attributes=tuple(attributes))


def corrected(version: Version, groups: TermGroups) -> tuple[dict[tuple[str, str], Any], dict[str, Any], list[str]]:
    """Rows by stage and group, true shares by stage, and notes."""
    tables, summary = audit_groups(version, groups)
    rows = {(row["stage"], row["group"]): row for row in tables["corrected"].to_pylist()}
    return rows, {row["stage"]: row for row in tables["residual"].to_pylist()}, summary["notes"]


def truth(pool: Made, stage: str, group: str) -> tuple[float, float]:
    """The true share within the group and outside it, in plain Python."""
    sums = {(a, b): 0.0 for a in (True, False) for b in (True, False)}
    for (caption, *_), mass, true in zip(pool.samples, masses(pool.samples, stage), pool.true, strict=True):
        sums[group in caption.split(), bool(true)] += mass
    inside, outside = (sums[side, True] / (sums[side, True] + sums[side, False]) for side in (True, False))
    return inside, outside


def test_where_everything_is_labelled_the_figures_are_what_is_true_at_every_stage(tmp_path: Path) -> None:
    one = pool(tmp_path)
    rows = labelled(plan(one.version, GROUPS, "nude", Draw(("woman", "old"), labels=600)), one.true)
    assert len(rows) == 600
    found, residual, _ = corrected(one.version, with_labels(tmp_path, rows))
    assert set(found) == {(stage, group) for stage in STAGES for group in ("woman", "old")}
    for (stage, group), row in found.items():
        inside, outside = truth(one, stage, group)
        figures = {"share_inside": inside, "share_outside": outside, "difference": inside - outside}
        figures["log_odds_ratio"] = math.log(inside / (1 - inside)) - math.log(outside / (1 - outside))
        for name, value in figures.items():
            for end in ("", "_lower", "_upper"):
                assert row[name + end] == pytest.approx(value, abs=3e-6), (stage, group, name)
        weights = masses(one.samples, stage)
        assert residual[stage]["true_share"] == pytest.approx(np.average(one.true, weights=weights), abs=3e-6)


def test_a_part_of_the_labels_gives_intervals_that_hold_what_is_true(tmp_path: Path) -> None:
    one = pool(tmp_path)
    rows = plan(one.version, GROUPS, "nude", Draw(("woman",), labels=240, seed=3))
    found, residual, _ = corrected(one.version, with_labels(tmp_path, labelled(rows, one.true)))
    row = found["kept", "woman"]
    assert row["share_inside_lower"] - 1e-6 <= truth(one, "kept", "woman")[0] <= row["share_inside_upper"] + 1e-6
    assert row["share_outside_lower"] < truth(one, "kept", "woman")[1] < row["share_outside_upper"]
    assert row["labels_inside"] + row["labels_outside"] < 240 == len(rows) and row["labels_lacking"] == 0
    assert residual["kept"]["true_share_lower"] < residual["kept"]["true_share_upper"]


def test_a_draw_is_the_same_for_a_seed_random_within_a_stratum_and_equal_between_strata(tmp_path: Path) -> None:
    one = pool(tmp_path)
    draw = Draw(("woman",), labels=180)
    rows = plan(one.version, GROUPS, "nude", draw)
    assert rows == plan(one.version, GROUPS, "nude", draw) != plan(one.version, GROUPS, "nude", replace(draw, seed=1))
    sizes = Counter((row["groups"], row["bin"]) for row in rows)
    assert sizes == {(row["groups"], row["bin"]): row["drawn"] for row in rows} and len(rows) == 180
    assert sorted(sizes.values()) == [28, 30, 30, 30, 31, 31]  # there are no more than 28 in the smallest
    more = {row["uid"] for row in plan(one.version, GROUPS, "nude", replace(draw, labels=300))}
    assert {row["uid"] for row in rows} < more


def test_what_is_not_answered_yet_is_told_and_nothing_is_corrected_there(tmp_path: Path) -> None:
    one = pool(tmp_path)
    rows = plan(one.version, GROUPS, "nude", Draw(("woman",), labels=180))
    inside = [i for i, row in enumerate(rows) if row["groups"] == "woman"]
    found, residual, notes = corrected(
        one.version, with_labels(tmp_path, labelled(rows, one.true, lambda i: i not in inside[:2]))
    )
    assert found["pool", "woman"]["share_inside"] is None and found["pool", "woman"]["difference"] is None
    assert found["pool", "woman"]["share_outside"] is not None and residual["pool"]["true_share"] is None
    assert found["pool", "woman"]["labels_lacking"] == 2
    (note,) = [note for note in notes if note.startswith("nude: not corrected in full")]
    assert "woman × " in note and "all together 2" in note


def test_a_stratum_with_too_few_labels_behind_the_filter_says_how_many_more_would_do(tmp_path: Path) -> None:
    one = pool(tmp_path)
    drawn = plan(one.version, GROUPS, "nude", Draw(("woman",), labels=600))
    strata = sorted({(row["groups"], row["bin"]) for row in drawn})
    top = [row for row in drawn if (row["groups"], row["bin"]) == strata[-1]]
    gone = {uid(i) for i, sample in enumerate(one.samples) if sample[1] == "filtered"}
    few = plan(one.version, GROUPS, "nude", Draw(("woman",), labels=60))
    kept = [row for row in few if (row["groups"], row["bin"]) != strata[-1]]
    assert sum(row["uid"] not in gone for row in few if row not in kept) >= FEWEST < len(top)
    found, _, notes = corrected(one.version, with_labels(tmp_path, labelled(kept, one.true)))
    assert found["kept", "woman"]["share_inside"] is None
    lacking = found["kept", "woman"]["labels_lacking"]
    assert lacking >= FEWEST and any(f"{' & '.join(filter(None, [strata[-1][0]]))} × " in note for note in notes)


def test_labels_that_were_not_drawn_are_told_and_change_nothing(tmp_path: Path) -> None:
    one = pool(tmp_path)
    rows = labelled(plan(one.version, GROUPS, "nude", Draw(("woman",), labels=180)), one.true)
    drawn = {row["uid"] for row in rows}
    number = {(row["groups"], row["bin"]): row["drawn"] for row in rows}
    everything = labelled(plan(one.version, GROUPS, "nude", Draw(("woman",), labels=600)), one.true)
    beyond = [{**row, "drawn": number[row["groups"], row["bin"]]} for row in everything if row["uid"] not in drawn]
    picked = [row for row in beyond if row["label"] == 1]
    before = corrected(one.version, with_labels(tmp_path, rows))
    after = corrected(one.version, with_labels(tmp_path, [*rows, *picked]))
    told = [note for note in after[2] if "are not of the draw and correct nothing" in note]
    assert before[0] == after[0] and told == [f"nude: {len(picked)} labels are not of the draw and correct nothing"]


def test_labels_are_kept_when_more_are_drawn_or_the_pool_has_others(tmp_path: Path) -> None:
    one = pool(tmp_path / "one")
    rows = labelled(plan(one.version, GROUPS, "nude", Draw(("woman",), labels=180)), one.true)
    groups = with_labels(tmp_path, [*rows, {**rows[0], "uid": "f" * 32}])
    assert any(
        "1 of its drawn uids are no usable samples of this version (ffff" in note
        for note in corrected(one.version, groups)[2]
    )
    more = plan(one.version, groups, "nude", Draw(("woman",), labels=200))
    assert len(more) == 200 and {row["uid"]: row["label"] for row in more if row["label"] != ""} == {
        row["uid"]: row["label"] for row in rows
    }


def fed(version: Version, labels: dict[str, int]) -> Version:
    """The version as if the filter had been decided with these labels."""
    key = version.lake.key("labels", sorted(labels.items()))
    with version.lake.new_artifact("labels.sexual", key) as folder:
        table = pa.table({"uid": list(labels), "label": pa.array(labels.values(), pa.int8())})
        write_table(folder / "labels.parquet", table)
    return version.derive("filter", artifacts={"labels.sexual": key})


def test_drawn_labels_that_the_filter_was_decided_with_correct_nothing_until_others_are_drawn(tmp_path: Path) -> None:
    one = pool(tmp_path)
    rows = labelled(plan(one.version, GROUPS, "nude", Draw(("woman",), labels=180)), one.true)
    version = fed(one.version, {row["uid"]: row["label"] for row in rows})
    found, _, notes = corrected(version, with_labels(tmp_path, rows))
    assert found["kept", "woman"]["share_inside"] is None and any("not corrected in full" in note for note in notes)
    others = plan(version, with_labels(tmp_path, rows), "nude", Draw(("woman",), labels=180))
    assert not {row["uid"] for row in others} & {row["uid"] for row in rows}
    found, _, _ = corrected(version, with_labels(tmp_path, labelled(others, one.true)))
    assert found["kept", "woman"]["share_inside_lower"] < truth(one, "kept", "woman")[0]
    assert truth(one, "kept", "woman")[0] < found["kept", "woman"]["share_inside_upper"]


@pytest.mark.parametrize(
    ("attribute", "draw", "message"),
    [
        (
            "bare",
            Draw(("woman",)),
            r"attribute 'bare': one with `classifier` and `above` was expected, known are: nude",
        ),
        ("nude", Draw(("men",)), r"group 'men': there is none of this name; known are: nobody, old, woman"),
        ("nude", Draw(("woman",), labels=20), r"20 labels do not do for 6 strata: \d+ at least were expected"),
    ],
)
def test_a_draw_that_cannot_be_made_is_refused(tmp_path: Path, attribute: str, draw: Draw, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(pool(tmp_path, 200).version, GROUPS, attribute, draw)


def test_a_draw_from_a_version_without_the_score_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"attribute 'nude': the version has no score of 'sexual'"):
        plan(made(tmp_path, [("woman", "kept", 1.0, 0)]), GROUPS, "nude", Draw(("woman",)))


def test_without_groups_to_tell_apart_the_share_of_everything_is_corrected(tmp_path: Path) -> None:
    one = pool(tmp_path)
    rows = labelled(plan(one.version, GROUPS, "nude", Draw((), labels=300)), one.true)
    found, residual, _ = corrected(one.version, with_labels(tmp_path, rows))
    true = np.average(one.true, weights=masses(one.samples, "weighted"))
    assert not found and residual["weighted"]["true_share_lower"] < true < residual["weighted"]["true_share_upper"]


def test_a_draw_without_labels_or_bins_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"found 0, 3 and 0"):
        Draw(("woman",), labels=0)


def test_a_group_that_no_caption_has_and_an_empty_pool_leave_null_and_no_failure(tmp_path: Path) -> None:
    one = pool(tmp_path / "one", 200)
    rows = labelled(plan(one.version, GROUPS, "nude", Draw(("nobody",), labels=100)), one.true)
    groups = with_labels(tmp_path, rows)
    found, _, notes = corrected(one.version, groups)
    assert found["pool", "nobody"]["share_inside"] is None and found["pool", "nobody"]["share_outside"] is not None
    assert "no caption of the pool is in: nobody" in notes
    empty = made(tmp_path / "empty", [("woman", "quarantined", 1.0, 0)], [None])
    found, residual, _ = corrected(empty, groups)
    assert found["pool", "nobody"]["share_outside"] is None and residual["pool"]["true_share"] is None
    assert plan(empty, GROUPS, "nude", Draw(("woman",))) == []


def test_edges_cut_what_is_uncertain_into_equal_parts_and_never_twice_at_a_place() -> None:
    score = np.linspace(0, 1, 10_001)
    low, high = edges(score, 3)
    assert low == pytest.approx(1 - high, abs=1e-3) and 0.3 < low < 0.4
    assert edges(np.zeros(5), 3) == edges(np.array([]), 3) == edges(np.full(9, 0.25), 3) == ()
