"""Who is described, or flagged, as what: the matrix of the strongest associations, and all of them to search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import streamlit as st

from infra.dashboard.lake_sql import ask
from infra.dashboard.pages import figures
from tasks.lake import Version
from tasks.reporting.bias_pairs import odds_of
from tasks.reporting.wording import count, odds, plural, share

ROWS: Final = 200  # of the table

Row = Mapping[str, Any]


def show(version: Version, account: Mapping[str, Any]) -> None:
    """The matrix as the report has it; below it every pair of a group and an attribute."""
    figures.show("bias_associations.html", bias=account, titles={"described": "Who is described as what"})
    if account["matrix"] is None:
        return
    st.subheader("All associations", anchor=False)
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    search = left.text_input("Search", max_chars=100, placeholder="a group or an attribute", key="bias_pair")
    significant = right.toggle("significant only, in the pool or after", key="bias_pair_significant")
    asked = {"search": search or "", "significant": significant, "after": account["told"].after, "rows": ROWS}
    path = version.artifact_file("audit", "associations.parquet")
    rows = ask(version, "dashboard/bias_associations", associations=path, **asked).to_pylist()
    if not rows:
        st.write("No pair fits.")
        return
    st.dataframe(table(rows), hide_index=True, key="bias_pairs")
    first = f"The first {len(rows):,} of {count(rows[0]['matching'])} pairs" if rows[0]["matching"] > ROWS else None
    st.caption(
        f"{first or plural(len(rows), 'pair')}, the strongest in the pool first. Odds inside the group over the odds "
        "outside it, with 95% intervals, each for itself."
    )


def table(rows: Sequence[Row]) -> pa.Table:
    """`before` and `last` of each pair, as text."""
    return pa.table(
        {
            "group": [row["before"]["group"] for row in rows],
            "attribute": [row["before"]["attribute"] for row in rows],
            "by": [row["before"]["kind"] for row in rows],
            "samples": [row["before"]["samples"] for row in rows],
            "inside": [share(row["before"]["share_inside"]) for row in rows],
            "outside": [share(row["before"]["share_outside"]) for row in rows],
            "odds in the pool": [_odds(row["before"]) for row in rows],
            "odds after": [_odds(row["last"]) for row in rows],
            "significant": [_significant(row) for row in rows],
            "support": [support(row) for row in rows],
        }
    )


def _odds(row: Row) -> str:
    """A factor with its interval; – where nothing can be compared."""
    found = odds_of(row)
    if found.lower is None and found.upper is None:
        return odds(found.value)
    return f"{odds(found.value)} ({odds(found.lower)} … {odds(found.upper)})"


def _significant(row: Row) -> str:
    ends = [name for name, end in (("pool", "before"), ("after", "last")) if row[end]["significant"]]
    return " and ".join(ends)


def support(row: Row) -> str:
    """Why a pair says nothing; empty where it was tested at both ends."""
    if row["before"]["by_construction"]:
        return "by construction: they share a term"
    if row["before"]["p_value"] is None:
        return "no support: too few near-duplicate groups"
    return "no support after: too little is left" if row["last"]["p_value"] is None else ""
