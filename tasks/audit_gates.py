"""Gates on what the audit found: a bound on any figure of a word, a group, an association or a classifier's harm.

    [[gates.audit]]
    figure = "change_weighted"      # a column of words.csv and groups.csv
    of = "gender/woman"             # a term group, else a word or phrase
    at_least = -0.05
    at_most = 0.05

    [[gates.audit]]
    figure = "log_odds_ratio_upper" # a column of associations.csv
    of = "origin/asian"
    attribute = "sexualised"
    stage = "weighted"              # pool | after_filter | kept | weighted
    at_most = 1.0

A bound on a *_upper or *_lower asks for certainty, where one on the figure asks of this pool alone. What was not
audited, or has no interval, is not within its bounds.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from tasks.errors import ConfigError
from tasks.files import read_table
from tasks.lake import Version
from tasks.words import tokens


def _with_bounds(*figures: str) -> frozenset[str]:
    return frozenset(figure + side for figure in figures for side in ("", "_lower", "_upper"))


OF_TERMS: Final = _with_bounds("change_filter", "change", "change_weighted", "removal_odds_ratio") | {"change_dedup"}
OF_GROUPS: Final = frozenset({"share"})
OF_PAIRS: Final = _with_bounds("pmi", "log_odds_ratio") | {"share_inside", "share_outside"}
OF_ATTRIBUTES: Final = _with_bounds("residual_harm")
STAGES: Final = ("pool", "after_filter", "kept", "weighted")


@dataclasses.dataclass(frozen=True)
class AuditBound:
    """What one audited figure must be for a version to be committed; judged when the kept samples have weights."""

    figure: str  # a column of the audit's tables
    of: str = ""  # a term group, else a word or phrase
    attribute: str = ""  # of an association or a harm
    stage: str = "weighted"  # of an association or a harm: pool | after_filter | kept | weighted
    at_least: float | None = None  # one of the two, or both
    at_most: float | None = None  # a missing figure is not within its bounds

    def __post_init__(self) -> None:
        where = f"gates.audit, figure {self.figure!r}"
        known = sorted(OF_TERMS | OF_GROUPS | OF_PAIRS | OF_ATTRIBUTES)
        if self.figure not in known:
            raise ConfigError(f"{where}: no such figure is audited; known are: {', '.join(known)}")
        if self.stage not in STAGES:
            raise ConfigError(f"{where}: stage: one of {', '.join(STAGES)} was expected, {self.stage!r} was found")
        needs = {"of": self.figure not in OF_ATTRIBUTES, "attribute": self.figure in OF_PAIRS | OF_ATTRIBUTES}
        for name, wanted in needs.items():
            if bool(getattr(self, name)) != wanted:
                needed = "is needed" if wanted else "does not belong here"
                raise ConfigError(f"{where}: {name} {needed}; it was {getattr(self, name)!r}")
        sides = [side for side in (self.at_least, self.at_most) if side is not None]
        if not sides or not all(map(math.isfinite, sides)) or sides != sorted(sides):
            raise ConfigError(
                f"{where}: at_least, at_most or both were expected, numbers and in that order; "
                f"found {self.at_least} and {self.at_most}"
            )

    @property
    def metric(self) -> str:
        """Its name among the gate's metrics."""
        about = [self.of, self.attribute, *([self.stage] if self.attribute else [])]
        return " ".join([f"audit.{self.figure}", *filter(None, about)])

    @property
    def meaning(self) -> str:
        about = " and ".join(repr(name) for name in (self.of, self.attribute) if name)
        if self.figure in OF_TERMS:
            return f"audited figure of {about}; a word belongs to audit.keywords, or is too rare to be audited"
        return f"audited figure of {about}{f' at {self.stage!r}' if self.attribute else ''}"


def figures(version: Version, bounds: Sequence[AuditBound]) -> dict[str, float | None]:
    """Metric → the audited figure; None where the audit has none."""
    return {bound.metric: _figure(version, bound) for bound in bounds}


def _figure(version: Version, bound: AuditBound) -> float | None:
    if bound.figure in OF_PAIRS:
        return _value(
            _rows(version, "associations", group=bound.of, attribute=bound.attribute, stage=bound.stage), bound
        )
    if bound.figure in OF_ATTRIBUTES:
        return _value(_rows(version, "residual", attribute=bound.attribute, stage=bound.stage), bound)
    found = _rows(version, "groups", group=bound.of)
    if bound.figure in OF_TERMS and (found is None or not len(found)):
        found = _rows(version, "words", term=" ".join(tokens.tokenise(bound.of)))
    return _value(found, bound)


def _rows(version: Version, name: str, **wanted: str) -> pa.Table | None:
    """The rows of one of the audit's tables with these values; None where there is no such table."""
    path = version.artifact("audit") / f"{name}.parquet" if "audit" in version.artifacts else None
    if path is None or not path.is_file():
        return None
    table = read_table(path)
    for column, value in wanted.items():
        table = table.filter(pc.equal(table[column], value))
    return table


def _value(rows: pa.Table | None, bound: AuditBound) -> float | None:
    if rows is None or not len(rows) or bound.figure not in rows.column_names:
        return None
    value = rows[bound.figure][0].as_py()
    return None if value is None else float(value)
