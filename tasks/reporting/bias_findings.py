"""What a version's audit and weights say of bias, as plain data: the figures that report and dataset card print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from tasks.files import read_table
from tasks.lake import Version
from tasks.reporting import bias_pairs
from tasks.reporting.bias_pairs import Corrected, Pair, Row
from tasks.reporting.findings import facts
from tasks.words import changes

GROUPS: Final = 40  # term groups that are shown
LEVEL: Final = 0.95  # of the audit's intervals, where it states no other


@dataclass(frozen=True)
class Bias:
    """The account of a version; empty sequences where something was not audited."""

    samples: Mapping[str, int]  # pool, units (the pool with near-duplicates counted once), after_filter, kept
    fdr: float  # false-discovery rate of what is significant
    tau: float  # relative change up to which none is of interest
    tested: int  # words and phrases
    significant: int  # of these
    listed_level: float  # of the intervals of `listed`
    listed: Sequence[Row]  # largest significant changes by the filter, the largest first
    keywords: Sequence[Row]  # those asked for that are in the pool, in the order asked
    groups: Sequence[Row]  # term groups in the pool, as a tree
    groups_tested: int
    pairs: Sequence[Pair]  # associations significant in the pool, the strongest first: there and at the last stage
    strongest: Sequence[Pair]  # before and after curation, at all stages, with intervals of `pairs_level`
    pairs_level: float
    pairs_tested: int  # at all stages together
    pairs_significant: int
    corrected: Sequence[Corrected]  # associations that labels correct, the largest first
    residual: Sequence[Row]  # mean score of each scored attribute, a stage a row
    after: str  # the last stage of associations: kept | weighted
    weights: Mapping[str, Any]  # the account of the weights; empty where there is none
    notes: Sequence[str]


def bias(version: Version) -> Bias | None:
    """None where the version was not audited."""
    audit, settings = facts(version, "audit"), dict(version.config.get("audit", {}))
    if not audit:
        return None
    told = audit.get("groups") or {}
    groups = _table(version, "groups") if told else None
    return Bias(
        samples=audit["samples"],
        fdr=settings["fdr"],
        tau=settings["tau"],
        tested=audit["tested"],
        significant=audit["significant"],
        listed_level=audit["listed_level"],
        listed=_listed(audit),
        keywords=[named(row, row["keyword"]) for row in audit["keywords"] if row["n_pool"]],
        groups=tree(groups.to_pylist()) if groups is not None else [],
        groups_tested=len(groups) - groups["p_value"].null_count if groups is not None else 0,
        pairs=bias_pairs.significant(_table(version, "associations"), told["after"]) if told else [],
        strongest=bias_pairs.strongest(told["associations"]) if told else [],
        pairs_level=told.get("listed_level", LEVEL),
        pairs_tested=told.get("tested", 0),
        pairs_significant=told.get("significant", 0),
        corrected=bias_pairs.corrected(_table(version, "corrected"), told["after"]) if told else [],
        residual=told.get("residual_harm", []),
        after=told.get("after", "kept"),
        weights=facts(version, "reweight"),
        notes=[*audit["notes"], *told.get("notes", [])],
    )


def _table(version: Version, name: str) -> pa.Table:
    return read_table(version.artifact("audit") / f"{name}.parquet")


def size(row: Row) -> tuple[float, float, float, str]:
    """Sorts by what the filter changed, the largest first; where that is the same, by what the rest did."""
    by_filter, kept, weighted = (abs(row.get(f"change{name}") or 0.0) for name in ("_filter", "", "_weighted"))
    return -by_filter, -kept, -weighted, str(row.get("term") or row.get("group"))


def named(row: Row, label: str, depth: int = 0) -> Row:
    """With the name that is shown, and how many steps below the row it is a part of."""
    return {**row, "label": label, "depth": depth}


def _listed(audit: Mapping[str, Any]) -> list[Row]:
    """Falls and rises, with every interval at the level that is stated for those picked from many."""
    rows = [named(row, row["term"]) for row in (*audit["falls"], *audit["rises"])]
    return sorted((at_level(row, audit["samples"], audit["listed_level"]) for row in rows), key=size)


def at_level(row: Row, samples: Mapping[str, int], level: float) -> Row:
    """The row with its intervals of `change` and `change_weighted` at a level; change_filter's has it already.

    That of `change` is Wilson's again; the weighted one is symmetric and grows by the quantile.
    """
    from scipy.special import ndtri

    out = dict(row)
    if row.get("change_lower") is not None:
        units, kept = np.array([row["n_units"]]), np.array([row["n_kept"]])
        shares = changes.Shares(kept, units, np.ones(1), samples["kept"], samples["units"])
        lower, upper = changes.paired_interval(shares, level)
        out |= {"change_lower": float(lower[0]), "change_upper": float(upper[0])}
    if row.get("change_weighted_lower") is not None:
        wider = float(ndtri(0.5 + level / 2) / ndtri(0.5 + LEVEL / 2))
        middle = row["change_weighted"]
        for end in ("change_weighted_lower", "change_weighted_upper"):
            out[end] = middle + (row[end] - middle) * wider
    return out


def tree(rows: Sequence[Row]) -> list[Row]:
    """Groups that are in the pool: each below the group that it is a part of, siblings by size, GROUPS at most.

    A group stands where the largest change in it belongs.
    """
    there = {row["group"]: row for row in rows if row["n_pool"]}
    within: dict[str, list[str]] = {}
    for name in there:
        within.setdefault(name.rpartition("/")[0], []).append(name)
    largest: dict[str, tuple[float, float, float, str]] = {}
    for name in sorted(there, key=lambda name: -name.count("/")):  # parts before what they are part of
        largest[name] = min([size(there[name]), *(largest[part] for part in within.get(name, []))])
    out: list[Row] = []
    left = [(name, 0) for name in sorted(within.get("", []), key=largest.__getitem__, reverse=True)]
    while left and len(out) < GROUPS:
        name, depth = left.pop()
        out.append(named(there[name], name.rpartition("/")[2] if depth else name, depth))
        parts = sorted(within.get(name, []), key=largest.__getitem__, reverse=True)
        left += [(part, depth + 1) for part in parts]
    return out
