"""Questions to a version: sql/dashboard/<question>.sql on DuckDB in memory, over the tables that the question names.

    decision    one row a sample: row, shard, verdict, stage, reason, duplicate_of, duplicate_similarity, weight, and
                score, of the category that is asked for (null without one)
    sample      these columns, and uid, key, caption, width, height

`row` is the sample's row in the version. A version's files do not change, so what was read and what was answered is
kept by the version's digest. Only a deletion request changes them: it makes the kept answers unreachable.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.dataset as dataset
import streamlit as st

from tasks import queries
from tasks.files import read_table
from tasks.forgetting import annotated
from tasks.lake import Version
from tasks.reading import tombstones

THREADS: Final = 4  # of one question; several people ask at once
AN_HOUR: Final = 3600  # seconds that what nobody asked for again stays in memory, at most
FACTS: Final = ("uid", "key", "caption", "width", "height")
DECIDED: Final = ("verdict", "stage", "reason", "duplicate_of", "duplicate_similarity", "weight")
REPEATED: Final = ("verdict", "stage", "reason")  # few values: kept as codes
_NAMED: Final = re.compile(r"\b(?:from|join)\s+(\w+)")


def ask(version: Version, question: str, *, category: str | None = None, **parameters: Any) -> pa.Table:
    """The rows that answer `question`, "dashboard/<name>", of a committed version.

    A parameter is a value, bound as `$name`; or the path of a Parquet file of an artifact, which becomes the table
    `name`. LakeError, OSError: a file is damaged or gone.
    """
    return _answer(state(version), question, category, tuple(sorted(parameters.items())), version)


def state(version: Version) -> tuple[str, ...]:
    """What stays the same as long as the version's files do: its digest, and what deletion requests did."""
    lake = version.lake
    marks = tombstones.read_tombstones(lake).marks
    requests = [one["request"] for one in annotated.read(lake, version.number)]
    under_way = (lake.home / "forgotten" / "journal.json").exists()
    return (str(lake.home), version.manifest["digest"], *marks, *requests, *(["under way"] if under_way else []))


@st.cache_resource(max_entries=500, ttl=AN_HOUR, show_spinner=False)
def _answer(
    state: tuple[str, ...], question: str, category: str | None, given: tuple[tuple[str, Any], ...], _version: Version
) -> pa.Table:
    area, name = question.split("/")
    named = set(_NAMED.findall(queries.statement(area, name)))
    tables = {known: columns(_version, known, category) for known in ("decision", "sample") if known in named}
    # DuckDB reads of a data set what the question names, and no more.
    tables |= {key: dataset.dataset(value, format="parquet") for key, value in given if isinstance(value, Path)}
    with queries.database(tables, threads=THREADS) as database:
        return database.run(area, name, **{key: value for key, value in given if not isinstance(value, Path)})


def columns(version: Version, name: str, category: str | None = None) -> pa.Table:
    """The table `decision` or `sample`, its columns side by side; none is copied. (rows, columns)"""
    return _beside(state(version), name, category, version)


@st.cache_resource(max_entries=12, ttl=AN_HOUR, show_spinner=False)
def _beside(state: tuple[str, ...], name: str, category: str | None, _version: Version) -> pa.Table:
    groups: list[tuple[str, tuple[str, ...]]] = [("decision", DECIDED)]
    if category is not None:
        groups.append((f"score.{category}", ("score",)))
    if name == "sample":
        groups.append(("samples", FACTS))
    found = {"row": pa.array(np.arange(_version.rows)), "shard": _shards(_version)}
    for group, names in groups:
        table = _columns(_same_files(_version, group), group, names, _version)
        found |= dict(zip(names, table.columns, strict=True))
    found.setdefault("score", pa.nulls(_version.rows, pa.float32()))
    return pa.table(found)


def rows_at(version: Version, rows: Sequence[int], category: str | None = None) -> pa.Table:
    """These rows of the table `sample`, in the order given. (len(rows), columns)"""
    table = columns(version, "sample", category)
    return pa.concat_tables([table.slice(0, 0), *(table.slice(row, 1) for row in rows)])


def _same_files(version: Version, group: str) -> str:
    """What versions with the same files of a group share: those of `samples` hardly ever change."""
    home, _, *requests = state(version)
    return version.lake.key(home, group, version.columns[group], [part.part for part in version.parts], requests)


@st.cache_resource(max_entries=12, ttl=AN_HOUR, show_spinner=False)
def _columns(files: str, group: str, names: tuple[str, ...], _version: Version) -> pa.Table:
    """One chunk a part, so that DuckDB reads them with several threads. LakeError: a file is gone."""
    paths = _version.whole().column_paths(group)
    if not paths:
        return _version.table(group, names)
    with ThreadPoolExecutor(THREADS) as pool:
        tables = list(pool.map(lambda path: _coded(read_table(path, names)), paths))
    return pa.concat_tables(tables).unify_dictionaries()


def _coded(table: pa.Table) -> pa.Table:
    for name in set(REPEATED) & set(table.column_names):
        table = table.set_column(table.column_names.index(name), name, table[name].dictionary_encode())
    return table


def _shards(version: Version) -> pa.Array:
    """The sample's shard, its path in the pool. (rows,)"""
    numbers = np.repeat(np.arange(len(version.parts), dtype=np.int32), [part.rows for part in version.parts])
    return pa.DictionaryArray.from_arrays(pa.array(numbers), pa.array([p.path for p in version.parts], pa.string()))
