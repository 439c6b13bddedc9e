"""The contract table: one row for each sample that ingest saw, with what was decided of it and why.

Everyone downstream reads this table; its column names do not change (tasks.samples.CONTRACT). A category's calibrated
score is `score_<category>`, between the reason and the duplicate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import pyarrow as pa

from tasks.files import read_table
from tasks.lake import Part, Version
from tasks.samples import CONTRACT, DECISION, SAMPLES, SCORE

_SCORE_GROUP: Final = "score."
_DECIDED: Final = frozenset(DECISION.names)
_AFTER_REASON: Final = CONTRACT.index("reason") + 1


def categories(version: Version) -> list[str]:
    """Names of the categories that were scored, alphabetical."""
    return sorted(group.removeprefix(_SCORE_GROUP) for group in version.columns if group.startswith(_SCORE_GROUP))


def schema(version: Version) -> pa.Schema:
    """The contract's columns and types for this version's categories."""
    known = {field.name: field for group in (SAMPLES, DECISION) for field in group if field.name in CONTRACT}
    fields = [known.get(name, pa.field(name, pa.string())) for name in CONTRACT]
    scores = [pa.field(f"score_{name}", SCORE.field("score").type) for name in categories(version)]
    return pa.schema([*fields[:_AFTER_REASON], *scores, *fields[_AFTER_REASON:]])


def contract_part(version: Version, part: Part) -> pa.Table:
    """One part's rows, in the part's order. (part.rows, columns)"""
    facts = read_table(version.column_path("samples", part), [n for n in CONTRACT if n in SAMPLES.names])
    decided = read_table(version.column_path("decision", part))
    columns: dict[str, pa.ChunkedArray | pa.Array] = {"shard": pa.repeat(pa.scalar(part.path), part.rows)}
    columns |= {name: facts[name] for name in facts.column_names}
    columns |= {name: decided[name] for name in _DECIDED}
    for name in categories(version):
        columns[f"score_{name}"] = read_table(version.column_path(_SCORE_GROUP + name, part), ["score"])["score"]
    return _ordered(columns, schema(version))


def _ordered(columns: Mapping[str, pa.ChunkedArray | pa.Array], wanted: pa.Schema) -> pa.Table:
    return pa.table([columns[name] for name in wanted.names], names=wanted.names).cast(wanted)


def contract_parts(version: Version) -> Iterator[pa.Table]:
    """The parts' tables in version order: no more than one is held."""
    for part in version.parts:
        yield contract_part(version, part)


def contract(version: Version) -> pa.Table:
    """The whole table: row i is sample i. (rows, columns)"""
    return pa.concat_tables([schema(version).empty_table(), *contract_parts(version)]).combine_chunks()
