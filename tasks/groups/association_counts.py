"""What the audit of groups counts: groups as words are counted, and groups beside attributes at each stage.

All is in sql/audit and sql/association. A set is a group, an attribute, or `removed`, what the filter took: sets are
numbered in this order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.groups.contingency import Tables
from tasks.groups.label_strata import AtStage, Labelled, add_strata, at_stage
from tasks.groups.membership import MEMBERS, members, members_by_terms
from tasks.groups.residual_harm import Harm
from tasks.groups.term_groups import TermGroups
from tasks.lake import Version
from tasks.queries import Database, database
from tasks.samples import FILTERED
from tasks.words.audit_pool import pool_of
from tasks.words.counting import UNIT, Counts, count_sets, groups_table, samples_table

STAGES: Final = ("pool", "after_filter", "kept", "weighted")


class Stage(NamedTuple):
    """A stage's 2×2 tables of each group with each attribute."""

    name: str
    tables: Tables  # a row a group and attribute, groups first
    samples: np.ndarray  # (t, 3) int64, samples with both, of the group, with the attribute
    removal: Tables  # a row a group, with `removed` as its attribute
    harm: Harm  # (a,) of each attribute's score
    unscored: np.ndarray  # (a,) int64, samples that lack the attribute's score
    strata: Mapping[int, AtStage]  # place of an attribute with drawn labels → what is labelled


class Counted(NamedTuple):
    groups: Counts  # of the groups as terms, most frequent first
    stages: tuple[Stage, ...]  # weighted only where there are weights
    labelled: Mapping[int, Labelled]  # place of an attribute with drawn labels → its strata


def count_groups(version: Version, groups: TermGroups) -> Counted:
    """Everything counted of these groups and attributes. Tokens must have been written; scores must be there."""
    scores = _scores(version, groups)
    designs = {i: one.drawn for i, one in enumerate(groups.attributes) if one.drawn is not None}
    with opened(version) as db:
        db.add("score", _score_table(scores))
        found = members(version, groups).table
        labelled = add_strata(db, version, groups, found, designs) if designs else {}
        counts = count_sets([group.name for group in groups.groups], found, pool_of(version))
        db.add("member", pa.concat_tables([found, *_attributes(version, groups, scores), _removed(version, groups)]))
        sizes = len(groups.groups), len(groups.attributes)
        counted = tuple(_stage(db, name, sizes, labelled) for name in stages(db))
    return Counted(counts, counted, labelled)


@contextmanager
def opened(version: Version) -> Iterator[Database]:
    """A database with the version's `sample`, `near_duplicate` and `pool` (sql/audit/pool.sql)."""
    with database({"sample": samples_table(version), "near_duplicate": groups_table(version)}) as db:
        db.keep("pool", "audit", "pool")
        yield db


def stages(db: Database) -> Iterator[str]:
    """The stages' names, `weighted` only where there are weights; the database has each as `stage` in its turn."""
    for name in STAGES:
        found = db.run("association", "stage", stage=name)
        if name != "weighted" or len(found):
            db.add("stage", found)
            yield name


def _scores(version: Version, groups: TermGroups) -> dict[int, pa.ChunkedArray]:
    """Place of an attribute → (n,) its classifier's scores."""
    scored = [(i, one.classifier) for i, one in enumerate(groups.attributes) if one.classifier]
    return {i: version.table(f"score.{name}", ["score"])["score"] for i, name in scored}


def _score_table(scores: Mapping[int, pa.ChunkedArray]) -> pa.Table:
    """One row a sample and scored attribute."""
    schema = pa.schema([("sample", pa.int32()), ("attribute", pa.int32()), ("score", pa.float32())])
    tables = [schema.empty_table()]
    for place, column in scores.items():
        samples, attribute = np.arange(len(column), dtype=np.int32), np.full(len(column), place, np.int32)
        tables.append(pa.table([samples, attribute, column], schema=schema))
    return pa.concat_tables(tables)


def _attributes(version: Version, groups: TermGroups, scores: Mapping[int, pa.ChunkedArray]) -> list[pa.Table]:
    """MEMBERS of each attribute, whose set's number is behind the groups'."""
    first = len(groups.groups)
    worded = {i: one.terms for i, one in enumerate(groups.attributes) if one.terms}
    found = members_by_terms(version, {str(i): terms for i, terms in worded.items()}).table
    place = pa.array(np.array([*worded], np.int32) + first, pa.int32())
    tables = [pa.table([found["sample"], place.take(found["group"])], schema=MEMBERS)]
    for i, column in scores.items():
        above = pc.fill_null(pc.greater(column, groups.attributes[i].above), False)
        tables.append(_set(np.flatnonzero(above.to_numpy()), first + i))
    return tables


def _removed(version: Version, groups: TermGroups) -> pa.Table:
    """MEMBERS of what the filter took."""
    rows = np.flatnonzero(pc.equal(version.table("decision", ["verdict"])["verdict"], FILTERED).to_numpy())
    return _set(rows, len(groups.groups) + len(groups.attributes))


def _set(rows: np.ndarray, number: int) -> pa.Table:
    return pa.table([rows.astype(np.int32), np.full(len(rows), number, np.int32)], schema=MEMBERS)


def _stage(db: Database, name: str, sizes: tuple[int, int], labelled: Mapping[int, Labelled]) -> Stage:
    """The tables of what the database has as `stage`. sizes: groups, attributes."""
    db.add("held", db.run("association", "held"))
    whole = db.run("association", "whole").to_pylist()[0]
    margins, cells = db.run("association", "margins"), db.run("association", "cells", attributes=sizes[0])
    tables, samples = _tables(whole, margins, cells, sizes)
    asked = np.tile(np.arange(sizes[1] + 1) < sizes[1], sizes[0])
    strata = at_stage(db, labelled) if labelled else {}
    return Stage(name, _rows(tables, asked), samples[asked], _rows(tables, ~asked), *_harm(db, sizes[1]), strata)


def _harm(db: Database, attributes: int) -> tuple[Harm, np.ndarray]:
    """(a,) of each attribute's score, and samples without one."""
    found = db.run("association", "residual")
    names = ("harm", "units", "mass", "squares", "second", "fourth", "unscored")
    columns = np.zeros((len(names), attributes))
    columns[0] = np.nan
    columns[:, found["attribute"].to_numpy()] = [found[name].to_numpy(zero_copy_only=False) for name in names]
    return Harm(*columns[:-1]), columns[-1].astype(np.int64)


def _rows(tables: Tables, rows: np.ndarray) -> Tables:
    return Tables(tables.mass[rows], tables.products[rows], tables.largest)


def _tables(
    whole: Mapping[str, int], margins: pa.Table, cells: pa.Table, sizes: tuple[int, int]
) -> tuple[Tables, np.ndarray]:
    """Counts → 2×2 tables of all pairs of a group with an attribute or `removed`, and their samples."""
    groups, attributes = sizes[0], sizes[1] + 1
    group, attribute = (axis.ravel() for axis in np.mgrid[:groups, groups : groups + attributes])
    margin = _dense(margins, margins["group"].to_numpy(), groups + attributes)
    place = cells["group"].to_numpy() * attributes + cells["attribute"].to_numpy() - groups
    cell = _dense(cells, place, groups * attributes)
    everything = np.full(len(group), whole["mass"])
    mass = np.stack([cell["mass"], margin["mass"][group], margin["mass"][attribute], everything], axis=1)
    products = np.zeros((len(group), 4, 4))
    known = {
        (0, 0): cell["both_both"], (0, 1): cell["both_group"], (0, 2): cell["both_attribute"], (0, 3): cell["both_all"],
        (1, 1): margin["squares"][group], (1, 2): cell["group_attribute"], (1, 3): margin["crossed"][group],
        (2, 2): margin["squares"][attribute], (2, 3): margin["crossed"][attribute],
        (3, 3): np.full(len(group), whole["squares"]),
    }  # fmt: skip
    for (i, j), values in known.items():
        products[:, i, j] = products[:, j, i] = values
    samples = np.stack([cell["samples"], margin["samples"][group], margin["samples"][attribute]], axis=1)
    return Tables(mass / UNIT, products / UNIT, whole["largest"] / UNIT), samples


def _dense(table: pa.Table, places: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """Column → (size,) int64 values at their places, 0 elsewhere."""
    found = {}
    for name in table.column_names:
        found[name] = np.zeros(size, np.int64)
        found[name][places] = table[name].to_numpy()
    return found
