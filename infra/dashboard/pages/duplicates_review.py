"""Groups that a person should look at: the filter or the captions say that their members are not the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import streamlit as st

from infra.dashboard.lake_sql import ask
from infra.dashboard.pages.duplicates_groups import review_path, strips
from infra.dashboard.pages.paging import turned
from tasks.lake import Version
from tasks.reporting.wording import plural, short

ROWS: Final = 100  # of a page
CAPTION: Final = 160  # characters of a caption
REASONS: Final = {
    "any": "",
    "judged differently": "verdicts",
    "captions differ": "captions",
    "words exchanged": "words",
}
WIDTHS: Final = {
    "words shared": st.column_config.NumberColumn(width=100, format="percent"),
    "exchanged": st.column_config.TextColumn(width=240),
    "caption of what stays": st.column_config.TextColumn(width=240),
    "caption least like it": st.column_config.TextColumn(width=240),
}


def show(version: Version) -> None:
    """The list that publishing writes, searched and sorted."""
    path = review_path(version)
    if path is None:
        st.write(f"The list is written when a run publishes; version {version.number} ({version.stage}) has none.")
        return
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    reason = left.selectbox("Why", list(REASONS), key="duplicates_reason")
    search = right.text_input("Search", max_chars=100, placeholder="in captions and words", key="duplicates_search")
    asked: dict[str, Any] = {"review": path, "reason": REASONS[reason], "search": search or "", "rows": ROWS}
    rows = ask(version, "dashboard/duplicates_review", skip=0, **asked).to_pylist()
    if not rows:
        st.write("No group fits." if search or reason != "any" else "No group needs a second look.")
        return
    matching = rows[0]["matching"]
    skip = turned(matching, ROWS, f"duplicates_review_{reason}_{search}")
    if skip:
        rows = ask(version, "dashboard/duplicates_review", skip=skip, **asked).to_pylist()
    clicked = _clicked(rows, f"duplicates_list_{reason}_{search}_{skip}")
    st.caption(
        f"{plural(matching, 'group')}, those that disagree most first. Captions differ where less than a fifth of "
        "their words are shared. Click a row to see its pictures."
    )
    if clicked is not None:
        strips(version, [clicked], st.toggle("Show pictures sharp", key="duplicates_sharp"))


def _clicked(rows: Sequence[dict[str, Any]], key: str) -> dict[str, Any] | None:
    """Shows the list; returns the group that the reader clicked on."""
    state = st.dataframe(
        _table(rows),
        hide_index=True,
        column_config=WIDTHS,
        placeholder="–",
        on_select="rerun",
        selection_mode="single-row",
        key=key,
    )
    places: list[int] = state["selection"]["rows"]
    return rows[places[0]] if places and places[0] < len(rows) else None


def _table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """What differs, as text."""
    return pa.table(
        {
            "group": [row["group"] for row in rows],
            "why": [row["reasons"] for row in rows],
            "images": [row["size"] for row in rows],
            "kept": [row["kept"] for row in rows],
            "filtered": [row["filtered"] for row in rows],
            "disagreeing": [row["disagreeing"] for row in rows],
            "words shared": pa.array([row["jaccard"] for row in rows], pa.float64()),
            "exchanged": [short(row["words"], CAPTION) for row in rows],
            "caption of what stays": [short(row["stays_caption"], CAPTION) for row in rows],
            "caption least like it": [short(row["unlike_caption"], CAPTION) for row in rows],
        }
    )
