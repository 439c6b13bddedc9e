"""One screen on a version for the terminal: funnel, audited words, a near-duplicate group, gates, what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Group as Lines
from rich.table import Table
from rich.text import Text

from tasks.certifying.certificate import percent_down, percent_up
from tasks.lake import Version
from tasks.reporting import findings
from tasks.reporting.findings import Funnel, facts
from tasks.reporting.wording import count, plural, share, short, signed

WIDTH: Final = 100  # columns
BAR: Final = 44
WORDS: Final = 10
CAPTIONS: Final = 6
COLOURS: Final = {"quarantined": "bright_black", "filtered": "red", "duplicate": "magenta", "kept": "green"}


def screen(version: Version) -> Lines:
    """At most 45 lines of 100 columns."""
    funnel = findings.funnel(version)
    name = f"version {version.number}" if version.number is not None else "a draft"
    title = Text.assemble((f"{version.lake.pool} · {name}", "bold"), f"   {version.manifest.get('digest', '')[:16]}")
    blocks = [title, Text(), _funnel(funnel), *_apart(funnel), *_filter(version), *_words(version)]
    return Lines(*blocks, *_duplicates(version), *_gates(version), *_next(version))


def _heading(text: str) -> list[Text]:
    return [Text(), Text(text, style="bold")]


def _funnel(funnel: Funnel) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    rows = [
        ("read", funnel.read, 0, "kept"),
        ("usable", funnel.usable, funnel.quarantined, "quarantined"),
        ("after the filter", funnel.passed, funnel.filtered, "filtered"),
        ("kept", funnel.kept, funnel.duplicates, "duplicate"),
    ]
    for label, remains, removed, kind in rows:
        long = round(BAR * remains / (funnel.read or 1))
        lost = round(BAR * (remains + removed) / (funnel.read or 1)) - long
        bar = Text.assemble(("█" * long, COLOURS["kept"]), ("▒" * lost, COLOURS[kind]))
        what = {"quarantined": "quarantined", "filtered": "filtered", "duplicate": "near-duplicates"}.get(kind, "")
        table.add_row(label, Text(f"{remains:,}", justify="right"), bar, f"−{removed:,} {what}" if removed else "")
    return table


def _apart(funnel: Funnel) -> list[Text]:
    """What is told beside the funnel: reasons for quarantine, and what never became a sample."""
    reasons = ", ".join(f"{reason} {number:,}" for reason, number in list(funnel.reasons.items())[:4])
    lines = [Text(short(f"quarantined: {reasons}", WIDTH), style="dim")] if reasons else []
    if funnel.failed_rows or funnel.broken:
        apart = f"{plural(funnel.failed_rows, 'failed download')} and {plural(len(funnel.broken), 'broken shard')}"
        lines.append(Text(f"counted apart: {apart}", style="dim"))
    return lines


def _filter(version: Version) -> list[Text]:
    lines = []
    for told in findings.category_facts(version)[:3]:
        recall = f"recall by estimate {share(told.recall)} (at least {share(told.lower)})"
        line = f"{short(told.name, 20)}: {count(told.removed)} removed{_benign(told)}, {recall}"
        lines += [Text(short(line, WIDTH)), Text(short(f"  {_certified(told)}", WIDTH), style="dim")]
    lines += [Text(f"{count(number)} {what}") for what, number in findings.beside(version)]
    return [*_heading("Filter"), *lines] if lines else []


def _benign(told: findings.Category) -> str:
    found = told.benign
    if found["estimate"] is None:
        return ""
    if found["upper"] == 0:
        return ", all of them labelled"
    if found["lower"] is None:
        return f", {share(found['estimate'])} of them benign by the scores"
    return f", {share(found['estimate'])} of them benign ({share(found['lower'])} to {share(found['upper'])})"


def _certified(told: findings.Category) -> str:
    """The certificate in a line; its sentence where nothing was shown."""
    found = told.certificate
    if found.get("elusion_upper") is None:
        return str(found["sentence"])
    recall = "unknown" if found["recall_lower"] is None else f"at least {percent_down(found['recall_lower'])}"
    left = f"at most {percent_up(found['elusion_upper'])} of what is kept is positive"
    return f"{found['verdict']}: recall {recall} ({share(found['target'])} wanted), {left}"


def _words(version: Version) -> list[Any]:
    rows = findings.keyword_rows(version, WORDS)
    if not rows:
        return []
    weighted = findings.is_weighted(version)
    told = facts(version, "reweight")
    lost = {row["term"] for row in told.get("not_restored", [])}
    declared = {row["group"]: row["wanted"] for row in told.get("targets", []) if row["target"] == "margin"}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("word")
    for head in ("in the pool", "by the filter", "kept *", *(["kept, weighted *"] if weighted else [])):
        table.add_column(head, justify="right")
    table.add_column("")
    names = ["change_filter", "change", *(["change_weighted"] if weighted else [])]
    for row in rows:
        cells = [_coloured(row, name) for name in names]
        missing = Text("not restored" if row["term"] in lost else "", style="red")
        if row["term"] in declared:
            missing = Text(f"{share(declared[row['term']])} declared")
        table.add_row(short(row["label"], 26), count(row["n_pool"]), *cells, missing)
    note = Text("* against the pool with each group of near-duplicates counted once", style="dim")
    return [*_heading("How often captions say"), table, note]


def _coloured(row: Mapping[str, Any], name: str) -> Text:
    value = row.get(name)
    return Text(signed(value), style="" if value is None else "green" if abs(value) <= 0.02 else "yellow")


def _duplicates(version: Version) -> list[Text]:
    told = facts(version, "dedup")
    if not told:
        return []
    feature = tuple(dict(version.config.get("publish", {})).get("feature", ()))[:1]
    line = f"{count(told.get('removed'))} removed in {count(told.get('groups'))} groups"
    recall = told.get("recall") or {}
    if recall:
        line += (
            f", {share(recall['estimate'])} of the pairs found ({share(recall['lower'])} to {share(recall['upper'])})"
        )
    lines = [*_heading("Near-duplicates"), Text(line)]
    for group in findings.groups(version, 1, feature, CAPTIONS)[:1]:
        verdicts = [member.verdict for member in group.members]
        what = f"{group.matching} say “{group.keyword}”" if group.keyword else "the largest group"
        stays = next((m.caption for m, verdict in zip(group.members, verdicts, strict=True) if verdict == "kept"), None)
        kept = f", “{short(stays, 30)}” stays" if stays else ""
        lines.append(Text(short(f"a group of {group.size:,} ({what}){kept}:", WIDTH)))
        lines.append(Text(short("  " + " · ".join(short(m.caption, 24) for m in group.members), WIDTH), style="dim"))
    return lines


def _gates(version: Version) -> list[Text]:
    passed = findings.gates(version)
    if not passed:
        return []
    line = Text()
    for stage, results in passed:
        good = all(result["passed"] for result in results)
        line.append("✓ " if good else "✗ ", "green" if good else "red").append(f"{stage} {len(results)}   ")
    return [*_heading("Gates passed, with their expectations"), line]


def _next(version: Version) -> list[Any]:
    lines: list[Any] = []
    if "published" in version.artifacts:
        folder = version.artifact("published")
        beside = sorted(path.name for path in folder.iterdir() if path.name != "report.html")
        lines += [*_heading("Files"), Text(f"{_near(folder / 'report.html')}", style="cyan", overflow="fold")]
        lines.append(Text(f"  to open in a browser; beside it: {', '.join(beside)}", style="dim"))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    uid = _an_example(version)
    if uid:
        table.add_row(f"sluice why {uid}", Text("why this image is out, or in", style="dim"))
    table.add_row("sluice versions · sluice diff A B", Text("what there is, what changed", style="dim"))
    for told in findings.category_facts(version)[:1]:
        line = f"sluice label next {told.name} --config FILE"
        table.add_row(line, Text("teach the filter, then `sluice dashboard`", style="dim"))
    table.add_row("sluice export latest --format webdataset --out DIR", Text("tars of what was kept", style="dim"))
    return [*lines, *_heading("Next"), table]


def _near(path: Path) -> str:
    """The path as one would type it from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _an_example(version: Version) -> str | None:
    """The uid of a removed sample, else of any."""
    if not version.rows:
        return None
    verdicts = version.table("decision", ["verdict"])["verdict"].to_pylist()
    row = next((verdicts.index(name) for name in ("duplicate", "filtered") if name in verdicts), 0)
    uid: str = version.table("samples", ["uid"])["uid"][row].as_py()
    return uid
