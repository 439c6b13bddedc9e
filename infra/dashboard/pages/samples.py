"""Samples: every sample of the version, found by anything that is known of it; one of them told whole."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import pyarrow as pa
import streamlit as st

from infra.dashboard import chosen, sample_why
from infra.dashboard.lake_sql import ask, rows_at
from infra.dashboard.sample_filters import Asked, filters
from infra.dashboard.sample_pictures import BLURRED, pictures
from tasks.lake import Lake, Version
from tasks.reporting import wording

SIZE: Final = 20  # samples of a page
HEIGHT: Final = 510  # pixels of the table
CAPTION: Final = 400  # characters of a caption in the table


def page(lake: Lake) -> None:
    """Filters, a page of what they find, and the one that was clicked."""
    version = chosen.version(lake)
    st.title("Samples", anchor=False)
    asked = filters(version)
    number = st.session_state.get(_key(asked), 1)
    place = {"size": SIZE, "start": (number - 1) * SIZE}
    (found,) = ask(version, "dashboard/found", category=asked.category, **asked.parameters, **place).to_pylist()
    _told(found, version.rows)
    if found["samples"]:
        rows = found["rows"]
        _table(version, asked, rows)
        st.pagination(-(-found["samples"] // SIZE), key=_key(asked))
    sample_why.show(version)


def _key(asked: Asked) -> str:
    """Other filters begin at their first page."""
    return f"page-{asked.digest}"


def _told(found: dict[str, Any], every: int) -> None:
    verdicts = ", ".join(f"{one['samples']:,} {one['verdict']}" for one in found["verdicts"] or [])
    st.text(wording.sentence(f"{wording.of(found['samples'], every)} samples") + (f": {verdicts}" if verdicts else ""))


def _table(version: Version, asked: Asked, rows: list[int]) -> None:
    """The page's samples; the one that is clicked is told whole. A table's cells are text, never markup."""
    sharp = st.toggle("Show pictures sharp", key="sharp")
    table = rows_at(version, rows, asked.category)
    thumbnails = pictures(version, rows, sharp=sharp)
    captions = [wording.short(caption, CAPTION) for caption in table["caption"].to_pylist()]
    names = ["verdict", "stage", "reason", *(["score"] if asked.category else []), "weight"]
    names += ["duplicate_similarity", "width", "height", "shard", "key", "uid"]
    shown = table.select(names).add_column(0, "caption", pa.array(captions, pa.string()))
    shown = shown.add_column(0, "picture", pa.array(thumbnails, pa.string()))
    config = {
        "picture": st.column_config.ImageColumn(width=90, help=None if sharp else BLURRED),
        "caption": st.column_config.TextColumn(width=360),
        "score": st.column_config.NumberColumn(f"score, {asked.category}", format="%.4f"),
        "duplicate_similarity": st.column_config.NumberColumn("similarity", format="%.4f"),
        "weight": st.column_config.NumberColumn(format="%.4g"),
    }
    key = f"rows-{version.number}-{asked.digest}-{rows[0]}"
    click = partial(_clicked, key, table["uid"].to_pylist())
    st.dataframe(
        shown, height=HEIGHT, hide_index=True, placeholder="", row_height=64, column_config=config, on_select=click,
        selection_mode="single-row", key=key,
    )  # fmt: skip


def _clicked(key: str, uids: list[str]) -> None:
    rows = st.session_state[key]["selection"]["rows"]
    if rows:
        st.session_state.why = uids[rows[0]]
