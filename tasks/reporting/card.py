"""The dataset card: what a version is, what was removed, how biased it is, how sure that is. Markdown, one page.

It begins with the YAML that the Hugging Face hub reads (https://huggingface.co/docs/hub/datasets-cards).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tasks.lake import Version
from tasks.reporting import account, bias_weights, findings
from tasks.reporting.bias_findings import LEVEL, at_level
from tasks.reporting.declared import UNKNOWN, declared, hub_license, license_address
from tasks.reporting.findings import Funnel, facts
from tasks.reporting.wording import count, headline, share, signed

KEYWORDS: Final = 12
PUBLISHED: Final = (
    ("samples.parquet", "one row for each sample that was read: verdict, stage and reason, scores, weight"),
    ("report.html", "the figures below with plots and pictures"),
    ("words.csv", "every audited word's change"),
)
GROUPS: Final = (
    ("groups.csv", "every term group's change, and how much likelier it was to be removed"),
    ("associations.csv", "every group beside every attribute, before curation and after each step"),
    ("corrected.csv", "what labels say of groups and classifiers' attributes, where some were drawn"),
    ("residual.csv", "mean scores of what is left"),
)
SIZES: Final = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B")


def render(version: Version, files: Sequence[tuple[str, str]] | None = None, *, tars: bool = False) -> str:
    """The card's text, for these files (name, what it is); by default for those that publish writes.

    `tars`: whether tars of what was kept lie beside it.

    Nothing in it depends on the machine, nor on time before the version is committed.
    """
    funnel = findings.funnel(version)
    shown = files if files is not None else [*PUBLISHED, *(GROUPS if facts(version, "audit").get("groups") else ())]
    parts = [
        [f"# {text(version.lake.pool)}", "", headline(funnel), "", *_files(shown)],
        ["## What was removed", "", *_removed(funnel), *_filter(version), text(account.near_duplicates(version))],
        ["## How biased it is", "", *_words(version)],
        ["## How it is weighted", "", *_weights(version)],
        ["## What it rests on, and its limits", "", *_items(account.limits(version))],
        ["## Where it comes from", "", *_items(account.origin(version)), *_declared(version)],
    ]
    body = "\n\n".join("\n".join(part).rstrip() for part in parts)
    return f"{header(version, tars)}\n{body}\n"


def header(version: Version, tars: bool) -> str:
    """The YAML block; every value is a JSON string, which YAML reads as it stands."""
    loads = {"samples": "samples.parquet", **({"images": "**/*.tar"} if tars else {})}
    lines = [f"{name}: {json.dumps(value)}" for name, value in hub_license(declared(version).license).items()]
    lines += [f"pretty_name: {json.dumps(version.lake.pool)}", "task_categories:", "- text-to-image"]
    lines += ["size_categories:", f"- {json.dumps(_size(version.rows))}", "configs:"]
    for name, path in loads.items():
        lines += [f"- config_name: {name}", "  data_files:", "  - split: train", f"    path: {json.dumps(path)}"]
    return "\n".join(["---", *lines, "---", ""])


def _size(rows: int) -> str:
    """The hub's class of a number of rows."""
    return SIZES[min(max(len(str(rows)) - 3, 0), len(SIZES) - 1)]


def text(value: object) -> str:
    """A name or word from the pool as plain Markdown text on one line."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&$])", r"\\\1", account.plain(value))


def _files(rows: Sequence[tuple[str, str]]) -> list[str]:
    return ["| file | what it is |", "| --- | --- |", *(f"| `{name}` | {what} |" for name, what in rows)]


def _items(lines: Sequence[str]) -> list[str]:
    return [f"- {text(line)}" for line in lines]


def _removed(funnel: Funnel) -> list[str]:
    rows = [
        ("read", funnel.read), ("quarantined", funnel.quarantined), ("filtered", funnel.filtered),
        ("near-duplicates", funnel.duplicates), ("**kept**", funnel.kept),
    ]  # fmt: skip
    lines = ["| | samples |", "| --- | ---: |", *[f"| {name} | {number:,} |" for name, number in rows], ""]
    return [*lines, *(part for line in account.missing(funnel) for part in (text(line), ""))]


def _filter(version: Version) -> list[str]:
    lines = [f"- **{text(name)}**: {text(told)}" for name, told in account.filtered(version)]
    lines += _items(account.beside(version))
    return [*lines, ""] if lines else ["No category was filtered.", ""]


def _words(version: Version) -> list[str]:
    points = account.biases(version)
    if not points:
        return ["The captions were not audited."]
    return [*(f"- **{point.title}.** {text(point.text)}" for point in points), "", *_keywords(version)]


def _keywords(version: Version) -> list[str]:
    rows, told, level = findings.keyword_rows(version, KEYWORDS), facts(version, "audit"), LEVEL
    if not rows:
        return []
    if not any(row.get("n_pool") for row in told["keywords"]):  # those picked from all: their intervals are wider
        level = told["listed_level"]
        rows = [dict(at_level(row, told["samples"], level)) for row in rows]
    lines = [
        "| term | captions in the pool | by the filter | kept | kept, weighted |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [f"| {text(row['label'])} | {count(row['n_pool'])} | {_changes(row)} |" for row in rows]
    note = (
        f"Changes are exact for this pool; in brackets, where one can be given, the {share(level)} interval of another "
        "pool from the same source. *kept* counts near-duplicate groups of the pool once."
    )
    return [*lines, "", note]


def _changes(row: Mapping[str, Any]) -> str:
    return " | ".join(_change(row, name) for name in ("change_filter", "change", "change_weighted"))


def _change(row: Mapping[str, Any], name: str) -> str:
    low, high = row.get(f"{name}_lower"), row.get(f"{name}_upper")
    interval = "" if low is None or high is None else f" ({signed(low)} to {signed(high)})"
    return f"{signed(row.get(name))}{interval}"


def _weights(version: Version) -> list[str]:
    return [*_items(account.weights(version)), *_targets(facts(version, "reweight"))]


def _targets(told: Mapping[str, Any]) -> list[str]:
    rows = bias_weights.targets(told)
    if not rows:
        return []
    cells = [(one.declared, one.wanted, one.before, one.after, one.reason or one.outcome) for one in rows]
    lines = ["", "| declared | wanted | before | with the weights | |", "| --- | ---: | ---: | ---: | --- |"]
    return [*lines, *(f"| {' | '.join(text(cell) for cell in row)} |" for row in cells)]


def _declared(version: Version) -> list[str]:
    """What the team declares; a licence that was not stated is said to be unknown."""
    told = declared(version)
    lines = [f"Licence: {license_address(told.license) if told.license else UNKNOWN}"]
    lines += [f"Made by: {', '.join(told.creators)}"] if told.creators else []
    lines += [f"Page: {told.url}"] if told.url else []
    lines += [f"To be cited as: {told.cite_as}"] if told.cite_as else []
    return _items(lines)
