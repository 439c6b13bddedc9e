"""The labelling page: one sample at a time, a grid, or what annotators disagree on; blurred until asked.

An answer is on the disk before the next sample is shown. All that is remembered here can be lost: the log has it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import streamlit as st

from infra.dashboard import controls, grid, show, single
from tasks.errors import SluiceError, UsageError
from tasks.labelling.desk import LONGEST_NAME, Desk, Queue, annotator_name, blocked_uids, newest_rounds, open_queue
from tasks.lake import Lake
from tasks.reporting.thumbnail_cache import ThumbnailCache
from tasks.storing.addresses import is_copy

QUEUELESS: Final = "No category of this pool has a queue; `sluice label next CATEGORY` writes one. Then reload."
STORED: Final = (
    "This lake is in an object store, where nothing is labelled. Label in a copy of it in a folder, and give what "
    "`sluice label export` writes as the category's labels."
)
SINGLE: Final = "One at a time"
VIEWS: Final = {SINGLE: single.queue, "Grid": grid.grid, "Disagreements": single.disagreements}


def page(lake: Lake) -> None:
    """What Streamlit runs when somebody opens the page, gives a name, or looks at something else."""
    show.prepare()
    try:
        _page(lake)
    except SluiceError as problem:
        _stopped(problem)


def _page(lake: Lake) -> None:
    names = list(newest_rounds(lake))  # of a to z, 0 to 9, _ and -: no Markdown
    if not names:
        st.subheader("Nothing to label yet")
        st.write(STORED if is_copy(lake.root) else QUEUELESS)
        return
    annotator = _annotator()
    if annotator is None:
        return
    with st.sidebar:
        st.text(f"{annotator}, labelling {lake.pool}")
        # Pills and buttons, no radio or switch: these would keep the keyboard once they were clicked.
        category = st.pills("Category", names, default=names[0], required=True, key="category")
        view = st.pills("View", list(VIEWS), default=SINGLE, required=True, key="view")
        word = "Blur pictures again" if st.session_state.get("all_sharp") else "Show all pictures sharp"
        st.button(word, key="all", on_click=_show_all)
    _work(lake, annotator, category, view)


@st.fragment
def _work(lake: Lake, annotator: str, category: str, view: str) -> None:
    """What Streamlit runs after every answer.

    A fragment, because a page that is asked for again while it is made forgets what was pressed; a fragment comes to
    its end, and what was pressed meanwhile is heard then.
    """
    try:
        queue = _queue(str(lake.root), lake.pool, category, newest_rounds(lake)[category])
        newest = lake.numbers()[-1]  # may block what older versions did not
        desk = _desk(queue, annotator, newest)
        _progress(desk)
        controls.told()
        VIEWS[view](desk, _thumbnails(str(lake.root), lake.pool, queue.round.version, newest))
        _facts(desk)
    except SluiceError as problem:
        _stopped(problem)


def _stopped(problem: SluiceError) -> None:
    st.error("Labelling cannot go on:")
    st.text(str(problem))


def _annotator() -> str | None:
    """This session's annotator, whom the address remembers for a reload; asks where there is none."""
    given = st.session_state.get("annotator") or st.query_params.get("annotator")
    if given:
        try:
            st.session_state.annotator = annotator_name(given)
            return str(st.session_state.annotator)
        except UsageError as problem:
            st.session_state.problem = str(problem)
    st.subheader("Who is labelling?")
    st.write("Answers are kept under this name. Everyone answers the whole queue on their own.")
    with st.form("start", width=420):
        st.text_input("Your name", key="name", max_chars=LONGEST_NAME)
        st.form_submit_button("Start", on_click=controls.guarded, args=(_start,))
    controls.told()
    return None


def _start() -> None:
    st.session_state.annotator = st.query_params["annotator"] = annotator_name(st.session_state.name)


@st.cache_resource(max_entries=4, show_spinner="Opening the queue …")
def _queue(root: str, pool: str, category: str, number: int) -> Queue:
    """The newest round's queue; `number` is its number, so that a newer round is opened anew."""
    return open_queue(Lake(Path(root), pool), category)


@st.cache_resource(max_entries=4, show_spinner=False)
def _thumbnails(root: str, pool: str, version: int, newest: int) -> ThumbnailCache:
    """Of one version; made anew with every `newest` version of the pool."""
    return ThumbnailCache(Lake(Path(root), pool).version(version))


def _desk(queue: Queue, annotator: str, newest: int) -> Desk:
    """The session's desk, with what others wrote meanwhile; another one for another queue, name or newest version."""
    wanted = (queue.round.category, queue.round.number, annotator, newest)
    if st.session_state.get("desk_of") != wanted:
        st.session_state.desk = Desk(queue, annotator, blocked_uids(queue.version))
        st.session_state.desk_of = wanted
        st.session_state.page = st.session_state.revealed = None
    desk: Desk = st.session_state.desk
    desk.refresh()
    return desk


def _progress(desk: Desk) -> None:
    progress = desk.progress
    share = progress.answered / progress.total if progress.total else 1.0
    told = [
        f"{progress.answered:,} of {progress.total:,} answered by you",
        f"{progress.covered:,} by anyone",
        f"disagreements: {len(desk.disputes()):,}",
    ]
    st.progress(share, " · ".join(told))


def _facts(desk: Desk) -> None:
    """What is out of the ordinary, below all else."""
    withheld, damaged = desk.progress.withheld, len(desk.tail.damaged)
    if withheld:
        st.caption(f"{withheld:,} withheld: they match the blocklist and are never displayed.")
    if damaged:
        st.caption(f"{damaged:,} damaged lines in the log; see `sluice label status {desk.queue.round.category}`.")


def _show_all() -> None:
    st.session_state.all_sharp = not st.session_state.get("all_sharp")
