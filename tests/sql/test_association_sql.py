"""Given and expected rows of each question in sql/association, and its grain in the first comment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from tasks.queries import SQL, Database, database

ONE = 2**24  # the mass of weight 1

# Samples 0, 1 and 2 are near-duplicates, 2 was filtered, 1 is a duplicate; 3 and 5 stand alone.
POOL = {
    "sample": [0, 1, 2, 3, 5],
    "unit": [0, 0, 0, 3, 5],
    "unfiltered": [True, True, False, True, True],
    "kept": [True, False, False, True, True],
    "mass": [ONE // 2, 0, 0, 2 * ONE, 0],
}
# Sets 0 and 1 are groups, 2 is an attribute. Sample 4 was quarantined.
MEMBER = {"sample": [0, 1, 1, 3, 4, 2, 3, 4], "group": [0, 0, 1, 0, 0, 2, 2, 2]}
THIRD = round(ONE / 3)
STAGE = {
    "sample": [0, 1, 2, 3, 5],
    "unit": [0, 0, 0, 3, 5],
    "mass": [THIRD, THIRD, THIRD, ONE, ONE],
    "unit_mass": [ONE, ONE, ONE, ONE, ONE],
}


@pytest.fixture
def db() -> Iterator[Database]:
    tables = {"pool": POOL, "member": MEMBER, "stage": STAGE}
    with database({name: pa.table(columns) for name, columns in tables.items()}) as found:
        yield found


def rows(table: pa.Table, *by: str) -> list[dict[str, Any]]:
    return sorted(table.to_pylist(), key=lambda row: [row[name] for name in by])


def test_members_by_terms_are_the_samples_with_a_term_of_the_group(db: Database) -> None:
    db.add("token", pa.table({"sample": [0, 0, 1, 2], "term": [7, 8, 7, 9]}))
    db.add("group_term", pa.table({"group": [0, 0, 1], "term": [7, 8, 8]}))
    found = rows(db.run("association", "members_by_terms"), "sample", "group")
    assert [(row["sample"], row["group"]) for row in found] == [(0, 0), (0, 0), (0, 1), (1, 0)]


def test_members_by_groups_are_in_all_that_is_demanded_and_in_nothing_excluded_or_in_a_part(db: Database) -> None:
    rules = [(5, "all", 0), (5, "without", 1), (6, "all", 0), (6, "all", 2), (7, "part", 1), (7, "part", 2)]
    columns = zip(*rules, strict=True)
    db.add("rule", pa.table(dict(zip(("group", "kind", "other"), map(list, columns), strict=True))))
    found = rows(db.run("association", "members_by_groups"), "group", "sample")
    assert [(row["group"], row["sample"]) for row in found] == [
        *[(5, 0), (5, 3), (5, 4)],
        *[(6, 3), (6, 4)],
        *[(7, 1), (7, 2), (7, 3), (7, 4)],
    ]


@pytest.mark.parametrize(
    ("stage", "masses", "unit_masses"),
    [
        ("pool", {0: THIRD, 1: THIRD, 2: THIRD, 3: ONE, 5: ONE}, {0: 3 * THIRD, 3: ONE, 5: ONE}),
        ("after_filter", {0: ONE // 2, 1: ONE // 2, 3: ONE, 5: ONE}, {0: ONE, 3: ONE, 5: ONE}),
        ("kept", {0: ONE, 3: ONE, 5: ONE}, {0: ONE, 3: ONE, 5: ONE}),
        ("weighted", {0: ONE // 2, 3: 2 * ONE}, {0: ONE // 2, 3: 2 * ONE}),
    ],
)
def test_stage_counts_a_unit_once_or_its_kept_samples_or_their_weights(
    db: Database, stage: str, masses: dict[int, int], unit_masses: dict[int, int]
) -> None:
    found = rows(db.run("association", "stage", stage=stage), "sample")
    assert {row["sample"]: row["mass"] for row in found} == masses
    assert {row["unit"]: row["unit_mass"] for row in found} == unit_masses


def test_whole_sums_the_units_of_a_stage(db: Database) -> None:
    assert db.run("association", "whole").to_pylist() == [{"mass": 3 * ONE, "squares": 3 * ONE, "largest": ONE}]
    db.add("stage", pa.table(STAGE).slice(0, 0))
    assert db.run("association", "whole").to_pylist() == [{"mass": 0, "squares": 0, "largest": 0}]


def test_held_and_margins_sum_a_set_by_unit_and_over_units(db: Database) -> None:
    db.keep("held", "association", "held")
    held = {
        (row["group"], row["unit"]): (row["mass"], row["samples"]) for row in db.run("association", "held").to_pylist()
    }
    assert held == {
        (0, 0): (2 * THIRD, 2), (0, 3): (ONE, 1), (1, 0): (THIRD, 1), (2, 0): (THIRD, 1), (2, 3): (ONE, 1),
    }  # fmt: skip
    found = {row["group"]: row for row in db.run("association", "margins").to_pylist()}
    assert (found[0]["samples"], found[0]["mass"]) == (3, 2 * THIRD + ONE)
    assert found[0]["squares"] / ONE == pytest.approx(4 / 9 + 1)
    assert found[0]["crossed"] / ONE == pytest.approx(2 / 3 + 1)
    assert found[1]["squares"] / ONE == pytest.approx(1 / 9)


def test_cells_hold_samples_with_both_and_products_of_units_that_have_both_in_any_caption(db: Database) -> None:
    db.keep("held", "association", "held")
    one, other = db.run("association", "cells", attributes=2).to_pylist()
    assert (one["group"], one["attribute"], one["samples"], one["mass"]) == (0, 2, 1, ONE)
    expected = {"both_both": 1, "both_group": 1, "both_attribute": 1, "both_all": 1, "group_attribute": 2 / 9 + 1}
    assert {name: one[name] / ONE for name in expected} == pytest.approx(expected)
    assert (other["group"], other["samples"], other["mass"], other["both_both"]) == (1, 0, 0, 0)
    assert other["group_attribute"] / ONE == pytest.approx(1 / 9)


def test_residual_is_the_mean_score_by_mass_of_what_has_one(db: Database) -> None:
    score = {"sample": [0, 3, 5, 4], "attribute": [1, 1, 1, 1], "score": pa.array([0.75, 0.5, None, 0.9], pa.float32())}
    db.add("score", pa.table(score))
    (found,) = db.run("association", "residual").to_pylist()
    assert found["harm"] == pytest.approx((0.75 / 3 + 0.5) / (4 / 3))
    assert (found["attribute"], found["unscored"]) == (1, 1)


def test_every_question_states_its_grain_first_and_is_lower_case() -> None:
    files = sorted((SQL / "association").glob("*.sql"))
    assert len(files) == 8
    for file in files:
        text = file.read_text("utf-8")
        assert text.startswith("-- one row"), file.name
        code = "\n".join(line.split("--")[0] for line in text.splitlines())
        assert code == code.lower(), file.name
