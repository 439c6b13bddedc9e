"""What the Prefect UI shows of a stage: funnel, gate, audit, lineage; where a gate failed, some samples it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from flows.shown.gate_examples import Example
from flows.shown.markdown import plain, table
from flows.shown.plot import Row, bar, forest
from flows.shown.texts import stage_line
from tasks.gates import Result
from tasks.lake import Version
from tasks.reporting import findings
from tasks.reporting.wording import UNKNOWN, figures, headline, share, signed

WORDS: Final = 10  # of the audit
FIGURES: Final = {"change_filter": "by the filter", "change": "kept", "change_weighted": "kept, weighted"}


def stage_markdown(stage: str, version: Version, pace: str = "") -> str:
    """A committed version. pace: how long the stage took."""
    lines = [f"**{stage}**: {stage_line(stage, version)}{f'; {pace}' if pace else ''}", *funnel(version)]
    lines += gate([Result(**result) for result in version.manifest["gate"]])
    return "\n".join([*lines, *audit(version), *lineage(version)])


def run_markdown(version: Version) -> str:
    """A run that ended: the version that came of it, the gates on its way, and the versions that it was made from."""
    gates = findings.gates(version)
    rows = [
        (stage, f"{len(results):,}", "yes" if all(one["passed"] for one in results) else "NO")
        for stage, results in gates
    ]
    name = f"**{plain(version.lake.pool)}, version {version.number}**: {headline(findings.funnel(version))}"
    lines = [name, *funnel(version), "### Gates", *table(("after", "expectations #", "passed"), rows)]
    return "\n".join([*lines, *audit(version), *lineage(version), *ancestry(version)])


def failure_markdown(text: str, draft: Version, results: Sequence[Result], samples: Sequence[Example]) -> str:
    """A draft that a gate stopped. text: what `failure` says."""
    first, *rest = text.splitlines()
    lines = [f"**{plain(first, 400)}**", "", *(f"- {plain(line, 600)}" for line in rest), *gate(results)]
    if samples:
        rows = [(plain(one.metric), f"`{one.uid}`", plain(one.caption), plain(one.why)) for one in samples]
        lines += ["### Some of the samples", "", "`sluice why UID` tells of one in the versions that there are.", ""]
        lines += table(("metric", "uid", "caption", "verdict"), rows)
    return "\n".join([*lines, *funnel(draft)])


def funnel(version: Version) -> list[str]:
    """How many samples are left after each step, of those that were read."""
    told = findings.funnel(version)
    rows = [
        ("read", told.read, 0, ""),
        ("usable", told.usable, told.quarantined, "quarantined"),
        ("after the filter", told.passed, told.filtered, "filtered"),
        ("kept", told.kept, told.duplicates, "near-duplicates"),
    ]
    whole = told.read or 1
    cells = [
        (name, f"{left:,}", f"`{bar(left / whole)}`", share(left / whole), f"−{out:,} {what}" if out else "")
        for name, left, out, what in rows
    ]
    return ["", "### Funnel", *table(("step", "samples #", "", "of what was read #", ""), cells)]


def gate(results: Sequence[Result]) -> list[str]:
    """What was expected and found; what failed stands first."""
    rows = [
        (plain(one.metric), _number(one.value), _range(one), "yes" if one.passed else "NO", plain(one.meaning))
        for one in sorted(results, key=lambda result: result.passed)
    ]
    return ["### Gate", *table(("metric", "found #", "expected", "passed", "what it is"), rows)]


def _number(value: float | None) -> str:
    return "not evaluated" if value is None else f"{value:g}"


def _range(result: Result) -> str:
    low, high = result.low, result.high
    if low == high and low is not None:
        return f"{low:g}"
    return f"{'' if low is None else f'{low:g}'} … {'' if high is None else f'{high:g}'}".strip()


def audit(version: Version) -> list[str]:
    """How often captions say the audited words, against the pool, with 95% intervals."""
    rows = findings.keyword_rows(version, WORDS)
    if not rows:
        return []
    names = [name for name in FIGURES if name != "change_weighted" or findings.is_weighted(version)]
    shown = names[-1]
    cells = [(plain(row["label"]), figures(row["n_pool"]), *(_change(row, name) for name in names)) for row in rows]
    heads = ("word", "in the pool #", *(f"{FIGURES[name]} #" for name in names))
    plot = [Row(row["label"], row[shown], row.get(f"{shown}_lower"), row.get(f"{shown}_upper")) for row in rows]
    title = "How each word's share of the captions has changed against the pool, with 95% intervals:"
    return ["### Audit", "", title, *forest(plot, f"change, {FIGURES[shown]}"), *table(heads, cells)]


def _change(row: Mapping[str, Any], name: str) -> str:
    low, high = row.get(f"{name}_lower"), row.get(f"{name}_upper")
    if row.get(name) is None:
        return UNKNOWN
    return signed(row[name]) + ("" if low is None or high is None else f" ({signed(low)} to {signed(high)})")


def lineage(version: Version) -> list[str]:
    """What the version was made from, by what, when."""
    facts = version.manifest
    rows = [
        ("made from", "the pool" if facts["parent"] is None else f"version {facts['parent']}"),
        ("published before", "none" if facts["previous"] is None else f"version {facts['previous']}"),
        ("digest", f"`{facts['digest']}`"),
        ("shards", f"{len(version.parts):,}"),
        ("code", f"`{facts['code']}`"),
        ("run", f"`{facts['run']}`"),
        ("made at", plain(facts["created_at"])),
    ]
    if "published" in version.artifacts:
        rows.append(("report", plain(version.artifact("published") / "report.html", 400)))
    return ["### Lineage", *table(("version", str(version.number)), rows)]


def ancestry(version: Version) -> list[str]:
    """The versions that it was made from, itself first."""
    rows, number = [], version.number
    while number is not None:
        facts = version.lake.manifest(number)
        rows.append((str(number), plain(facts["stage"]), f"`{facts['digest'][:16]}`", plain(facts["created_at"])))
        number = facts["parent"]
    return table(("version", "stage", "digest", "made at"), rows)
