"""sql/dashboard/: rows that are given, and rows that are expected."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from tasks import queries

TEXTS = ("uid", "key", "shard", "caption", "verdict", "stage", "reason")
FIGURES = ("width", "height", "weight", "score", "duplicate_similarity")
SAMPLE = pa.schema([("row", pa.int64()), *((t, pa.string()) for t in TEXTS), *((f, pa.float64()) for f in FIGURES)])
ROWS: list[dict[str, Any]] = [
    {"uid": "aa01", "key": "k0", "shard": "Birds/0.tar", "caption": "A Café", "verdict": "kept", "weight": 2.0,
     "score": 0.1, "width": 10, "height": 20},
    {"uid": "aa02", "key": "k1", "shard": "birds/0.tar", "caption": "100% <b>_", "verdict": "filtered",
     "stage": "filter", "reason": "x: score", "score": 0.9, "width": 30, "height": 30},
    {"uid": "bb03", "key": "k2", "shard": "cats/1.tar", "caption": None, "verdict": "quarantined", "stage": "ingest",
     "reason": "zero bytes"},
    {"uid": "bb04", "key": "k3", "shard": "cats/1.tar", "caption": "café", "verdict": "kept", "weight": 0.5,
     "score": 0.4, "width": 5, "height": 50},
]  # fmt: skip
NOTHING: dict[str, Any] = {
    "verdicts": [], "stages": [], "reasons": [], "score_from": None, "score_to": None, "weight_from": None,
    "weight_to": None, "side_from": None, "side_to": None, "shard": "", "uid": "", "caption": "", "sort": "row",
    "sign": 1, "size": 10, "start": 0,
}  # fmt: skip


def answer(question: str, tables: dict[str, pa.Table], **parameters: Any) -> list[dict[str, Any]]:
    with queries.database(tables) as database:
        found: list[dict[str, Any]] = database.run("dashboard", question, **parameters).to_pylist()
        return found


def samples() -> pa.Table:
    """ROWS as the dashboard hands them over: few values are kept as codes."""
    table = pa.Table.from_pylist([{"row": i, **row} for i, row in enumerate(ROWS)], schema=SAMPLE)
    for name in ("shard", "verdict", "stage", "reason"):
        table = table.set_column(table.column_names.index(name), name, table[name].dictionary_encode())
    return table


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        ({}, [0, 1, 2, 3]),
        ({"caption": "CAFÉ"}, [0, 3]),
        ({"caption": "%"}, [1]),
        ({"caption": "_"}, [1]),
        ({"caption": "' or 1=1 --"}, []),
        ({"uid": "AA"}, [0, 1]),
        ({"uid": "k2"}, [2]),
        ({"shard": "birds"}, [0, 1]),
        ({"verdicts": ["filtered", "quarantined"]}, [1, 2]),
        ({"stages": ["ingest"]}, [2]),
        ({"reasons": ["x: score"]}, [1]),
        ({"score_from": 0.4}, [1, 3]),
        ({"score_from": 0.2, "score_to": 0.5}, [3]),
        ({"weight_to": 1.0}, [3]),
        ({"side_from": 10}, [0, 1]),
        ({"side_to": 30}, [0, 1]),
        ({"sort": "score", "sign": -1}, [1, 3, 0, 2]),
        ({"sort": "weight"}, [3, 0, 1, 2]),
        ({"sort": "pixels", "sign": -1}, [1, 3, 0, 2]),
        ({"size": 2, "start": 1}, [1, 2]),
        ({"caption": "café", "verdicts": ["kept"], "size": 1, "start": 1}, [3]),
    ],
)
def test_found_are_the_samples_that_are_as_asked(asked: dict[str, Any], rows: list[int]) -> None:
    (found,) = answer("found", {"sample": samples()}, **{**NOTHING, **asked})
    assert found["rows"] == rows


def test_found_counts_all_that_it_shows_a_page_of() -> None:
    (found,) = answer("found", {"sample": samples()}, **{**NOTHING, "size": 1})
    assert found["samples"] == 4
    assert found["verdicts"] == [
        {"verdict": "kept", "samples": 2}, {"verdict": "filtered", "samples": 1},
        {"verdict": "quarantined", "samples": 1},
    ]  # fmt: skip


def test_found_of_nothing_is_nothing() -> None:
    (found,) = answer("found", {"sample": samples().slice(0, 0)}, **NOTHING)
    assert found == {"samples": 0, "verdicts": None, "rows": []}


def test_reasons_are_counted_the_kept_first() -> None:
    found = answer("reasons", {"decision": samples()})
    assert [tuple(row.values()) for row in found] == [
        ("kept", None, None, 2), ("filtered", "filter", "x: score", 1), ("quarantined", "ingest", "zero bytes", 1),
    ]  # fmt: skip


def test_rows_of_a_uid_that_several_have_is_the_usable_one_s() -> None:
    table = samples().set_column(1, "uid", pa.array(["a", "b", "b", "b"]))
    found = answer("rows_of", {"sample": table.take([2, 1, 3, 0])}, uids=["b", "c"])
    assert found == [{"uid": "b", "row": 1}]


TEXT = pa.string()
DECIDED = pa.schema(
    {"row": pa.int64(), "uid": TEXT, "verdict": TEXT, "stage": TEXT, "reason": TEXT, "weight": pa.float64()}
)


def decided(*rows: tuple[str, str]) -> pa.Table:
    """Rows of (uid, verdict), weight 1 where kept."""
    made = [{"row": i, "uid": u, "verdict": v, "weight": 1.0 if v == "kept" else None} for i, (u, v) in enumerate(rows)]
    return pa.Table.from_pylist(made, schema=DECIDED)


def test_matched_pairs_the_samples_of_a_uid_the_usable_first() -> None:
    tables = {
        "before": decided(("a", "quarantined"), ("a", "kept"), ("b", "kept")),
        "after": decided(("a", "filtered"), ("c", "kept")),
    }
    found = {(row["uid"], row["verdict_before"], row["verdict_after"]) for row in answer("matched", tables)}
    assert found == {
        ("a", "kept", "filtered"), ("a", "quarantined", None), ("b", "kept", None), ("c", None, "kept"),
    }  # fmt: skip


def test_moves_and_movers_tell_the_same_samples() -> None:
    before = decided(("a", "kept"), ("b", "kept"), ("c", "kept"), ("d", "kept"))
    after = decided(("a", "filtered"), ("b", "kept"), ("c", "filtered"), ("e", "kept"))
    paired = pa.Table.from_pylist(answer("matched", {"before": before, "after": after}))
    moves = answer("moves", {"paired": paired})
    assert [(move["verdict_before"], move["verdict_after"], move["samples"]) for move in moves] == [
        ("kept", "filtered", 2), ("kept", "kept", 1), ("kept", None, 1), (None, "kept", 1),
    ]  # fmt: skip
    for move in moves:
        asked = {name: value for name, value in move.items() if name not in ("samples", "weights_changed")}
        found = answer("movers", {"paired": paired}, **asked, size=10, start=0)
        assert len(found) == move["samples"]
    assert moves[0]["weights_changed"] == 2 and moves[1]["weights_changed"] == 0


def test_terms_moved_by_their_shares_the_keywords_first() -> None:
    before = pa.table({"term": ["a", "b", "c", "d"], "n_kept": [50, 10, 10, 5], "keyword": [True, False, False, False]})
    after = pa.table({"term": ["a", "b", "c", "e"], "n_kept": [50, 0, 20, 5], "keyword": [True, False, False, False]})
    tables = {"words_before": before, "words_after": after}
    totals = {"kept_before": 100, "kept_after": 200}
    found = answer("terms_moved", tables, **totals, least=10, search="", most=10)
    assert [(row["term"], row["change"]) for row in found] == [("a", -0.5), ("b", -1.0), ("c", 0.0)]
    assert [row["term"] for row in answer("terms_moved", tables, **totals, least=10, search="C", most=10)] == ["c"]
    assert [row["term"] for row in answer("terms_moved", tables, **totals, least=11, search="", most=1)] == ["a"]
