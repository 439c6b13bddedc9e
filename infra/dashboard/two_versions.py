"""Two versions side by side: what became of each sample, for DuckDB to count.

A part that both versions have is the same file with the same rows, so its samples stand side by side without a search.
Only those of other parts are matched by uid, as tasks/records/moves.py matches all.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final, NamedTuple

import pyarrow as pa
import streamlit as st

from infra.dashboard.lake_sql import AN_HOUR, THREADS, columns, state
from tasks import queries
from tasks.lake import Part, Version

SIDES: Final = ("verdict", "stage", "reason", "weight")


class Pair(NamedTuple):
    """Where a part's rows begin in both versions."""

    before: int
    after: int
    rows: int


def ask_both(before: Version, after: Version, question: str, **parameters: Any) -> pa.Table:
    """The rows of sql/dashboard/<question>.sql, over a table `paired`.

    paired  one row a sample of either version: uid, row_before, row_after (null: not there), and of each side verdict,
            stage, reason, weight (verdict_before …)
    """
    given = tuple(sorted(parameters.items()))
    return _answer(state(before), state(after), question, given, (before, after))


@st.cache_resource(max_entries=200, ttl=AN_HOUR, show_spinner=False)
def _answer(
    state_before: tuple[str, ...],
    state_after: tuple[str, ...],
    question: str,
    given: tuple[tuple[str, Any], ...],
    _versions: tuple[Version, Version],
) -> pa.Table:
    with queries.database({"paired": _both(state_before, state_after, _versions)}, threads=THREADS) as database:
        return database.run("dashboard", question, **dict(given))


@st.cache_resource(max_entries=3, ttl=AN_HOUR, show_spinner=False)
def _both(state_before: tuple[str, ...], state_after: tuple[str, ...], _versions: tuple[Version, Version]) -> pa.Table:
    before, after = (columns(version, "sample") for version in _versions)
    pairs, others = _paired(*_versions)
    names = ["row", *SIDES]
    one = _slices(before.select(["uid", *names]), [(pair.before, pair.rows) for pair in pairs])
    other = _slices(after.select(names), [(pair.after, pair.rows) for pair in pairs])
    aligned = pa.table({"uid": one["uid"]} | _sided(one, "before", names) | _sided(other, "after", names))
    if not any(others):
        return aligned
    tables = {
        name: _slices(table.select(["uid", *names]), places)
        for name, table, places in zip(("before", "after"), (before, after), others, strict=True)
    }
    with queries.database(tables, threads=THREADS) as database:
        matched = database.run("dashboard", "matched")
    return pa.concat_tables([aligned.cast(matched.schema), matched])


def _sided(table: pa.Table, side: str, names: list[str]) -> dict[str, pa.ChunkedArray]:
    return {f"{name}_{side}": table[name] for name in names}


def _slices(table: pa.Table, places: list[tuple[int, int]]) -> pa.Table:
    """(start, rows) of each slice; none is copied."""
    return pa.concat_tables([table.slice(0, 0), *(table.slice(start, rows) for start, rows in places)])


def _paired(before: Version, after: Version) -> tuple[list[Pair], tuple[list[tuple[int, int]], list[tuple[int, int]]]]:
    """The parts that both versions have, and (start, rows) of those that only one has."""
    starts: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for part, start in _starts(before):
        starts[part.part].append((start, part.rows))
    same = before.columns["samples"] == after.columns["samples"]
    pairs, only_after = [], []
    for part, start in _starts(after):
        if same and starts[part.part]:
            pairs.append(Pair(starts[part.part].pop(0)[0], start, part.rows))
        else:
            only_after.append((start, part.rows))
    return pairs, ([place for places in starts.values() for place in places], only_after)


def _starts(version: Version) -> list[tuple[Part, int]]:
    start, found = 0, []
    for part in version.parts:
        found.append((part, start))
        start += part.rows
    return found
