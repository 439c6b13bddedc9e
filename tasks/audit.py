"""The caption audit: how much more or less often each word stands in the captions after filtering, dedup and weighting.

The article counts hand-picked words, filtered against unfiltered ("woman" −14%). Here every word of the pool's captions
is counted, and chosen keywords and phrases, against the pool; the effects of filter, dedup and weights stand apart, and
noise is told from effect. The audit sees a version only: its samples, its decision, its near-duplicate groups if any.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks import changes, tokens
from tasks.association import audit_groups
from tasks.changes import Shares
from tasks.counting import Counts, count_terms
from tasks.errors import ConfigError
from tasks.files import write_table
from tasks.lake import Lake, MapParts, Version
from tasks.term_groups import TermGroups, read_groups

REVISION = 1
LEVEL = 0.95  # of every interval that stands alone
LISTED = 10  # falls, and rises, that the summary names
DIGITS = 6  # of every figure that is written
MOST_GROUPS = 100  # that the summary names, the most frequent; all are in the tables


@dataclass(frozen=True)
class Config:
    """What is audited besides the whole vocabulary, and what counts as a change."""

    keywords: tuple[str, ...] = ()  # words or phrases that are reported whatever their count
    groups: str = ""  # path of a TOML file of term groups and attributes (docs/groups.md)
    min_count: int = 20  # captions of the pool with the term; rarer terms are not listed
    fdr: float = 0.05  # false-discovery rate of `significant`
    tau: float = 0.01  # a relative change by the filter up to this size is of no interest

    def __post_init__(self) -> None:
        for keyword in self.keywords:
            if not tokens.tokenise(keyword):
                raise ConfigError(f"audit.keywords: {keyword!r} has no letter or digit; a word or phrase was expected")
        if self.min_count < 1 or not 0 < self.fdr < 1 or self.tau < 0:
            raise ConfigError(
                "audit: min_count of at least 1, fdr between 0 and 1 and tau of at least 0 were expected; found "
                f"{self.min_count}, {self.fdr} and {self.tau}"
            )


def run(version: Version, config: Config, map_parts: MapParts) -> Version:
    """The version with artifact `audit` (words.parquet, words.csv, summary.json) and its summary; its stage stays."""
    groups = read_groups(Path(config.groups)) if config.groups else None
    lake, key = version.lake, _key(version, config, groups)
    if not lake.has_artifact("audit", key):
        _write(lake, key, *audit(version, config, map_parts, groups))
    summary = json.loads((lake.artifact_path("audit", key) / "summary.json").read_text("utf-8"))
    artifacts = {"audit": key, "tokens": tokens.key(version)}
    settings = {**asdict(config), "groups": groups.digest if groups is not None else ""}
    derived = version.derive("audit", artifacts=artifacts, config=settings, summary=summary)
    return replace(derived, stage=version.stage)


def _key(version: Version, config: Config, groups: TermGroups | None) -> str:
    parts = [part.part for part in version.parts]
    decided = version.columns["decision"], version.artifacts.get("groups")
    asked: dict[str, Any] = {**asdict(config), "groups": ""}
    if groups is not None:
        scores = {name: key for name, key in version.columns.items() if name.startswith("score.")}
        asked["groups"] = [groups.digest, scores]
    return Lake.key("audit", REVISION, asked, parts, tokens.key(version), *decided)


def _write(lake: Lake, key: str, tables: Mapping[str, pa.Table], summary: dict[str, Any]) -> None:
    from pyarrow import csv

    with lake.new_artifact("audit", key) as folder:
        for name, table in tables.items():
            write_table(folder / f"{name}.parquet", table)
            csv.write_csv(table, folder / f"{name}.csv")
        (folder / "summary.json").write_text(json.dumps(summary, ensure_ascii=False, indent=1), "utf-8")


def audit(
    version: Version, config: Config, map_parts: MapParts, groups: TermGroups | None = None
) -> tuple[dict[str, pa.Table], dict[str, Any]]:
    """Table `words`, with groups also those of `audit_groups`; and the summary that reports and gates read.

    words: one row an audited term, most frequent first.

    change_filter   share among what the filter let through / share in the pool − 1
    change_dedup    share among the kept / share among what the filter let through − 1
    change          share among the kept / share in the pool with near-duplicates counted once − 1; a near-duplicate
                    group has a term to the part that its captions have it
    change_weighted the same, the kept counted by weight

    The changes are exact facts of this pool. Their 95% intervals (*_lower, *_upper) and `significant`, a test of
    change_filter, say what another pool of this size from the same source would show. Null is what is undefined: a
    share of no captions, the interval of an effect that nothing had or that too few groups carry, a weighted change
    before there are weights. `few_groups` flags an interval of the weighted change that fewer than 50 effective groups
    carry; fewer than 20 carry none.
    """
    tokens.write_tokens(version, map_parts)
    counts = count_terms(version, config.keywords, config.min_count)
    words = _words(counts, config)
    tables, summary = {"words": words}, _summary(words, counts, config)
    if groups is not None:
        found, told = audit_groups(version, _scored(version, groups), fdr=config.fdr, tau=config.tau)
        tables |= found
        summary["groups"] = {**told, "groups": told["groups"][:MOST_GROUPS]}
    return tables, summary


def _scored(version: Version, groups: TermGroups) -> TermGroups:
    """The groups without classifiers' verdicts where nothing is scored yet: before the filter there are none."""
    if any(name.startswith("score.") for name in version.columns):
        return groups
    return replace(groups, attributes=tuple(one for one in groups.attributes if one.classifier is None))


def _words(counts: Counts, config: Config) -> pa.Table:
    """(t, columns) the figures of each audited term."""
    of, totals = counts.of, counts.totals
    reference = counts.reference, totals["n_units"]
    through = _through_filter(counts)
    p_value = changes.p_values(through, config.tau)
    figures = {
        "change_filter": changes.change(of("n_after_filter"), totals["n_after_filter"], of("n_pool"), totals["n_pool"]),
        **_bounds("change_filter", changes.paired_interval(through, LEVEL)),
        "change_dedup": changes.change(of("n_kept"), totals["n_kept"], of("n_after_filter"), totals["n_after_filter"]),
        "change": changes.change(of("n_kept"), totals["n_kept"], *reference),
        **_bounds("change", changes.paired_interval(_through_all(counts), LEVEL)),
        "change_weighted": changes.change(of("mass"), totals["mass"], *reference),
        **_weighted(counts),
        "p_value": p_value,
    }
    table = counts.terms.select(["term", "keyword", "n_pool", "n_units", "n_after_filter", "n_kept"])
    table = table.add_column(4, "reference", _column(counts.reference))
    for name, values in figures.items():
        table = table.append_column(name, _column(values))
    few = pc.less(table["effective_groups"], changes.FEW_GROUPS)
    table = table.append_column("few_groups", pc.fill_null(few, False))
    return table.append_column("significant", pa.array(changes.benjamini_hochberg(p_value, config.fdr)))


def _bounds(name: str, interval: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{name}_lower": interval[0], f"{name}_upper": interval[1]}


def _through_filter(counts: Counts) -> Shares:
    """Of a term's captions in the pool, those that the filter let through."""
    of, totals = counts.of, counts.totals
    deff = np.nan_to_num(changes.divide(of("squares"), of("n_pool")), nan=1.0)
    return Shares(of("n_after_filter"), of("n_pool"), deff, totals["n_after_filter"], totals["n_pool"])


def _through_all(counts: Counts) -> Shares:
    """Of a term's near-duplicate groups, those that kept a caption with it.

    None where a group keeps two of them or only some of its captions have the term: it is no yes or no then.
    """
    of, totals = counts.of, counts.totals
    whole = (of("kept_squares") == of("n_kept")) & (counts.reference == of("n_units"))
    groups = np.where(whole, of("n_units"), 0)
    return Shares(of("n_kept"), groups, np.ones(len(groups)), totals["n_kept"], totals["n_units"])


def _weighted(counts: Counts) -> dict[str, np.ndarray]:
    """Bounds of the weighted change, and the effective number of groups that carry them (flagged when few)."""
    totals, influence = counts.totals, counts.influence
    if influence is None:
        nothing = np.full(len(counts.terms), np.nan)
        return {**_bounds("change_weighted", (nothing, nothing)), "effective_groups": nothing}
    weighted = changes.change(counts.of("mass"), totals["mass"], counts.reference, totals["n_units"])
    interval = changes.linearised_interval(weighted, influence, LEVEL)
    return {**_bounds("change_weighted", interval), "effective_groups": influence.effective_groups}


def _summary(words: pa.Table, counts: Counts, config: Config) -> dict[str, Any]:
    """JSON facts: sizes, the keywords' rows in the order asked, the largest significant falls and rises, and notes.

    falls and rises are picked from many, so their intervals of change_filter have level 1 − fdr·significant/tested
    (Benjamini and Yekutieli 2005), stated as `listed_level`.
    """
    significant = words.filter(words["significant"])
    tested = len(words) - words["p_value"].null_count
    level = 1 - config.fdr * len(significant) / tested if len(significant) else LEVEL
    listed = _at_level(words, counts, level).filter(words["significant"])
    return {
        "samples": {name: counts.totals[f"n_{name}"] for name in ("pool", "units", "after_filter", "kept")},
        "vocabulary": counts.totals["words"],
        "tested": tested,
        "significant": len(significant),
        "keywords": _keyword_rows(words, config.keywords),
        "listed_level": round(level, DIGITS),
        "falls": _largest(listed, "ascending"),
        "rises": _largest(listed, "descending"),
        "notes": _notes(words, counts),
    }


def _at_level(words: pa.Table, counts: Counts, level: float) -> pa.Table:
    """The words with their intervals of change_filter at another level."""
    for name, values in _bounds("change_filter", changes.paired_interval(_through_filter(counts), level)).items():
        words = words.set_column(words.column_names.index(name), name, _column(values))
    return words


def _column(values: np.ndarray) -> pa.Array:
    """Rounded, no negative zero, null for NaN."""
    return pa.array(np.round(values, DIGITS) + 0.0, from_pandas=True)


def _keyword_rows(words: pa.Table, keywords: Sequence[str]) -> list[dict[str, Any]]:
    rows = {row["term"]: row for row in words.filter(words["keyword"]).to_pylist()}
    return [{**rows[" ".join(tokens.tokenise(keyword))], "keyword": keyword} for keyword in keywords]


def _largest(words: pa.Table, order: str) -> list[dict[str, Any]]:
    """The rows of the largest falls (ascending) or rises (descending)."""
    sign = pc.less(words["change_filter"], 0) if order == "ascending" else pc.greater(words["change_filter"], 0)
    keys = [("change_filter", order), ("n_pool", "descending"), ("term", "ascending")]
    listed = words.filter(sign).sort_by(keys).slice(0, LISTED)
    return listed.drop_columns(["keyword", "few_groups", "significant"]).to_pylist()


def _notes(words: pa.Table, counts: Counts) -> list[str]:
    """What a reader of the figures has to know of this pool."""
    totals, notes = counts.totals, []
    if not totals["n_pool"]:
        notes.append("the pool has no usable sample: there is nothing to audit")
    elif not totals["n_after_filter"]:
        notes.append("the filter let no sample through: changes are undefined")
    elif not totals["n_kept"]:
        notes.append("no sample is kept: changes are undefined")
    elif totals["n_after_filter"] == totals["n_pool"]:
        notes.append("the filter removed nothing: its changes are 0 by construction, without interval or test")
    absent = sorted(words.filter(pc.equal(words["n_pool"], 0))["term"].to_pylist())
    if absent:
        notes.append(f"no caption of the pool has: {', '.join(absent)}")
    return notes
