"""The dataset card: what a version is, what was removed, how biased it is, how sure that is. Markdown, one page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tasks.lake import Version
from tasks.reporting import bias_weights, bias_words, findings
from tasks.reporting.bias_findings import bias
from tasks.reporting.findings import Funnel, facts
from tasks.reporting.wording import count, figures, headline, plural, sentence, share, signed

KEYWORDS = 12


def render(version: Version) -> str:
    """The card's text; nothing in it depends on time or machine."""
    funnel = findings.funnel(version)
    parts = [
        [f"# {text(version.lake.pool)}", "", headline(funnel), "", *_files(version)],
        ["## What was removed", "", *_removed(funnel), *_filter(version), *_dedup(version)],
        ["## How biased it is", "", *_words(version)],
        ["## How it is weighted", "", *_weights(version)],
        ["## What it rests on, and its limits", "", *_limits(version)],
    ]
    return "\n\n".join("\n".join(part).rstrip() for part in parts) + "\n"


def text(value: object) -> str:
    """A name or word from the pool as plain Markdown text on one line."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&])", r"\\\1", " ".join(str(value).split()))


def _files(version: Version) -> list[str]:
    lines = [
        "| file | what it is |",
        "| --- | --- |",
        "| `samples.parquet` | one row for each sample that was read: verdict, stage and reason, scores, weight |",
        "| `report.html` | the figures below with plots and pictures |",
        "| `words.csv` | every audited word's change |",
    ]
    if not facts(version, "audit").get("groups"):
        return lines
    return [
        *lines,
        "| `groups.csv` | every term group's change, and how much likelier it was to be removed |",
        "| `associations.csv` | every group beside every attribute, before curation and after each step |",
        "| `corrected.csv` | what labels say of groups and classifiers' attributes, where some were drawn |",
        "| `residual.csv` | mean scores of what is left |",
    ]


def _removed(funnel: Funnel) -> list[str]:
    rows = [
        ("read", funnel.read), ("quarantined", funnel.quarantined), ("filtered", funnel.filtered),
        ("near-duplicates", funnel.duplicates), ("**kept**", funnel.kept),
    ]  # fmt: skip
    lines = ["| | samples |", "| --- | ---: |", *[f"| {name} | {number:,} |" for name, number in rows], ""]
    if funnel.reasons:
        reasons = ", ".join(f"{text(reason)} {number:,}" for reason, number in funnel.reasons.items())
        lines += [f"Quarantined: {reasons}.", ""]
    if funnel.failed_rows or funnel.broken:
        apart = f"{plural(funnel.failed_rows, 'failed download')} and {plural(len(funnel.broken), 'broken shard')}"
        lines += [f"Counted apart: {apart}.", ""]
    return lines


def _filter(version: Version) -> list[str]:
    lines = []
    for told in findings.category_facts(version):
        recall = f"Recall {share(told.recall)}, at least {share(told.lower)} at {share(told.confidence)} confidence"
        lines += [
            f"- **{text(told.name)}**: {count(told.removed)} removed at a score of {figures(told.threshold)}. "
            f"{recall}, on {count(told.positives)} labelled positives: "
            f"an estimate on positives like those. {_benign(told)}Certificate: {text(told.certificate['sentence'])}"
        ]
    lines += [f"- {count(number)} {what}." for what, number in findings.beside(version)]
    return [*lines, ""] if lines else ["No category was filtered.", ""]


def _benign(told: findings.Category) -> str:
    found = told.benign
    if found["estimate"] is None:
        return ""
    interval = f" ({share(found['lower'])} to {share(found['upper'])})" if found["n"] else ""
    return f"Of what is removed {share(found['estimate'])}{interval} is benign, by {text(found['basis'])}. "


def _dedup(version: Version) -> list[str]:
    told = facts(version, "dedup")
    if not told:
        return ["Near-duplicates were not searched."]
    line = f"Near-duplicates: {count(told.get('removed'))} removed, in {count(told.get('groups'))} groups"
    recall = told.get("recall")
    if recall and recall["exact"]:
        line += f"; {share(recall['estimate'])} of the pairs were found, by a comparison with all"
    elif recall:
        interval = f"95% interval {share(recall['lower'])} to {share(recall['upper'])}"
        line += f"; {share(recall['estimate'])} of the pairs were found, by estimate ({interval})"
    return [line + ". Every removed image has a kept near-duplicate."]


def _words(version: Version) -> list[str]:
    told = bias(version)
    if told is None:
        return ["The captions were not audited."]
    points = [f"- **{point.title}.** {text(point.text)}" for point in bias_words.points(told)]
    return [*points, "", *_keywords(version)]


def _keywords(version: Version) -> list[str]:
    rows = findings.keyword_rows(version, KEYWORDS)
    if not rows:
        return []
    lines = [
        "| term | captions in the pool | by the filter | kept | kept, weighted |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [f"| {text(row['label'])} | {count(row['n_pool'])} | {_changes(row)} |" for row in rows]
    note = "Exact for this pool; the report has the intervals. *kept* counts near-duplicate groups of the pool once."
    return [*lines, "", note]


def _changes(row: Mapping[str, Any]) -> str:
    return " | ".join(signed(row.get(name)) for name in ("change_filter", "change", "change_weighted"))


def _weights(version: Version) -> list[str]:
    told = facts(version, "reweight")
    if not told:
        return ["Each kept sample counts the same."]
    lines = [
        f"- {fact.name}: {text(fact.value)}{f' ({fact.meaning})' if fact.meaning else ''}"
        for fact in bias_weights.account(told)
    ]
    lost = [f"- {text(row['term'])}: {text(row['reason'])}" for row in told.get("not_restored", [])]
    return [*lines, *(["", "Not restored:", "", *lost] if lost else []), *_targets(told)]


def _targets(told: Mapping[str, Any]) -> list[str]:
    rows = bias_weights.targets(told)
    if not rows:
        return []
    cells = [(one.declared, one.wanted, one.before, one.after, one.reason or one.outcome) for one in rows]
    lines = ["", "| declared | wanted | before | with the weights | |", "| --- | ---: | ---: | ---: | --- |"]
    return [*lines, *(f"| {' | '.join(text(cell) for cell in row)} |" for row in cells)]


def _limits(version: Version) -> list[str]:
    told = facts(version, "embed")
    note = told.get("note") or "see its makers for what it was trained on"
    return [
        f"- Every score and similarity rests on the encoder {text(told.get('model', 'none'))}: {text(note)}.",
        "- Recall is estimated on images like those that were labelled. Others may still be in the dataset.",
        "- Weights match how often words stand in captions. They do not bring back what the removed images showed.",
        "- Captions tell what somebody wrote, not what an image shows.",
        *[f"- {text(sentence(note))}." for note in facts(version, "audit").get("notes", [])],
    ]
