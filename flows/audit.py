"""The flow `audit`: how the captions of the kept samples drifted, since the last version and since a month ago.

A run's own audit compares a version with its pool. Drift is what many such versions add up to: shards that came, labels
that taught, thresholds that moved. It reads the lake and writes nothing to it but tokens that are not there yet.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from prefect import flow

from flows.checks.secrets import without_secrets
from flows.serving.attended import skipped, unattended
from flows.serving.parameters import Days, Name, Place, PoolName, TomlFile
from flows.shown.markdown import plain, table
from flows.shown.plot import Row, forest
from flows.shown.progress import Reporter
from tasks.ages import made_before
from tasks.errors import UsageError
from tasks.files import write_text
from tasks.groups.comparison import Asked, compare
from tasks.groups.term_groups import TermGroups, read_groups
from tasks.lake import Lake, Version, find_pool
from tasks.manifests import retirement
from tasks.reporting.wording import figures, signed
from tasks.words.phrases import longest_phrases
from tasks.words.tokens import tokenise

SHOWN: Final = 10  # terms that fell, and terms that rose


@flow(name="audit", log_prints=False)
def audit(
    lake: Place = "lake",
    pool: PoolName | None = None,
    version: Name = "latest",
    days: Days = 30,
    keywords: list[str] | None = None,
    groups: TomlFile | None = None,
    out: Place | None = None,
) -> list[dict[str, Any]]:
    """How a version's captions drifted since the version before it, and since one of a month ago.

    Args:
        lake: The folder of all pools.
        pool: The pool's name, where the lake holds several.
        version: The version that is looked at.
        days: How long a month is: the other version is the newest complete one that is at least so old.
        keywords: Words and phrases that are compared however rare they are; by default those that the version audits.
        groups: A TOML file of term groups.
        out: A folder for the whole tables as CSV, and the report as Markdown.
    """
    for keyword in keywords or []:
        if not tokenise(keyword):
            raise UsageError(f"keywords: {keyword!r} has no letter or digit; a word or phrase was expected")
    with without_secrets():
        home, reporter = find_pool(Path(lake), pool), Reporter()
        if unattended() and home.latest() is None:
            return skipped(f"pool {home.pool!r} has no complete version yet: there is nothing to compare")
        found = home.version(version)
        known = read_groups(Path(groups)) if groups is not None else None
        told = [_drift(found, *other, keywords, known) for other in earlier(home, found, days)]
        text = markdown(found, told)
        reporter.summary("drift", text, f"Drift of version {found.number} of {home.pool}")
        if out is not None:
            write(Path(out), text, told)
        return [{"since": one.since, **one.facts} for one in told]


@dataclasses.dataclass(frozen=True)
class Drift:
    """One comparison; without tables where `remark` says why there is none."""

    since: str
    remark: str = ""
    tables: dict[str, pa.Table] = dataclasses.field(default_factory=dict)
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)


def earlier(lake: Lake, version: Version, days: int) -> list[tuple[str, Version | None]]:
    """The version published before, and the newest complete one of so many days ago; None where there is none."""
    before = version.manifest["previous"]
    month = datetime.now(UTC) - timedelta(days=days)
    others = {number: lake.manifest(number) for number in lake.numbers() if number != version.number}
    ends = {number: facts for number, facts in others.items() if facts["complete"] and "retired" not in facts}
    old = made_before(ends, month)
    return [
        ("the version before", lake.version(before) if before is not None else None),
        (f"{days} days ago", lake.version(old[-1]) if old else None),
    ]


def _drift(
    version: Version, since: str, other: Version | None, keywords: Sequence[str] | None, groups: TermGroups | None
) -> Drift:
    if other is None:
        return Drift(since, "there is no such version")
    if "retired" in other.manifest:
        return Drift(since, retirement(other.manifest))
    asked = keywords if keywords is not None else version.config.get("audit", {}).get("keywords", [])
    try:
        return Drift(since, "", *compare(version, other, Asked(tuple(asked)), _here, groups))
    except UsageError as problem:
        return Drift(since, str(problem))


def _here(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """map_parts without a cluster: the runs have cut the tokens already."""
    return [function(item) for item in items]


def markdown(version: Version, told: Sequence[Drift]) -> str:
    """The drift report."""
    made = plain(version.manifest["created_at"])
    lines = [f"**Drift of {plain(version.lake.pool)}, version {version.number}**, made {made}"]
    for one in told:
        lines += ["", f"### Since {one.since}", "", *(_told(one) if one.tables else [plain(one.remark, 400)])]
    return "\n".join(lines)


def _told(one: Drift) -> list[str]:
    samples, facts = one.facts["samples"], one.facts
    lines = [
        f"Against version {facts['reference']}: {samples['reference']:,} kept before, {samples['left']:,} left, "
        f"{samples['entered']:,} came in, {samples['subject']:,} kept. {facts['significant']:,} of "
        f"{facts['tested']:,} terms changed significantly."
    ]
    for title, rows in highlights(one.tables["words"]).items():
        if rows:
            lines += ["", f"**{title}**", *_plotted(title, rows)]
    return lines


def highlights(words: pa.Table) -> dict[str, list[dict[str, Any]]]:
    """What was asked for, and the largest significant falls and rises; of a phrase and its parts the longest."""
    changed = words.filter(pc.and_(words["significant"], pc.invert(words["keyword"])))
    found = {"Asked for": words.filter(words["keyword"]).to_pylist()[: 2 * SHOWN]}
    for title, side, order in (("Fell most", pc.less, "ascending"), ("Rose most", pc.greater, "descending")):
        rows = changed.filter(side(changed["change"], 0))
        rows = rows.sort_by([("change", order), ("n_reference", "descending"), ("term", "ascending")])
        found[title] = [row for _, row in zip(range(SHOWN), longest_phrases(rows, "n_reference"), strict=False)]
    return found


def _plotted(title: str, rows: Sequence[dict[str, Any]]) -> list[str]:
    plot = [Row(row["term"], row["change"], row["change_lower"], row["change_upper"]) for row in rows]
    cells = [
        (plain(row["term"]), figures(row["n_reference"]), figures(row["n_subject"]), signed(row["change"]),
         signed(row["change_weighted"]), "yes" if row["significant"] else "no")
        for row in rows
    ]  # fmt: skip
    heads = ("term", "before #", "now #", "change #", "weighted #", "significant")
    return [*forest(plot, f"{title}: change of the share of the captions"), *table(heads, cells)]


def write(out: Path, text: str, told: Sequence[Drift]) -> None:
    """drift.md, and a folder of CSV tables for each comparison that could be made."""
    from pyarrow import csv

    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "drift.md", text + "\n")
    for one in told:
        folder = out / one.since.replace(" ", "-")
        for name, rows in one.tables.items():
            folder.mkdir(exist_ok=True)
            csv.write_csv(rows, folder / f"{name}.csv")
