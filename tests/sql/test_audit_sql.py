"""Given and expected rows of each question in sql/audit, and its grain in the first comment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from tasks.queries import SQL, Database, database

ONE = 2**24  # the mass of weight 1

# Six samples: 0 and 1 are near-duplicates of the filtered 2, 3 stands alone, 4 is quarantined, 5 in a group with 4.
SAMPLE = {
    "sample": [0, 1, 2, 3, 4, 5],
    "uid": ["u0", "u1", "u2", "u3", "u4", "u5"],
    "verdict": ["kept", "duplicate", "filtered", "kept", "quarantined", "kept"],
    "weight": [0.5, None, None, 2.0, None, 0.5],
}
NEAR_DUPLICATE = {"group": [7, 7, 7, 8, 8], "uid": ["u0", "u1", "u2", "u4", "u5"]}
TOKEN = {"sample": [0, 1, 2, 3, 4, 0, 3, 5], "term": [0, 0, 0, 0, 0, 1, 1, 2]}
VOCABULARY = {"term": [0, 1, 2, 3], "word": ["cat", "dog", "owl", "yak"], "keyword": [False, False, False, True]}

POOL = [
    {"sample": 0, "unit": 0, "unit_size": 3, "unfiltered": True, "kept": True, "mass": ONE // 2, "unit_mass": ONE // 2},
    {"sample": 1, "unit": 0, "unit_size": 3, "unfiltered": True, "kept": False, "mass": 0, "unit_mass": ONE // 2},
    {"sample": 2, "unit": 0, "unit_size": 3, "unfiltered": False, "kept": False, "mass": 0, "unit_mass": ONE // 2},
    {"sample": 3, "unit": 3, "unit_size": 1, "unfiltered": True, "kept": True, "mass": 2 * ONE, "unit_mass": 2 * ONE},
    {"sample": 5, "unit": 5, "unit_size": 1, "unfiltered": True, "kept": True, "mass": ONE // 2, "unit_mass": ONE // 2},
]

COUNTED = [
    {"term": 0, "n_pool": 4, "n_units": 2, "reference": 2 * ONE, "n_after_filter": 3, "n_kept": 2,
     "mass": 5 * ONE // 2, "squares": 10, "kept_squares": 2, "crossed": 10},
    {"term": 1, "n_pool": 2, "n_units": 2, "reference": round(4 / 3 * ONE), "n_after_filter": 2, "n_kept": 2,
     "mass": 5 * ONE // 2, "squares": 2, "kept_squares": 2, "crossed": 4},
    {"term": 2, "n_pool": 1, "n_units": 1, "reference": ONE, "n_after_filter": 1, "n_kept": 1,
     "mass": ONE // 2, "squares": 1, "kept_squares": 1, "crossed": 1},
]  # fmt: skip


@pytest.fixture
def db() -> Iterator[Database]:
    tables = {"sample": SAMPLE, "near_duplicate": NEAR_DUPLICATE, "token": TOKEN, "vocabulary": VOCABULARY}
    with database({name: pa.table(columns) for name, columns in tables.items()}) as found:
        yield found


def rows(table: pa.Table, by: str) -> list[dict[str, Any]]:
    return sorted(table.to_pylist(), key=lambda row: row[by])


def test_pool_places_usable_samples_in_their_groups(db: Database) -> None:
    assert rows(db.run("audit", "pool"), "sample") == POOL


def test_a_uid_in_two_groups_counts_in_the_first(db: Database) -> None:
    db.add("near_duplicate", pa.table({"group": [9, 7, 7, 9], "uid": ["u0", "u0", "u1", "u3"]}))
    assert [row["unit"] for row in rows(db.run("audit", "pool"), "sample")] == [0, 0, 2, 3, 5]


def test_placed_is_the_first_group_of_each_sample_that_has_one(db: Database) -> None:
    db.add("near_duplicate", pa.table({"group": [9, 7, 7, 9], "uid": ["u0", "u0", "u1", "gone"]}))
    found = rows(db.run("audit", "placed"), "sample")
    assert found == [{"sample": 0, "group": 7}, {"sample": 1, "group": 7}]


def test_counted_counts_terms_by_verdict_group_and_mass(db: Database) -> None:
    db.add("pool", pa.Table.from_pylist(POOL))
    assert rows(db.run("audit", "counted"), "term") == COUNTED


def test_totals_sums_up_the_pool(db: Database) -> None:
    db.add("pool", pa.Table.from_pylist(POOL))
    db.add("counted", pa.Table.from_pylist(COUNTED))
    expected = {"n_pool": 5, "n_units": 3, "n_after_filter": 4, "n_kept": 3, "mass": 3 * ONE, "words": 2}
    assert db.run("audit", "totals", words=2).to_pylist() == [expected]


def test_totals_of_an_empty_pool_are_zero(db: Database) -> None:
    db.add("pool", pa.Table.from_pylist(POOL).slice(0, 0))
    db.add("counted", pa.Table.from_pylist(COUNTED).slice(0, 0))
    expected = {"n_pool": 0, "n_units": 0, "n_after_filter": 0, "n_kept": 0, "mass": 0, "words": 0}
    assert db.run("audit", "totals", words=2).to_pylist() == [expected]


def test_audited_lists_frequent_terms_and_every_keyword(db: Database) -> None:
    db.add("counted", pa.Table.from_pylist(COUNTED))
    found = db.run("audit", "audited", min_count=2).to_pylist()
    assert [(row["term"], row["term_id"], row["keyword"], row["n_pool"]) for row in found] == [
        ("cat", 0, False, 4),
        ("dog", 1, False, 2),
        ("yak", 3, True, 0),
    ]
    assert {name: found[1][name] for name in COUNTED[1] if name != "term"} == {
        name: value for name, value in COUNTED[1].items() if name != "term"
    }


def test_frequent_pairs_are_those_that_stand_often_enough_in_order(db: Database) -> None:
    db.add("pair", pa.table({"pair": [9, 2, 9, 5, 2, 9]}))
    assert db.run("audit", "frequent_pairs", min_count=2)["pair"].to_pylist() == [2, 9]
    assert db.run("audit", "frequent_pairs", min_count=4)["pair"].to_pylist() == []


def test_influence_follows_its_definition(db: Database) -> None:
    db.add("pool", pa.Table.from_pylist(POOL))
    db.add("audited", pa.Table.from_pylist([{"term_id": row["term"], **row} for row in COUNTED]))
    found = rows(db.run("audit", "influence", units=3.0, mean_mass=float(ONE)), "term_id")
    assert [row["term_id"] for row in found] == [0, 1, 2]
    held = [  # of each term and group: the mass with the term, the part of the captions that has it
        [(0.5, 1.0), (2.0, 1.0), (0.0, 0.0)],
        [(0.5, 1 / 3), (2.0, 1.0), (0.0, 0.0)],
        [(0.0, 0.0), (0.0, 0.0), (0.5, 1.0)],
    ]
    for row, groups in zip(found, held, strict=True):
        p, mass = sum(part for _, part in groups) / 3, sum(mass for mass, _ in groups)
        z = [p * 3 * m / mass - p * whole - part + p for (m, part), whole in zip(groups, (0.5, 2.0, 0.5), strict=True)]
        assert row["second"] == pytest.approx(sum(x**2 for x in z), abs=1e-6)
        assert row["fourth"] == pytest.approx(sum(x**4 for x in z), abs=1e-6)


def test_every_question_states_its_grain_first_and_is_lower_case() -> None:
    files = sorted((SQL / "audit").glob("*.sql"))
    assert len(files) == 7
    for file in files:
        text = file.read_text("utf-8")
        assert text.startswith("-- one row"), file.name
        code = "\n".join(line.split("--")[0] for line in text.splitlines())
        assert code == code.lower(), file.name
