"""Groups of near-duplicates as strips of pictures, blurred until asked; the largest first, or those that disagree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import streamlit as st
from numpy.typing import NDArray

from infra.dashboard.lake_sql import AN_HOUR, ask, state
from infra.dashboard.pages import figures
from infra.dashboard.pages.paging import turned
from tasks.files import read_table
from tasks.lake import Version
from tasks.reporting.pictures import thumbnails
from tasks.reporting.review import NAME
from tasks.reporting.thumbnail_cache import Thumbnail, blurred
from tasks.samples import DUPLICATE, FILTERED, KEPT

GROUPS, MEMBERS = 8, 12  # on a page, and of one group
WHOLE: Final = 48  # members on a page of one group
ASKED: Final = 200  # members of a group among which the first to show are chosen
PIXELS: Final = 112  # of a picture's longer side
ALL, MIXED = "all, the largest first", "judged differently by the filter"
DISAGREEING: Final = {"captions say something else": "captions", "captions exchange words": "words"}
ORDER: Final = {KEPT: 0, FILTERED: 1, DUPLICATE: 2}  # of a strip
NOTHING: Final = {"filtered": 0, "disagreeing": 0, "words": ""}  # of a group that does not tell it

Row = dict[str, Any]


class Members(NamedTuple):
    """All groups' members, each group in one piece, the preferred first."""

    uid: pa.Array  # (n,)
    start: NDArray[np.int64]  # (groups + 1,)

    def of(self, group: int, skip: int, most: int) -> list[str]:
        first = int(self.start[group]) + skip
        uids: list[str] = self.uid.slice(first, min(most, int(self.start[group + 1]) - first)).to_pylist()
        return uids


def show(version: Version) -> None:
    """One page of groups, or one group whole."""
    left, middle, right = st.columns([3, 2, 2], vertical_alignment="bottom")
    path = review_path(version)
    kinds = [ALL, MIXED, *(DISAGREEING if path is not None else ())]
    which = left.selectbox("Groups", kinds, key="duplicates_which")
    last = len(members(state(version), version).start) - 2
    one = middle.number_input(
        "One group whole", 0, last, value=None, placeholder="its number", key="duplicates_one", help="0 is the largest"
    )
    sharp = right.toggle("Show pictures sharp", key="duplicates_sharp")
    if one is not None:
        _whole(version, int(one), sharp)
        return
    rows = _listed(version, which, path)
    if not rows:
        st.write("No group is of that kind.")
        return
    strips(version, rows, sharp)


def review_path(version: Version) -> Path | None:
    """The list of groups to look at, which publishing writes; None in a version before that."""
    if "published" not in version.artifacts:
        return None
    path = version.artifact_file("published", f"{NAME}.parquet")
    return path if path.exists() else None


def _listed(version: Version, which: str, path: Path | None) -> list[Row]:
    """The groups on the page that is turned to."""

    def some(skip: int) -> list[Row]:
        if which in DISAGREEING and path is not None:
            asked: dict[str, Any] = {"review": path, "reason": DISAGREEING[which], "search": ""}
            return ask(version, "dashboard/duplicates_review", rows=GROUPS, skip=skip, **asked).to_pylist()
        groups = version.artifact_file("groups", "groups.parquet")
        found = ask(version, "dashboard/duplicates_groups", groups=groups, mixed=which == MIXED, rows=GROUPS, skip=skip)
        return found.to_pylist()

    first = some(0)
    skip = turned(first[0]["matching"] if first else 0, GROUPS, f"duplicates_page_{which}")
    return some(skip) if skip else first


def strips(version: Version, rows: Sequence[Row], sharp: bool) -> None:
    """A strip a group: what stays, what was filtered, then the others."""
    known = members(state(version), version)
    uids = {row["group"]: known.of(row["group"], 0, ASKED) for row in rows}
    told = _told(version, [uid for some in uids.values() for uid in some])
    chosen = {
        group: sorted((told[uid] for uid in some if uid in told), key=lambda one: ORDER[one["verdict"]])[:MEMBERS]
        for group, some in uids.items()
    }
    pictures = _pictures(version, [one for some in chosen.values() for one in some])
    shown = [{**NOTHING, **row, "members": _cells(chosen[row["group"]], pictures, sharp)} for row in rows]
    figures.show("duplicates_strips.html", groups=shown, sharp=sharp)


def _whole(version: Version, group: int, sharp: bool) -> None:
    known = members(state(version), version)
    size = int(known.start[group + 1] - known.start[group])
    skip = turned(size, WHOLE, f"duplicates_whole_{group}")
    uids = known.of(group, skip, WHOLE)
    told = _told(version, uids)
    here = [told[uid] for uid in uids if uid in told]
    cells = _cells(here, _pictures(version, here), sharp)
    shown = {**NOTHING, "group": group, "size": size, "members": cells}
    figures.show("duplicates_strips.html", groups=[shown], sharp=sharp)


def members(of: tuple[str, ...], version: Version) -> Members:
    """The members of the version's groups."""
    return _members(of, version.artifacts["groups"], version)


@st.cache_resource(max_entries=8, ttl=AN_HOUR, show_spinner=False)
def _members(of: tuple[str, ...], key: str, _version: Version) -> Members:
    table = read_table(_version.artifact_file("groups", "groups.parquet"), ["group", "uid"]).combine_chunks()
    group = np.asarray(table["group"])
    numbers = np.arange(int(group.max(initial=-1)) + 2)
    return Members(table["uid"].combine_chunks(), np.searchsorted(group, numbers).astype(np.int64))


def _told(version: Version, uids: Sequence[str]) -> dict[str, Row]:
    """uid → row, caption, verdict, similarity to the one that stays."""
    found = ask(version, "dashboard/duplicates_rows", uids=",".join(sorted(set(uids))))
    return {row["uid"]: row for row in found.to_pylist()}


def _pictures(version: Version, rows: Sequence[Row]) -> dict[int, Thumbnail | None]:
    """Made anew with every new version of the pool, which may block what older ones did not."""
    newest = version.lake.numbers()[-1]
    return _made(state(version), newest, tuple(sorted(row["row"] for row in rows)), version)


@st.cache_resource(max_entries=60, ttl=AN_HOUR, show_spinner=False)
def _made(of: tuple[str, ...], newest: int, rows: tuple[int, ...], _version: Version) -> dict[int, Thumbnail | None]:
    made = thumbnails(_version, rows, PIXELS)
    return {row: Thumbnail(uri, blurred(uri)) if uri is not None else None for row, uri in made.items()}


def _cells(rows: Sequence[Row], pictures: dict[int, Thumbnail | None], sharp: bool) -> list[dict[str, Any]]:
    """What the template shows of each; a blurred picture's sharp form does not leave the server."""
    cells = []
    for row in rows:
        picture, similar = pictures[row["row"]], row["duplicate_similarity"]
        note = "stays" if row["verdict"] == KEPT else row["verdict"]
        if row["verdict"] == DUPLICATE and similar is not None:
            note = f"{similar:.4f}"
        data = None if picture is None else picture.sharp if sharp else picture.blurred
        cells.append({"data": data, "note": note, **row, "caption": row["caption"] or ""})
    return cells
