"""Lineage: how the versions came from each other, and what the chosen one is made of."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import streamlit as st

from infra.dashboard import chosen, look, version_log
from infra.dashboard.version_graph import graph
from tasks.forgetting import annotated
from tasks.lake import Lake, Version
from tasks.records import history
from tasks.reporting import wording
from tasks.storing import copying
from tasks.storing.addresses import is_copy
from tasks.storing.objects import AT_ONCE


def page(lake: Lake) -> None:
    """The graph of versions; a click on one shows it below."""
    version = chosen.version(lake)
    st.title("Lineage", anchor=False)
    look.draw(*graph(version_log.entries(lake), version.number or 0))
    st.caption(
        "A row a run, the newest first; a line leads from what a version was made from, a dashed one from what was "
        "published before. A thick frame: it ended a run."
    )
    st.subheader(f"Version {version.number}", anchor=False)
    tabs = st.tabs(["Facts", "Configuration", "Gate", "Files", "Parts"])
    views = (_facts, _configuration, _gate, _files, _parts)
    for tab, view in zip(tabs, views, strict=True):
        with tab:
            view(version)


def _facts(version: Version) -> None:
    facts = version.manifest
    names = {
        "made by": "stage", "made at": "created_at", "digest": "digest", "made from version": "parent",
        "published before": "previous", "run": "run", "code": "code", "lake format": "format",
    }  # fmt: skip
    rows = {name: facts[key] for name, key in names.items()}
    rows["encoder"] = version.summary.get("embed", {}).get("model")
    rows |= {f"samples {verdict}": f"{count:,}" for verdict, count in facts["counts"].items()}
    rows["inputs"] = facts.get("inputs")
    rows |= _happened(version)
    _two_columns("fact", rows)


def _happened(version: Version) -> dict[str, Any]:
    """What became of it after it was committed."""
    retired = version.manifest.get("retired")
    rows = {"retired": f"at {retired['at']} by {retired['by']}"} if retired else {}
    for one in annotated.read(version.lake, version.number):
        told = f"{wording.plural(one['samples'], 'sample')}, {wording.plural(len(one['files']), 'file')} changed"
        rows[f"deletion request {one['request'][:8]}"] = f"{told}, at {one['time']}"
    return rows


def _configuration(version: Version) -> None:
    _two_columns("setting", history.dotted(version.config))


def _two_columns(head: str, rows: Mapping[str, Any]) -> None:
    told = [{head: name, "value": "–" if value is None else str(value)} for name, value in rows.items()]
    if told:
        st.dataframe(told, hide_index=True, height="content")
    else:
        st.text("None.")


def _gate(version: Version) -> None:
    rows = [
        {
            "figure": result["metric"],
            "passed": result["passed"],
            "found": wording.figures(result["value"]),
            "allowed": wording.allowed(result),
            "meaning": result["meaning"],
        }
        for result in version.manifest["gate"] or []
    ]
    st.dataframe(rows, hide_index=True, height="content") if rows else st.text("No gate judged this step.")


def _files(version: Version) -> None:
    """Column groups and artifacts by key, and what they take on the disk or in the store."""
    lake, rows = version.lake, []
    groups, kinds = sorted(version.columns.items()), sorted(version.artifacts.items())
    folders = [lake.place(group, key, "").parent for group, key in groups]
    folders += [lake.artifact_place(kind, key) for kind, key in kinds]
    with ThreadPoolExecutor(AT_ONCE) as threads:  # a store is asked about all of them together
        sizes = list(threads.map(_sizes, folders))
    for (group, key), found in zip(groups, sizes, strict=False):
        names = [lake.place(group, key, part.part).name for part in version.parts]
        rows.append(("column group", group, key, [found.get(name) for name in names]))
    for (kind, key), found in zip(kinds, sizes[len(groups) :], strict=True):
        rows.append(("artifact", kind, key, list(found.values())))
    shown = [
        {
            "": what, "name": name, "key": key, "files": len(sizes), "missing": sizes.count(None),
            "MB": sum(size for size in sizes if size is not None) / 1e6,
        }
        for what, name, key, sizes in rows
    ]  # fmt: skip
    st.dataframe(shown, hide_index=True, column_config={"MB": st.column_config.NumberColumn(format="%.2f")})


def _sizes(folder: Path) -> Mapping[str, int | None]:
    """Bytes of the files in a folder, by name."""
    if is_copy(folder):
        return copying.listing(folder)
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def _parts(version: Version) -> None:
    rows = [
        {
            "shard": part.path,
            "samples": part.rows,
            "failed downloads": part.failed_rows,
            "broken": part.broken or "",
            "part": part.part,
            "sha256": part.digest,
        }
        for part in version.parts
    ]
    st.dataframe(rows, hide_index=True)
