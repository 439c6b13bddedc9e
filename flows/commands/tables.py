"""How the commands show a version, a difference, one sample, an audit: text for a terminal."""

from __future__ import annotations

from itertools import chain, islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.markup import escape
from rich.table import Table

from tasks.forgetting import annotated
from tasks.gates import Result
from tasks.lake import Version
from tasks.reporting.wording import plural
from tasks.words.phrases import longest_phrases


def show_text(version: Version) -> str:
    """A version: what it is made of, what its gate found, what configured it."""
    facts = version.manifest
    lines = [
        f"version {facts['version']} of {version.lake.pool}, made by {facts['stage']} at {facts['created_at']}",
        *([f"  retired   at {facts['retired']['at']}: its files were given up"] if "retired" in facts else []),
        f"  digest    {facts['digest']}",
        f"  made from {facts['parent'] or 'the pool'}; published before it: {facts['previous'] or 'none'}",
        f"  run       {facts['run']}",
        f"  code      {facts['code']}",
        f"  encoder   {_encoder(version)}",
        "  samples   " + ", ".join(f"{count:,} {verdict}" for verdict, count in facts["counts"].items()),
        *_reasons(version),
        *_forgotten(version),
        f"  parts     {len(version.parts)}",
        *[f"            {_short(part.path, 200)}  {part.rows:,} samples{_broken(part)}" for part in version.parts[:20]],
        "  columns   " + ", ".join(f"{group}-{key}" for group, key in sorted(version.columns.items())),
        "  artifacts " + ", ".join(f"{kind}-{key}" for kind, key in sorted(version.artifacts.items())),
        "  gate",
        *[f"    {'passed' if r['passed'] else 'FAILED'}  {Result(**r).sentence()}" for r in facts["gate"]],
        "  configuration",
        *[f"    {line}" for line in _settings(version.config)],
    ]
    return "\n".join(lines)


def _encoder(version: Version) -> str:
    facts = version.summary.get("embed", {})
    note = f" ({facts['note']})" if facts.get("note") else ""
    return f"{facts.get('model', 'none')}{note}"


def _reasons(version: Version) -> list[str]:
    facts = version.summary.get("ingest", {})
    lines = [f"            quarantined, {reason}: {count:,}" for reason, count in facts.get("quarantined", {}).items()]
    if facts.get("failed_rows"):
        lines.append(f"            not samples: {facts['failed_rows']:,} downloads that img2dataset recorded as failed")
    return lines


def _forgotten(version: Version) -> list[str]:
    """What deletion requests took from it after it was committed."""
    return [
        f"  forgotten {plural(one['samples'], 'sample')} at {one['time']}, request {one['request']}: "
        f"{plural(len(one['files']), 'file')} changed"
        for one in annotated.read(version.lake, version.number)
    ]


def _broken(part: Any) -> str:
    return f"; {_short(part.broken, 200)}" if part.broken else ""


def _settings(config: Any, path: str = "") -> list[str]:
    """Dotted keys with their values."""
    lines: list[str] = []
    for name, value in config.items():
        if isinstance(value, dict):
            lines += _settings(value, f"{path}{name}.")
        else:
            lines.append(f"{path}{name} = {value!r}")
    return lines


def diff_text(found: dict[str, Any]) -> str:
    """Two versions: who moved, with examples; which settings and parts changed."""
    before, after, samples = found["before"], found["after"], found["samples"]
    lines = [f"version {before['number']} ({before['stage']}) → version {after['number']} ({after['stage']})"]
    lines.append("  " + ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in samples.items()))
    for move in found["moves"]:
        was, now = (_verdict(move[side], move[f"reason_{side}"]) for side in ("before", "after"))
        lines.append(f"  {move['samples']:,} samples: {was} → {now}")
        lines += [f"      {example['uid']}  {_short(example['caption'])}" for example in move["examples"]]
    lines += [f"  {row['key']}: {row['before']!r} → {row['after']!r}" for row in found["config"]]
    lines += [f"  part {what}: {_short(path, 200)}" for what, paths in found["parts"].items() for path in paths]
    return "\n".join(lines)


def _verdict(verdict: str | None, reason: str | None) -> str:
    return "not there" if verdict is None else verdict + (f" ({reason})" if reason else "")


def _short(caption: str | None, width: int = 70) -> str:
    """A caption on one line, without what a terminal would act on."""
    text = "".join(c if c.isprintable() else " " for c in caption or "")
    return text if len(text) <= width else text[: width - 1] + "…"


def _largest(found: pa.Table, rows: int, counted: str) -> list[dict[str, Any]]:
    """The rows that changed most, largest first, of a phrase and its parts the longest; chosen keywords before them."""
    size = pc.fill_null(pc.abs(pc.cast(found["change"], pa.float64())), 0.0)
    keys = [name for name in ("keyword", "significant") if name in found.column_names]
    order = pc.sort_indices(found.append_column("size", size), [(name, "descending") for name in (*keys, "size")])
    largest = found.take(order)
    if "n_words" not in found.column_names:
        return list(largest.slice(0, rows).to_pylist())
    asked = largest.filter(largest["keyword"])
    others = (row for row in longest_phrases(largest, counted) if not row["keyword"])
    return list(islice(chain(asked.to_pylist(), others), rows))


def comparison_table(found: pa.Table, rows: int) -> Table:
    """Two versions' terms or groups."""
    name = found.column_names[0]
    heads = (name, "before", "left", "came in", "now", "change", "95%", "weighted", "")
    table = Table(*heads, box=None, pad_edge=False)
    for row in _largest(found, rows, "n_reference"):
        counts = [f"{row[column]:,}" for column in ("n_reference", "n_left", "n_entered", "n_subject")]
        interval = f"{_percent(row['change_lower'])} … {_percent(row['change_upper'])}"
        changed = [_percent(row["change"]), interval, _percent(row["change_weighted"])]
        table.add_row(escape(row[name]), *counts, *changed, "significant" if row["significant"] else "")
    return table


def audit_table(words: pa.Table, rows: int) -> Table:
    """A version's terms or groups against the pool's."""
    name = words.column_names[0]
    heads = (name, "in pool", "kept", "by filter", "95%", "by dedup", "in all", "weighted", "")
    table = Table(*heads, box=None, pad_edge=False)
    for row in _largest(words, rows, "n_pool"):
        interval = f"{_percent(row['change_filter_lower'])} … {_percent(row['change_filter_upper'])}"
        changes = [_percent(row[name]) for name in ("change_dedup", "change", "change_weighted")]
        marks = "significant" if row["significant"] else ""
        counts = [f"{row['n_pool']:,}", f"{row['n_kept']:,}"]
        table.add_row(escape(row[name]), *counts, _percent(row["change_filter"]), interval, *changes, marks)
    return table


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:+.1f}%"


def _became(step: dict[str, Any]) -> str:
    return "retired: not known any more" if step["retired"] else step["verdict"] or "not there"


def why_text(found: dict[str, Any]) -> str:
    """One sample: its verdict in words first, then what led to it, then where it has been."""
    place = found["place"]
    lines = [
        f"{found['uid']}: {found['verdict']} in version {found['version']}",
        f"  {found['sentence']}",
        f"  caption   {_short(found['caption'], 200)}",
        f"  place     {_short(place['shard'])}, key {_short(found['key'])}, part {place['part']}, row {place['row']}",
        f"  image     {found['width']} × {found['height']} pixels, sha256 {found['sha256']}",
    ]
    for row in found["scores"]:
        limit = "" if row["threshold"] is None else f", threshold {row['threshold']:.4g}"
        score = "none" if row["score"] is None else f"{row['score']:.4g}"
        label = f"; labelled {row['label']['label']} by a person" if row["label"] else ""
        lines.append(f"  score     {row['category']}: {score}{limit}{label}")
    if found["override"]:
        said = found["override"]
        lines.append(f"  by hand   {said['action']}, says {_short(said['author'])}: {_short(said['reason'], 200)}")
    if found["duplicate"]:
        other = found["duplicate"]
        lines.append(f"  stands for it: {other['of']}, cosine {other['similarity']:.4f}: {_short(other['caption'])}")
    if found["group"]:
        lines.append(f"  group     {found['group']['size']} near-duplicates")
        lines += [
            f"            {m['uid']}  {m['verdict']:10} {_short(m['caption'])}" for m in found["group"]["members"]
        ]
    if found["weight"] is not None:
        lines.append(f"  weight    {found['weight']:.4g}: {found['weight_meaning']}")
    lines.append("  versions")
    lines += [f"    {row['version']:>6}  {row['made_by']:9} {_became(row)}" for row in found["history"]]
    return "\n".join(lines)
