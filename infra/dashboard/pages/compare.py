"""Compare: two versions, which samples came in and which left, which settings changed, and which words moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import streamlit as st

from infra.dashboard import chosen, compare_words
from infra.dashboard.lake_sql import rows_at
from infra.dashboard.sample_pictures import BLURRED, pictures
from infra.dashboard.two_versions import ask_both
from tasks.lake import Lake, Version
from tasks.records import history
from tasks.reporting import wording
from tasks.samples import KEPT

SIZE: Final = 12  # samples of a move that a page shows
SIDES: Final = ("verdict", "stage", "reason")

Move = Mapping[str, Any]


def page(lake: Lake) -> None:
    """What lies between an earlier version and the chosen one."""
    after = chosen.version(lake)
    st.title("Compare", anchor=False)
    before = _before(lake, after)
    if before is None:
        st.text("One version is all there is; the next run makes another to compare with.")
        return
    moves = ask_both(before, after, "moves").to_pylist()
    st.text(f"From version {before.number} ({before.stage}) to version {after.number} ({after.stage}).")
    _totals(moves)
    samples, words, settings = st.tabs(["Samples", "Words", "Settings and parts"])
    with samples:
        _moves(before, after, [move for move in moves if _moved(move)])
    with words:
        compare_words.show(before, after)
    with settings:
        _settings(before, after)


def _before(lake: Lake, after: Version) -> Version | None:
    """The other version: by default the one published before, else the one that this one was made from."""
    usual = after.manifest["previous"] or after.manifest["parent"]
    known = [option for option in chosen.options(lake) if chosen.number_of(lake, option) != after.number]
    if not known:
        return None
    place = known.index(str(usual)) if str(usual) in known else 0
    return chosen.resolve(lake, st.selectbox("Against", known, place, key="before", bind="query-params", width=240))


def _moved(move: Move) -> bool:
    return any(move[f"{side}_before"] != move[f"{side}_after"] for side in SIDES)


def _totals(moves: Sequence[Move]) -> None:
    entered = [m for m in moves if m["verdict_after"] == KEPT and m["verdict_before"] != KEPT]
    left = [m for m in moves if m["verdict_before"] == KEPT and m["verdict_after"] != KEPT]
    figures = {
        "came in (kept now)": _sum(entered),
        "left (kept before)": _sum(left),
        "other moves": _sum([m for m in moves if _moved(m)]) - _sum(entered) - _sum(left),
        "unchanged": _sum([m for m in moves if not _moved(m)]),
        "other weight": sum(m["weights_changed"] for m in moves if m["verdict_before"] == m["verdict_after"] == KEPT),
    }
    for column, (name, count) in zip(st.columns(len(figures)), figures.items(), strict=True):
        column.metric(name, f"{count:,}")


def _sum(moves: Sequence[Move]) -> int:
    return sum(move["samples"] for move in moves)


def _moves(before: Version, after: Version, moves: Sequence[Move]) -> None:
    """The moves, the largest first, and the samples of the one that is clicked."""
    if not moves:
        st.text("Every sample has the verdict and the reason that it had.")
        return
    rows = [{"samples": m["samples"], "before": told(m, "before"), "after": told(m, "after")} for m in moves]
    key = f"moves-{before.number}-{after.number}"
    height = min(36 * len(rows) + 38, 330)
    state = st.dataframe(
        rows, hide_index=True, placeholder="", height=height, on_select="rerun", selection_mode="single-row", key=key
    )
    clicked = state["selection"]["rows"]
    at = clicked[0] if clicked and clicked[0] < len(moves) else 0
    st.text(f"{wording.plural(moves[at]['samples'], 'sample')}: {rows[at]['before']} → {rows[at]['after']}")
    _movers(before, after, moves[at], f"{key}-{at}")


def told(move: Move, side: str) -> str:
    """A verdict with its stage and reason."""
    verdict, stage, reason = (move[f"{name}_{side}"] for name in SIDES)
    if verdict is None:
        return "not there"
    why = ": ".join(word for word in (stage, reason) if word)
    return f"{verdict} ({why})" if why else str(verdict)


def _movers(before: Version, after: Version, move: Move, key: str) -> None:
    """One page of the samples that made this move."""
    pages = -(-move["samples"] // SIZE)
    number = st.session_state.get(key, 1)
    asked = {f"{name}_{side}": move[f"{name}_{side}"] for name in SIDES for side in ("before", "after")}
    found = ask_both(before, after, "movers", **asked, size=SIZE, start=(number - 1) * SIZE)
    there = move["verdict_after"] is not None
    version, rows = (after, found["row_after"]) if there else (before, found["row_before"])
    sharp = st.toggle("Show pictures sharp", key="sharp")
    _pictured(version, rows.to_pylist(), found, sharp=sharp)
    if pages > 1:
        st.pagination(pages, key=key)


def _pictured(version: Version, rows: list[int], found: pa.Table, *, sharp: bool) -> None:
    facts = rows_at(version, rows)
    shown = {
        "picture": pa.array(pictures(version, rows, sharp=sharp), pa.string()),
        "caption": pa.array([wording.short(text, 300) for text in facts["caption"].to_pylist()], pa.string()),
        "weight before": found["weight_before"],
        "weight after": found["weight_after"],
        **{name: facts[name] for name in ("duplicate_of", "shard", "key", "uid")},
    }
    picture = st.column_config.ImageColumn(width=80, help=None if sharp else BLURRED)
    config = {"picture": picture, "caption": st.column_config.TextColumn(width=420)}
    st.dataframe(pa.table(shown), hide_index=True, placeholder="", row_height=56, column_config=config)


def _settings(before: Version, after: Version) -> None:
    changed = history.changed_settings(before.config, after.config)
    rows = [{name: "not set" if row[name] is None else str(row[name]) for name in row} for row in changed]
    st.dataframe(rows, hide_index=True, placeholder="") if rows else st.text("The same settings.")
    parts = history.changed_parts(before, after)
    shown = [{"part": path, "": what} for what, paths in parts.items() for path in paths]
    st.dataframe(shown, hide_index=True, placeholder="") if shown else st.text("The same parts.")
    if before.manifest["code"] != after.manifest["code"]:
        st.text(f"Code: {before.manifest['code']} → {after.manifest['code']}")
