"""The matrix of associations: groups × attributes, before curation and after it, as cells that a page can colour."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.reporting.bias_pairs import Odds, odds_of
from tasks.reporting.wording import count, odds, share

GROUPS: Final = 40  # that are shown, those with the largest associations
ATTRIBUTES: Final = 12
SHADES: Final = (0.2, math.log(2), math.log(4), math.log(8))  # |log odds ratio| from which a cell is shade 1 … 4

Row = Mapping[str, Any]


class Value(NamedTuple):
    """A log odds ratio as it is printed."""

    text: str
    kind: str  # significant | tested | unsupported: too few groups for a test | construction | undefined
    shade: int  # −4 … 4; 0 where it is not to be coloured
    hint: str  # the figures in full


class Cell(NamedTuple):
    before: Value
    after: Value
    change: str  # of the log odds ratio
    apart: bool  # whether the intervals before and after have nothing in common


class Matrix(NamedTuple):
    """Groups and attributes by their largest association, the largest first."""

    attributes: Sequence[str]
    kinds: Mapping[str, str]  # attribute → keywords | classifier's verdict
    rows: Sequence[tuple[str, Sequence[Cell]]]  # of each group
    groups: int  # that captions have
    all_attributes: int  # that there are
    after: str  # stage


def matrix(associations: pa.Table, after: str) -> Matrix | None:
    """Of the audit's associations, the pool's and those of the stage `after`; None where no caption is in a group."""
    table = associations.filter(pc.is_in(associations["stage"], pa.array(["pool", after])))
    there = pc.unique(table.filter(pc.greater(table["group_samples"], 0))["group"])
    table = table.filter(pc.is_in(table["group"], there))
    if not len(table):
        return None
    groups, attributes = (_largest(table, name) for name in ("group", "attribute"))
    chosen, named = groups[:GROUPS], attributes[:ATTRIBUTES]
    of_group = pc.is_in(table["group"], pa.array(chosen))
    shown = table.filter(pc.and_(of_group, pc.is_in(table["attribute"], pa.array(named))))
    rows = {(row["stage"], row["group"], row["attribute"]): row for row in shown.to_pylist()}
    cells = [
        (group, [_cell(rows["pool", group, name], rows[after, group, name]) for name in named]) for group in chosen
    ]
    kinds = {attribute: row["kind"] for (_, _, attribute), row in rows.items()}
    return Matrix(named, kinds, cells, len(groups), len(attributes), after)


def _largest(table: pa.Table, name: str) -> list[str]:
    """The groups or the attributes by their largest association that is not one by construction."""
    lower, upper, value = (
        pc.fill_null(table[f"log_odds_ratio{end}"], 0.0).to_numpy() for end in ("_lower", "_upper", "")
    )
    tested = ~table["by_construction"].to_numpy()
    names = table[name].combine_chunks().dictionary_encode()
    places, known = names.indices.to_numpy(), names.dictionary.to_pylist()
    firm, plain = np.zeros(len(known)), np.zeros(len(known))
    np.maximum.at(firm, places, np.maximum(0, np.maximum(lower, -upper)) * tested)
    np.maximum.at(plain, places, np.abs(value) * tested)
    return [known[i] for i in sorted(range(len(known)), key=lambda i: (-firm[i], -plain[i], known[i]))]


def _cell(before: Row, after: Row) -> Cell:
    first, last = odds_of(before), odds_of(after)
    known = first.value is not None and last.value is not None and math.isfinite(first.value - last.value)
    change = _number(last.value - first.value) if known and first.value is not None and last.value is not None else "–"
    return Cell(_value(before), _value(after), change, apart(first, last))


def apart(first: Odds, last: Odds) -> bool:
    """Whether two intervals have nothing in common: rarer than a difference beyond doubt, never more often."""
    if first.lower is None or first.upper is None or last.lower is None or last.upper is None:
        return False
    return first.upper < last.lower or last.upper < first.lower


def _value(row: Row) -> Value:
    found = odds_of(row)
    kind = _kind(row, found)
    text = "–" if found.value is None else _number(found.value)
    coloured = found.value is not None and (kind == "significant" or (kind == "tested" and math.isfinite(found.value)))
    return Value(text, kind, shade(found.value or 0.0) if coloured else 0, _hint(row, found))


def _kind(row: Row, found: Odds) -> str:
    if row["by_construction"]:
        return "construction"
    if found.value is None:
        return "undefined"
    if row["p_value"] is None:
        return "unsupported"
    return "significant" if row["significant"] else "tested"


def shade(value: float) -> int:
    """−4 … 4: how often the odds double, half a step around none."""
    return int(math.copysign(sum(abs(value) >= least for least in SHADES), value))


def _number(value: float) -> str:
    rounded = f"{value:+.1f}".replace("inf", "∞")
    return "0" if rounded in ("+0.0", "-0.0") else rounded.replace("-", "−")


def _hint(row: Row, found: Odds) -> str:
    told = f"{share(row['share_inside'])} inside, {share(row['share_outside'])} outside; {odds(found.value)}"
    if found.lower is not None:
        told += f" ({odds(found.lower)} to {odds(found.upper)})"
    return f"{told}; {count(row['samples'])} of {count(row['group_samples'])} samples"
