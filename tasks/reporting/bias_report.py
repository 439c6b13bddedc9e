"""The report's sections on bias: figures, plots and words of tasks/bias_*.py, for the template bias_report.html."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from tasks.files import read_table
from tasks.lake import Version
from tasks.reporting import bias_plots, bias_words
from tasks.reporting.bias_findings import Bias, bias, size
from tasks.reporting.bias_matrix import Matrix, matrix
from tasks.reporting.bias_pairs import Pair
from tasks.reporting.bias_plots import Mark
from tasks.reporting.bias_weights import account, outcome, targets
from tasks.reporting.findings import facts, is_weighted

KEYWORDS: Final = 24  # in the plot

CHANGES: Final[tuple[tuple[str, str, str], ...]] = (
    ("filter", "change_filter", "by the filter alone"),
    ("plain", "change", "kept, all counted the same *"),
    ("weighted", "change_weighted", "kept, by weight *"),
)
STAGES: Final[tuple[tuple[str, str, str], ...]] = (
    ("pool", "pool", "in the pool"),
    ("filter", "after_filter", "behind the filter"),
    ("plain", "kept", "kept, all counted the same"),
    ("weighted", "weighted", "kept, by weight"),
)


def context(version: Version) -> dict[str, Any]:
    """What bias_report.html names."""
    told, weighted, weights = bias(version), is_weighted(version), facts(version, "reweight")
    return {
        "told": told,
        "grouped": bool(facts(version, "audit").get("groups")),
        "weighted": weighted,
        "points": bias_words.points(told) if told else [],
        "keywords": _keywords(told),
        "not_restored": {row["term"] for row in weights.get("not_restored", [])},
        "account": account(weights),
        "weights": outcome(weights),
        "targets": targets(weights),
        "targets_file": weights.get("targets_file"),
        "stages": [(stage, text) for _, stage, text in STAGES if stage != "weighted" or weighted],
        "matrix": _matrix(version, told),
        "plots": _plots(told, weighted) if told else {},
    }


def _keywords(told: Bias | None) -> list[Mapping[str, Any]]:
    """The audited keywords, the largest change first."""
    return sorted(told.keywords, key=size)[:KEYWORDS] if told else []


def _plots(told: Bias, weighted: bool) -> dict[str, Markup | None]:
    return {
        "changes_key": bias_plots.key([(kind, text) for kind, _, text in _shown(weighted)]),
        "keywords": _changes(_keywords(told), weighted),
        "listed": _changes(told.listed, weighted),
        "groups": _changes(told.groups, weighted),
        "odds_key": bias_plots.key([(kind, text) for kind, stage, text in STAGES if stage != "weighted" or weighted]),
        "odds": _odds(told.strongest, weighted),
    }


def _shown(weighted: bool) -> list[tuple[str, str, str]]:
    return [one for one in CHANGES if one[0] != "weighted" or weighted]


def _changes(rows: Sequence[Mapping[str, Any]], weighted: bool) -> Markup | None:
    shown = [
        bias_plots.Row(row["label"], marks, row["depth"])
        for row in rows
        if (marks := [_mark(kind, row, name) for kind, name, _ in _shown(weighted)])
        and any(mark.value is not None for mark in marks)
    ]
    label = "change of the share among captions"
    return bias_plots.forest(shown, bias_plots.change_axis(shown), label) if shown else None


def _mark(kind: str, row: Mapping[str, Any], name: str) -> Mark:
    return Mark(kind, row.get(name), row.get(f"{name}_lower"), row.get(f"{name}_upper"))


def _odds(pairs: Sequence[Pair], weighted: bool) -> Markup | None:
    kinds = [(kind, stage) for kind, stage, _ in STAGES if stage != "weighted" or weighted]
    shown = [
        bias_plots.Row(pair.group, [Mark(kind, *pair.stages[stage]) for kind, stage in kinds], 0, pair.attribute)
        for pair in pairs
    ]
    label = "odds in the group over the odds outside it"
    return bias_plots.forest(shown, bias_plots.odds_axis(shown), label) if shown else None


def _matrix(version: Version, told: Bias | None) -> Matrix | None:
    if told is None or not told.groups:
        return None
    return matrix(read_table(version.artifact("audit") / "associations.parquet"), told.after)
