"""The caption audit: how much more or less often each word stands in the captions after filtering, dedup and weighting.

The article counts hand-picked words, filtered against unfiltered ("woman" −14%). Here every word of the pool's captions
is counted, every frequent phrase, and chosen keywords, against the pool; the effects of filter, dedup and weights stand
apart, and noise is told from effect. The audit sees a version only: samples, decision, near-duplicate groups if any.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tasks.errors import ConfigError
from tasks.files import write_table
from tasks.groups.association import audit_groups
from tasks.groups.term_groups import TermGroups, read_groups
from tasks.lake import Lake, MapParts, Version
from tasks.words import changes, tokens
from tasks.words.change_figures import (
    DIGITS,
    LEVEL,
    bounds,
    change_figures,
    column,
    paired_interval,
    removal_figures,
    through_filter,
)
from tasks.words.counting import Counts, count_terms
from tasks.words.phrases import longest_phrases

REVISION = 2
LISTED = 10  # falls, and rises, that the summary names
MOST_GROUPS = 100  # that the summary names, the most frequent; all are in the tables


@dataclass(frozen=True)
class Config:
    """What is audited besides the whole vocabulary, and what counts as a change."""

    keywords: tuple[str, ...] = ()  # words or phrases that are reported whatever their count
    groups: str = ""  # path of a TOML file of term groups and attributes (docs/groups.md)
    min_count: int = 20  # captions of the pool with the term; rarer terms are not listed
    fdr: float = 0.05  # false-discovery rate of `significant`
    tau: float = 0.01  # a relative change by the filter up to this size is of no interest
    target_share: Mapping[str, float] = field(default_factory=dict)  # group → share of the pool that it ought to have
    phrases: int = 3  # words of the longest phrase that is counted unasked; 1: words alone

    def __post_init__(self) -> None:
        for keyword in self.keywords:
            if not tokens.tokenise(keyword):
                raise ConfigError(f"audit.keywords: {keyword!r} has no letter or digit; a word or phrase was expected")
        if self.min_count < 1 or not 0 < self.fdr < 1 or self.tau < 0:
            raise ConfigError(
                "audit: min_count of at least 1, fdr between 0 and 1 and tau of at least 0 were expected; found "
                f"{self.min_count}, {self.fdr} and {self.tau}"
            )
        if self.phrases < 1:
            raise ConfigError(f"audit.phrases: at least 1, words alone, was expected; found {self.phrases}")


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

    words: one row an audited term, a word or a phrase of `n_words` words side by side, most frequent first. Phrases of
    up to config.phrases words are audited like words; a test is one of all.

    change_filter   share among what the filter let through / share in the pool − 1
    change_dedup    share among the kept / share among what the filter let through − 1
    change          share among the kept / share in the pool with near-duplicates counted once − 1; a near-duplicate
                    group has a term to the part that its captions have it
    change_weighted the same, the kept counted by weight
    removal_odds_ratio  odds of being filtered with the term over the odds without it; null is infinite, too

    The changes are exact facts of this pool. Their 95% intervals (*_lower, *_upper) and `significant`, a test of
    change_filter, say what another pool of this size from the same source would show. Null is what is undefined: a
    share of no captions, the interval of an effect that nothing had or that too few groups carry, a weighted change
    before there are weights. `few_groups` flags an interval of the weighted change that fewer than 50 effective groups
    carry; fewer than 20 carry none.
    """
    tokens.write_tokens(version, map_parts)
    counts = count_terms(version, config.keywords, config.min_count, config.phrases)
    words = _words(counts, config)
    tables, summary = {"words": words}, _summary(words, counts, config)
    if groups is not None:
        found, told = audit_groups(
            version, _scored(version, groups), fdr=config.fdr, tau=config.tau, targets=config.target_share
        )
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
    figures = change_figures(counts, config.tau)
    table = counts.terms.select(["term", "keyword", "n_pool", "n_units", "n_after_filter", "n_kept"])
    table = table.add_column(4, "reference", column(counts.reference))
    for name, values in figures.items():
        table = table.append_column(name, column(values))
    few = pc.less(table["effective_groups"], changes.FEW_GROUPS)
    table = table.append_column("few_groups", pc.fill_null(few, False))
    table = table.append_column("significant", pa.array(changes.benjamini_hochberg(figures["p_value"], config.fdr)))
    for name, values in removal_figures(counts).items():
        table = table.append_column(name, column(values))
    return table.append_column("n_words", counts.terms["n_words"])


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
    for name, values in bounds("change_filter", paired_interval(through_filter(counts), level)).items():
        words = words.set_column(words.column_names.index(name), name, column(values))
    return words


def _keyword_rows(words: pa.Table, keywords: Sequence[str]) -> list[dict[str, Any]]:
    rows = {row["term"]: row for row in words.filter(words["keyword"]).to_pylist()}
    return [{**rows[" ".join(tokens.tokenise(keyword))], "keyword": keyword} for keyword in keywords]


def _largest(words: pa.Table, order: str) -> list[dict[str, Any]]:
    """The rows of the largest falls (ascending) or rises (descending), of a phrase and its parts the longest."""
    sign = pc.less(words["change_filter"], 0) if order == "ascending" else pc.greater(words["change_filter"], 0)
    keys = [("change_filter", order), ("n_pool", "descending"), ("term", "ascending")]
    listed = words.filter(sign).sort_by(keys).drop_columns(["keyword", "few_groups", "significant"])
    return list(islice(longest_phrases(listed, "n_pool"), LISTED))


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
