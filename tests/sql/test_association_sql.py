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


def test_residual_is_the_mean_score_by_mass_of_what_has_one_and_how_its_units_deviate(db: Database) -> None:
    score = {"sample": [0, 3, 5, 4], "attribute": [1, 1, 1, 1], "score": pa.array([0.75, 0.5, None, 0.9], pa.float32())}
    db.add("score", pa.table(score))
    (found,) = db.run("association", "residual").to_pylist()
    mean = (0.75 / 3 + 0.5) / (4 / 3)
    assert found["harm"] == pytest.approx(mean)
    assert (found["attribute"], found["unscored"], found["units"]) == (1, 1, 2)
    moves = [(0.75 - mean) / 3, 0.5 - mean]
    expected = {
        "mass": 4 / 3,
        "squares": 10 / 9,
        "second": sum(z**2 for z in moves),
        "fourth": sum(z**4 for z in moves),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)


# Attribute 3 has strata 0 (samples 0, 1, 3) and 1 (sample 5); its file has labels of 0 and 3, and an empty one of 5.
FRAME = {"attribute": [3, 3, 3, 3], "stratum": [0, 0, 0, 1], "sample": [0, 1, 3, 5]}
ORDERED = {**FRAME, "place": [2, 3, 1, 1]}


def labelled(db: Database, labels: dict[int, int | None], drawn: tuple[int, int] = (9, 9)) -> list[dict[str, Any]]:
    column = pa.array(list(labels.values()), pa.int8())
    db.add("ordered", pa.table(ORDERED))
    db.add("label", pa.table({"attribute": [3] * len(labels), "sample": list(labels), "label": column}))
    db.add("planned", pa.table({"attribute": [3, 3], "stratum": [0, 1], "drawn": list(drawn)}))
    found = db.run("association", "drawn")
    db.add("drawn", found)
    return found.to_pylist()


def test_ordered_is_a_random_order_of_each_stratum_that_depends_on_seed_and_uid_alone(db: Database) -> None:
    frame = {"attribute": [3] * 500, "stratum": [i % 2 for i in range(500)], "sample": list(range(500))}
    db.add("frame", pa.table(frame))
    db.add("sample", pa.table({"sample": list(range(500)), "uid": [f"{i:032x}" for i in range(500)]}))
    orders = []
    for seed in (1, 1, 2):
        db.add("design", pa.table({"attribute": [3], "seed": [seed]}))
        found = rows(db.run("association", "ordered"), "stratum", "place")
        orders.append([row["sample"] for row in found])
        assert [row["place"] for row in found] == [*range(1, 251)] * 2
    assert orders[0] == orders[1] != orders[2]
    first = sorted(orders[0][:250])
    assert first == list(range(0, 500, 2)) and abs(sum(orders[0][:50]) / 50 - 249) < 75


def test_drawn_are_the_first_of_the_order_without_a_gap_as_many_as_were_drawn(db: Database) -> None:
    assert [(row["sample"], row["label"]) for row in labelled(db, {3: 1, 0: 0, 5: None})] == [(3, 1), (0, 0), (5, None)]
    assert [row["sample"] for row in labelled(db, {3: 1, 1: 1, 5: 0})] == [3, 5]  # the second of the order lacks
    assert [row["sample"] for row in labelled(db, {3: 1, 0: 0, 1: 1, 5: 0}, (2, 0))] == [3, 0]


def test_strata_sum_what_is_there_and_what_is_labelled_of_it(db: Database) -> None:
    labelled(db, {3: 1, 0: 0, 5: None})
    one, other = db.run("association", "strata", fewest=2).to_pylist()
    assert (one["stratum"], one["size"], one["labelled"], one["needed"]) == (0, 3, 2, 2)
    masses = {"mass": 5 / 3, "largest": 1 / 3, "labelled_mass": 4 / 3, "labelled_squares": 10 / 9}
    masses |= {"positive_mass": 1, "positive_squares": 1}
    assert {name: one[name] / ONE for name in masses} == pytest.approx(masses)
    assert (other["size"], other["labelled"], other["positive_mass"], other["needed"]) == (1, 0, 0, 1)
    assert other["largest"] == ONE


def test_first_are_as_many_of_each_stratum_as_wanted_with_the_labels_that_they_have(db: Database) -> None:
    labelled(db, {3: 1})
    db.add("sample", pa.table({"sample": [0, 1, 3, 5], "uid": ["d", "c", "b", "a"]}))
    db.add("wanted", pa.table({"stratum": [0, 1], "number": [2, 0]}))
    found = db.run("association", "first").to_pylist()
    assert [(row["uid"], row["stratum"], row["label"]) for row in found] == [("b", 0, 1), ("d", 0, None)]


def test_every_question_states_its_grain_first_and_is_lower_case() -> None:
    files = sorted((SQL / "association").glob("*.sql"))
    assert len(files) == 11
    for file in files:
        text = file.read_text("utf-8")
        assert text.startswith("-- one row"), file.name
        code = "\n".join(line.split("--")[0] for line in text.splitlines())
        assert code == code.lower(), file.name
