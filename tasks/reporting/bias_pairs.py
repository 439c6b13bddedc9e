"""Associations of groups and attributes as the audit tells them: the strongest, the significant, the corrected."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

Row = Mapping[str, Any]

PAIRS: Final = 12  # that are named
LATER: Final = "_later"
PAIR: Final = (
    "log_odds_ratio", "log_odds_ratio_lower", "log_odds_ratio_upper",
    "samples", "group_samples", "attribute_samples", "share_inside", "share_outside",
)  # fmt: skip


class Odds(NamedTuple):
    """A log odds ratio with its interval; None is unknown."""

    value: float | None
    lower: float | None = None
    upper: float | None = None

    @property
    def strength(self) -> float:
        """How far from 0 the interval is; 0 where it holds 0, or where there is none."""
        return 0.0 if self.lower is None or self.upper is None else max(0.0, self.lower, -self.upper)


class Pair(NamedTuple):
    """A group and an attribute, and their association at each stage."""

    group: str
    attribute: str
    kind: str  # keywords | classifier's verdict
    stages: Mapping[str, Odds]
    own_filter: bool = False  # whether the filter decided by that classifier

    @property
    def strength(self) -> float:
        """In the pool or at the last stage, whichever is larger."""
        ends = list(self.stages)
        return max(self.stages[ends[0]].strength, self.stages[ends[-1]].strength)


class Corrected(NamedTuple):
    """What labels say of a pair in the pool and at the last stage: rows of the audit's table `corrected`."""

    group: str
    attribute: str
    before: Row
    after: Row


def significant(associations: pa.Table, after: str) -> list[Pair]:
    """Pairs that are significant in the pool, the strongest first: there and at the stage `after`."""
    columns = ["group", "attribute", "kind", "own_filter", *PAIR]
    in_pool = pc.and_(pc.equal(associations["stage"], "pool"), associations["significant"])
    before = associations.filter(in_pool).select(columns)
    later = associations.filter(pc.equal(associations["stage"], after)).select(["group", "attribute", *PAIR])
    both = before.join(later, ["group", "attribute"], right_suffix=LATER).to_pylist()
    pairs = [
        Pair(
            row["group"],
            row["attribute"],
            row["kind"],
            {"pool": odds_of(row), after: odds_of({name: row[name + LATER] for name in PAIR})},
            bool(row["own_filter"]),
        )
        for row in both
    ]
    return sorted(pairs, key=lambda pair: (-pair.stages["pool"].strength, pair.group, pair.attribute))


def strongest(told: Mapping[str, Sequence[Row]]) -> list[Pair]:
    """What the summary names before curation and after it, each once, the strongest first."""
    pairs = {
        (row["group"], row["attribute"]): Pair(
            row["group"], row["attribute"], row["kind"], {name: odds_of(one) for name, one in row["stages"].items()}
        )
        for row in (*told["before"], *told["after"])
    }
    return sorted(pairs.values(), key=lambda pair: (-pair.strength, pair.group, pair.attribute))[:PAIRS]


def odds_of(row: Row) -> Odds:
    """The log odds ratio of an association's row, infinities put back: its null is undefined or infinite."""
    value, lower, upper = (row[name] for name in PAIR[:3])
    if value is None:
        value = _extreme(row)
    if value is None or (lower is None and upper is None):
        return Odds(value)
    return Odds(value, -math.inf if lower is None else lower, math.inf if upper is None else upper)


def _extreme(row: Row) -> float | None:
    """±∞ where none or all of one side have the attribute; None where that says nothing, as of an empty group."""
    none = row["samples"] == 0 or row["share_outside"] == 1
    every = row["samples"] in (row["group_samples"], row["attribute_samples"])
    return None if none == every else -math.inf if none else math.inf


def corrected(table: pa.Table, after: str) -> list[Corrected]:
    """The audit's associations corrected by drawn labels, the largest difference in the pool first."""
    pairs: dict[tuple[str, str], dict[str, Row]] = {}
    for row in table.to_pylist():
        if row["stage"] in ("pool", after):
            pairs.setdefault((row["group"], row["attribute"]), {})[row["stage"]] = row
    found = [Corrected(*names, stages["pool"], stages[after]) for names, stages in pairs.items()]
    return sorted(found, key=lambda one: (-abs(one.before["difference"] or 0.0), one.group, one.attribute))[:PAIRS]
