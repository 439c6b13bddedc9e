"""Who is described, or flagged, as what: term groups audited like words, and each group's association with attributes.

Frequencies of words cannot see that images captioned with one group of people are sexualised more often than others; a
group's association with an attribute can. It stands for the pool, for what the filter let through, for the kept, and
for the kept by weight, so that one sees whether curation made it better or worse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from tasks.errors import ConfigError
from tasks.groups import contingency, corrected_association, residual_harm
from tasks.groups.association_counts import Counted, Stage, count_groups
from tasks.groups.association_notes import notes, own_filter
from tasks.groups.association_summary import summarise
from tasks.groups.corrected_association import Corrected
from tasks.groups.term_groups import TermGroups
from tasks.lake import Version
from tasks.words import changes
from tasks.words.change_figures import LEVEL, bounds, change_figures, column

KEYWORDS: Final = "keywords"
VERDICT: Final = "classifier's verdict"


def audit_groups(
    version: Version,
    groups: TermGroups,
    *,
    fdr: float = 0.05,
    tau: float = 0.01,
    targets: Mapping[str, float] | None = None,
) -> tuple[dict[str, pa.Table], dict[str, Any]]:
    """Tables `groups`, `associations`, `corrected`, `residual`, and their summary. Tokens must have been written.

    groups         one row a group, most frequent first: the changes that words have (tasks/audit.py), `share` (of the
                   pool with near-duplicates counted once) and `removal_odds_ratio`, the odds of being filtered in the
                   group over the odds outside. `excluded` is exclusion amplification (Hong et al. 2024): the group is
                   under its target share in the pool and is filtered more often than the pool; null without a target.
    associations   one row a stage, group and attribute: samples with both, the attribute's share in the group and
                   outside it, PMI and log odds ratio (natural). Figures of this pool are exact; 95% intervals and
                   `significant`, at this false-discovery rate over all rows, say what another pool of this size from
                   the same source would show. They rest on `effective_groups`: below 20 there is none, below 50
                   `few_groups` is set. A pair that shares a term is associated `by_construction` and not tested.
                   Null is undefined, or infinite: the figure where nothing has both, a bound beside one that is given.
                   `own_filter`: the filter decided by the classifier whose verdict it is; null of keywords.
    corrected      one row a stage, group and attribute with drawn labels: what is true of this pool, estimated from the
                   labels of each stratum (corrected_association.py): shares, their difference and log odds ratio,
                   with 95% intervals of what the draw leaves open. Null where a stratum lacks labels.
    residual       one row a stage and scored attribute: the mean score Σw·p/Σw, the classifier's own view, with an
                   interval of what another pool would show; samples without a score; and, where labels were drawn, the
                   true share of the attribute in this pool.

    The pool and what the filter let through count near-duplicates once, the kept count samples, the weighted weights.
    targets: group → share of the pool that it ought to have. Raises ConfigError: a classifier that the version has no
    score of; a target of a group that is not there, or that is no share.
    """
    targets = targets or {}
    _check(version, groups, targets)
    counted, tested, own = count_groups(version, groups), ~_by_construction(groups), own_filter(version, groups)
    associations = _with_significance(
        pa.concat_tables([_rows(one, groups, (tested, own), LEVEL) for one in counted.stages]), fdr
    )
    found = _corrected(counted, groups)
    tables = {
        "groups": _group_rows(counted, tau, fdr, targets),
        "associations": associations,
        "corrected": corrected_association.table(found, groups, own),
        "residual": pa.concat_tables([_residual(stage, groups, found, own) for stage in counted.stages]),
    }
    level = _listed_level(associations, fdr)
    at_level = pa.concat_tables([_rows(stage, groups, (tested, own), level) for stage in counted.stages])
    summary = summarise(tables, at_level, round(level, 6))
    return tables, {
        "digest": groups.digest,
        **summary,
        "corrected": tables["corrected"].to_pylist(),
        "notes": notes(groups, counted, own, found),
    }


def _check(version: Version, groups: TermGroups, targets: Mapping[str, float]) -> None:
    scored = sorted(name.removeprefix("score.") for name in version.columns if name.startswith("score."))
    for attribute in groups.attributes:
        if attribute.classifier and attribute.classifier not in scored:
            raise ConfigError(
                f"attributes.{attribute.name!r}: classifier: the version has no score of {attribute.classifier!r}; "
                f"it has: {', '.join(scored) or 'none'}; name one, or add the category to the filter"
            )
    known = [group.name for group in groups.groups]
    for name, share in targets.items():
        if name not in known:
            raise ConfigError(f"target of {name!r}: there is no such group; known are: {', '.join(known) or 'none'}")
        if not 0 < share < 1:
            raise ConfigError(f"target of {name!r}: a share between 0 and 1 was expected, {share!r} was found")


def _group_rows(counted: Counted, tau: float, fdr: float, targets: Mapping[str, float]) -> pa.Table:
    """(g, columns) the figures of each group."""
    counts, pool = counted.groups, counted.stages[0]
    place = counts.of("term_id")
    share = changes.divide(counts.reference, counts.totals["n_units"])
    figures = {"reference": counts.reference, "share": share, **change_figures(counts, tau)}
    figures |= {name: values[place] for name, values in _removal(pool).items()}
    sizes = ["n_pool", "n_units", "n_after_filter", "n_kept"]
    table = counts.terms.select(["term", *sizes]).rename_columns(["group", *sizes])
    for name, values in figures.items():
        table = table.append_column(name, column(values))
    table = table.append_column("few_groups", _few(figures["effective_groups"]))
    table = table.append_column("removal_few_groups", _few(figures["removal_effective_groups"]))
    table = table.append_column("significant", pa.array(changes.benjamini_hochberg(figures["p_value"], fdr)))
    target = np.array([targets.get(name, np.nan) for name in table["group"].to_pylist()])
    excluded = pa.array((share < target) & (figures["removal_odds_ratio"] > 1), mask=np.isnan(target))
    return table.append_column("target", column(target)).append_column("excluded", excluded)


def _removal(pool: Stage) -> dict[str, np.ndarray]:
    """(g,) odds ratios of removal, of groups in their order."""
    _, interval = contingency.intervals(pool.removal, LEVEL)
    lower, upper = np.exp(interval[0]), np.exp(interval[1])
    return {
        "removal_odds_ratio": np.exp(contingency.log_odds_ratio(pool.removal)),
        **bounds("removal_odds_ratio", (lower, upper)),
        "removal_effective_groups": contingency.effective_groups(pool.removal),
    }


def _few(effective: np.ndarray) -> pa.Array:
    return pa.array(effective < changes.FEW_GROUPS)


def _rows(stage: Stage, groups: TermGroups, told: tuple[np.ndarray, Mapping[str, bool]], level: float) -> pa.Table:
    """One row a group and attribute at this stage, with intervals of this level, without `significant`.

    told: (g·a,) False for what is associated by construction; whose classifier the filter decided by.
    """
    tested, own = told
    pmi, odds = contingency.intervals(stage.tables, level)
    inside, outside = contingency.shares(stage.tables)
    effective = contingency.effective_groups(stage.tables)
    figures = {
        "share_inside": inside,
        "share_outside": outside,
        "pmi": contingency.pmi(stage.tables),
        **bounds("pmi", pmi),
        "log_odds_ratio": contingency.log_odds_ratio(stage.tables),
        **bounds("log_odds_ratio", odds),
        "effective_groups": effective,
        "p_value": np.where(tested, contingency.p_values(stage.tables), np.nan),
    }
    pairs = [(group.name, one) for group in groups.groups for one in groups.attributes]
    table = pa.table(
        {
            "stage": pa.array([stage.name] * len(pairs), pa.string()),
            "group": pa.array([group for group, _ in pairs], pa.string()),
            "attribute": pa.array([one.name for _, one in pairs], pa.string()),
            "kind": pa.array([VERDICT if one.classifier else KEYWORDS for _, one in pairs], pa.string()),
            "own_filter": pa.array([own.get(one.name) for _, one in pairs], pa.bool_()),
            **{name: stage.samples[:, i] for i, name in enumerate(("samples", "group_samples", "attribute_samples"))},
            **{name: column(values) for name, values in figures.items()},
        }
    )
    return table.append_column("few_groups", _few(effective)).append_column("by_construction", pa.array(~tested))


def _corrected(counted: Counted, groups: TermGroups) -> list[Corrected]:
    """The true shares of each attribute with drawn labels at each stage."""
    return [
        corrected_association.corrected(stage.name, groups.attributes[place].name, counted.labelled[place], there)
        for place in counted.labelled
        for stage in counted.stages
        for there in [stage.strata[place]]
    ]


def _by_construction(groups: TermGroups) -> np.ndarray:
    """(g·a,) whether a term of the attribute stands in a term of the group, or the other way round."""
    terms_below = groups.terms_below()
    below = [[f" {term} " for term in terms_below[group.name]] for group in groups.groups]
    terms = [[f" {term} " for term in one.terms] for one in groups.attributes]
    return np.array([_overlap(one, other) for one in below for other in terms], np.bool_)


def _overlap(one: Sequence[str], other: Sequence[str]) -> bool:
    return any(a in b or b in a for a in one for b in other)


def _with_significance(associations: pa.Table, fdr: float) -> pa.Table:
    p = associations["p_value"].to_numpy(zero_copy_only=False)
    return associations.append_column("significant", pa.array(changes.benjamini_hochberg(p, fdr)))


def _listed_level(associations: pa.Table, fdr: float) -> float:
    """Level of intervals of what is picked as significant (Benjamini and Yekutieli 2005)."""
    significant = associations["significant"].to_numpy(zero_copy_only=False).sum()
    tested = len(associations) - associations["p_value"].null_count
    return float(1 - fdr * significant / tested) if significant else LEVEL


def _residual(stage: Stage, groups: TermGroups, found: Sequence[Corrected], own: Mapping[str, bool]) -> pa.Table:
    scored = [i for i, one in enumerate(groups.attributes) if one.classifier]
    names = [groups.attributes[i].name for i in scored]
    true = np.array([corrected_association.shares(found, stage.name, name) for name in names]).reshape(-1, 3)
    figures = {
        "residual_harm": stage.harm.mean,
        **bounds("residual_harm", residual_harm.interval(stage.harm, LEVEL)),
        "effective_groups": stage.harm.effective_groups,
    }
    columns = {
        "stage": pa.array([stage.name] * len(scored), pa.string()),
        "attribute": pa.array(names, pa.string()),
        "own_filter": pa.array([own[name] for name in names], pa.bool_()),
        **{name: column(values[scored]) for name, values in figures.items()},
        "unscored": pa.array(stage.unscored[scored], pa.int64()),
        **{f"true_share{end}": column(true[:, i]) for i, end in enumerate(("", "_lower", "_upper"))},
    }
    return pa.table(columns)
