"""The audit of groups in a report's plain facts: the strongest associations first, before and after curation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

LISTED: Final = 10  # associations that the summary names at each end
FIGURES: Final = (
    "samples", "group_samples", "attribute_samples", "share_inside", "share_outside", "pmi", "pmi_lower", "pmi_upper",
    "log_odds_ratio", "log_odds_ratio_lower", "log_odds_ratio_upper", "few_groups", "significant",
)  # fmt: skip

Row = dict[str, Any]


def summarise(tables: Mapping[str, pa.Table], at_level: pa.Table, level: float) -> dict[str, Any]:
    """JSON facts: the groups' rows, associations before curation and after it, residual harm.

    associations   before: in the pool; after: among the kept by weight, or among the kept where there are no weights.
                   Significant ones, the strongest first: strength is the log odds ratio's bound next to 0, in an
                   interval of `listed_level`, since they are picked from many. Each has its figures at all stages.
    at_level: the associations with intervals of that level.
    """
    stages = list(dict.fromkeys(tables["associations"]["stage"].to_pylist()))
    significant = tables["associations"]["significant"]
    rows = at_level.append_column("significant", significant).to_pylist()
    pairs: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        pairs.setdefault((row["group"], row["attribute"]), {})[row["stage"]] = row
    after = stages[-1] if stages else "kept"
    return {
        "groups": tables["groups"].to_pylist(),
        "tested": len(rows) - at_level["p_value"].null_count,
        "significant": sum(significant.to_pylist()),
        "listed_level": level,
        "after": after,
        "associations": {"before": _strongest(pairs, "pool"), "after": _strongest(pairs, after)},
        "residual_harm": tables["residual"].to_pylist(),
    }


def _strongest(pairs: Mapping[tuple[str, str], Mapping[str, Row]], stage: str) -> list[Row]:
    """The significant pairs of a stage, strongest first, and their figures at all stages."""
    found = [stages for stages in pairs.values() if stages[stage]["significant"]]
    found.sort(key=lambda stages: _rank(stages[stage]))
    return [_facts(stages, stage) for stages in found[:LISTED]]


def _rank(row: Row) -> tuple[float, float, str, str]:
    odds = row["log_odds_ratio"]
    return -_strength(row), -abs(odds if odds is not None else math.inf), row["group"], row["attribute"]


def _strength(row: Row) -> float:
    """How far from 0 the interval of the log odds ratio is; 0 where it holds 0."""
    lower, upper = row["log_odds_ratio_lower"], row["log_odds_ratio_upper"]
    return max(0.0, lower if lower is not None else 0.0, -upper if upper is not None else 0.0)


def _facts(stages: Mapping[str, Row], stage: str) -> Row:
    row = stages[stage]
    figures = {name: {key: found[key] for key in FIGURES} for name, found in stages.items()}
    return {"group": row["group"], "attribute": row["attribute"], "kind": row["kind"], "stages": figures}
