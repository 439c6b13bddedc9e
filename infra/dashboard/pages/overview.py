"""Overview: the chosen version's funnel and gates, the funnel over versions, and what the newest runs came to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from infra.dashboard import chosen, look, version_log
from infra.dashboard.lake_sql import ask
from infra.dashboard.version_plot import over_versions
from tasks.lake import Lake, Version
from tasks.reporting import findings, plots, wording
from tasks.samples import DUPLICATE, FILTERED, KEPT, QUARANTINED
from tasks.storing import copying
from tasks.storing.addresses import is_copy, shown

NAMES = {KEPT: "kept", FILTERED: "filtered", DUPLICATE: "near-duplicates", QUARANTINED: "quarantined"}
REPORT = "report.html"


def page(lake: Lake) -> None:
    """The first page that is looked at in the morning."""
    version, log = chosen.version(lake), version_log.entries(lake)
    st.title("Overview", anchor=False)
    _counts(version.manifest["counts"])
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.subheader("Samples after each step", anchor=False)
        look.draw(plots.funnel(steps(version.manifest["counts"])), letters=20)
        st.subheader("Why samples are out", anchor=False)
        _reasons(version)
    with right:
        st.subheader("Gates", anchor=False)
        _gates(version)
        _report(version)
    st.subheader("Over versions", anchor=False)
    look.draw(*over_versions(log, version.number))
    _versions(log)
    st.subheader("Runs", anchor=False)
    _runs(lake)


def _counts(counts: Mapping[str, int]) -> None:
    read = sum(counts.values())
    columns = st.columns(len(NAMES) + 1)
    columns[0].metric("samples read", f"{read:,}")
    for column, (verdict, name) in zip(columns[1:], NAMES.items(), strict=True):
        with column.container(key=f"metric-{verdict}"):
            st.metric(f"{name} · {wording.share(counts[verdict] / read if read else None)}", f"{counts[verdict]:,}")


def steps(counts: Mapping[str, int]) -> list[plots.Step]:
    """The funnel's bars: what each step left and took out."""
    usable = sum(counts.values()) - counts[QUARANTINED]
    passed = usable - counts[FILTERED]
    return [
        plots.Step("read", sum(counts.values()), 0, ""),
        plots.Step("usable", usable, counts[QUARANTINED], QUARANTINED),
        plots.Step("after the filter", passed, counts[FILTERED], FILTERED),
        plots.Step("kept", counts[KEPT], counts[DUPLICATE], DUPLICATE),
    ]


def _reasons(version: Version) -> None:
    table = ask(version, "dashboard/reasons")
    out = table.filter(pc.not_equal(table["verdict"], KEPT))
    if not out.num_rows:
        st.text("No sample is out.")
        return
    share = [samples / version.rows for samples in out["samples"].to_pylist()]
    shown = out.append_column("share", pa.array(share))
    st.dataframe(shown, hide_index=True, column_config={"share": st.column_config.NumberColumn(format="percent")})


def _gates(version: Version) -> None:
    rows = [
        {
            "": "✓" if result["passed"] else "✗",
            "stage": stage,
            "figure": result["metric"],
            "found": wording.figures(result["value"]),
            "allowed": wording.allowed(result),
            "meaning": result["meaning"],
        }
        for stage, results in findings.gates(version)
        for result in results
    ]
    if not rows:
        st.text("No gate judged this version.")
        return
    passed = sum(row[""] == "✓" for row in rows)
    st.text(wording.sentence(f"{wording.of(passed, len(rows))} expectations were met."))
    st.dataframe(rows, hide_index=True, height=330, column_config={"": st.column_config.TextColumn(width=30)})


def _report(version: Version) -> None:
    """The version's report, to take along, and where it lies."""
    key = version.artifacts.get("published")
    folder = version.lake.artifact_place("published", key) if key is not None else None
    if folder is None or not copying.there(folder):
        st.caption("The report is written by a run's last step, publish.")
        return

    def report() -> bytes:
        return version.artifact_file("published", REPORT).read_bytes()

    name = f"{version.lake.pool}-{version.number}-report.html"
    st.download_button("Report", report, name, "text/html", on_click="ignore", icon=":material/download:")
    path, root = folder / REPORT, version.lake.root
    st.code(shown(path) if is_copy(path) else str(root.name / path.relative_to(root)), language=None, wrap_lines=True)


def _versions(log: list[version_log.Entry]) -> None:
    rows = [
        {
            "version": entry.number,
            "made by": entry.stage,
            "ended a run": entry.complete,
            "from": entry.parent,
            **{name: entry.counts[verdict] for verdict, name in NAMES.items()},
            "made at, UTC": entry.created_at[:16].replace("T", " "),
            "digest": entry.digest[:16],
            "": "retired" if entry.retired else "",
        }
        for entry in reversed(log)
    ]
    st.dataframe(rows, hide_index=True, height=min(36 * len(rows) + 38, 330))


def _runs(lake: Lake) -> None:
    """Why a run stopped, where it did."""
    found, damaged = version_log.newest_runs(lake)
    if not found:
        st.text("No run was recorded.")
    else:
        st.dataframe([_run(record) for record in found], hide_index=True)
    for problem in damaged:
        st.error("A run record cannot be read:")
        st.text(problem)


def _run(record: Mapping[str, Any]) -> dict[str, Any]:
    failed = "; ".join(f"{gate['metric']} is {wording.figures(gate['value'])}" for gate in record["gate"])
    took = ", ".join(f"{one['stage']} {one['seconds']:,.0f} s" for one in record.get("stages") or [])
    return {
        "began at, UTC": record["started_at"][:19].replace("T", " "),
        "last heard of": (record["ended_at"] or record["heard"])[:19].replace("T", " "),
        "status": record["status"],
        "in": record["stage"] or "",
        "versions": ", ".join(map(str, record["versions"])),
        "why it stopped": " ".join((record["error"] or "").split()),
        "gate": failed,
        "took": took,
        "run": record["id"],
    }
