"""Why one sample is in a version, or why it is out: what `sluice why` says, with its picture and its group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import streamlit as st

from infra.dashboard.lake_sql import AN_HOUR, ask, state
from infra.dashboard.sample_pictures import NONE, pictures
from infra.dashboard.show import CAPTION, shortened
from tasks.errors import UsageError
from tasks.lake import Version
from tasks.records import history
from tasks.records.places import Place

MEMBERS: Final = 12  # pictures of a near-duplicate group


def show(version: Version) -> None:
    """The field that asks for one sample, and what is known of it."""
    st.subheader("Why one is in, or out", anchor=False)
    asked = st.text_input("Uid or key", key="why", bind="query-params", placeholder="or click a row above").strip()
    if not asked:
        return
    try:
        found = _why(state(version), asked, version)
    except UsageError as problem:
        st.text(str(problem))
        return
    left, right = st.columns([2, 5], gap="large")
    with left:
        _picture(version, found)
    with right:
        _verdict(found)
        _scores(found)
        _group(version, found)
        _history(found)


@st.cache_resource(max_entries=200, ttl=AN_HOUR, show_spinner=False)
def _why(state: tuple[str, ...], asked: str, _version: Version) -> dict[str, Any]:
    rows = ask(_version, "dashboard/rows_of", uids=[asked.lower()])["row"].to_pylist()
    return history.why(_version, asked, place_of(_version, rows[0]) if rows else None)


def _picture(version: Version, found: Mapping[str, Any]) -> None:
    (uri,) = pictures(version, [_row(version, found)], sharp=bool(st.session_state.get("sharp")))
    if uri is None:
        st.text(NONE)
    else:
        st.image(uri, width=300)
    with st.container(key="caption-why"):
        st.text(shortened(found["caption"] or "(no caption)", CAPTION))
    where = found["place"]
    facts = [
        f"{found['width']} × {found['height']} pixels",
        f"key {shortened(found['key'], 200)}",
        f"shard {shortened(where['shard'], 300)}",
        f"member {shortened(where['member'] or '–', 300)}",
        f"uid {found['uid']}",
        f"sha256 {found['sha256']}",
    ]
    st.code("\n".join(" ".join(fact.split()) for fact in facts), language=None, wrap_lines=True)


def place_of(version: Version, row: int) -> Place:
    """The part of a row of the version, and the row in it."""
    for part in version.parts:
        if row < part.rows:
            return Place(part, row)
        row -= part.rows
    raise LookupError(f"version {version.number} has {version.rows} rows")


def _row(version: Version, found: Mapping[str, Any]) -> int:
    """The sample's row in the version."""
    start = 0
    for part in version.parts:
        if part.part == found["place"]["part"]:
            return start + int(found["place"]["row"])
        start += part.rows
    raise LookupError(found["place"]["part"])


def _verdict(found: Mapping[str, Any]) -> None:
    st.text(f"Version {found['version']}: {found['sentence']}.")
    if found["override"]:
        said = found["override"]
        st.text(f"By hand: {said['action']}, says {said['author']}: {said['reason']}")
    if found["duplicate"]:
        other = found["duplicate"]
        told = shortened(other["caption"] or "(no caption)", 300)
        st.text(f"{other['of']} stands for it, at a cosine of {other['similarity']:.4f}: {told}")
    st.text(f"Weight: {found['weight_meaning']}.")


def _scores(found: Mapping[str, Any]) -> None:
    rows = [
        {
            "category": row["category"],
            "score": row["score"],
            "threshold": row["threshold"],
            "label": row["label"]["label"] if row["label"] else "",
        }
        for row in found["scores"]
    ]
    if rows:
        st.dataframe(rows, hide_index=True, placeholder="–")


def _group(version: Version, found: Mapping[str, Any]) -> None:
    """The sample's near-duplicates, as a strip of pictures."""
    if not found["group"]:
        return
    members = found["group"]["members"][:MEMBERS]
    st.text(f"A group of {found['group']['size']:,} near-duplicates:")
    rows = ask(version, "dashboard/rows_of", uids=[member["uid"] for member in members])
    place = dict(zip(rows["uid"].to_pylist(), rows["row"].to_pylist(), strict=True))
    known = [member for member in members if member["uid"] in place]
    uris = pictures(version, [place[m["uid"]] for m in known], sharp=bool(st.session_state.get("sharp")))
    names = ("caption", "verdict", "similarity", "uid")
    shown = [{"picture": uri} | {name: m[name] for name in names} for m, uri in zip(known, uris, strict=True)]
    st.dataframe(
        shown,
        hide_index=True,
        placeholder="–",
        row_height=54,
        column_config={"picture": st.column_config.ImageColumn(width=70)},
    )


def _history(found: Mapping[str, Any]) -> None:
    st.text("In the versions that led here, and those published before:")
    names = {"version": "version", "made_by": "made by", "verdict": "verdict", "stage": "stage", "reason": "reason"}
    rows = [{name: step[key] for key, name in names.items()} | {"weight": step["weight"]} for step in found["history"]]
    st.dataframe(list(reversed(rows)), hide_index=True, placeholder="–")
