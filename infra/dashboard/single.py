"""Two views of one sample at a time: the queue, and what annotators disagree on."""

from __future__ import annotations

from typing import Final

import streamlit as st

from infra.dashboard import controls, show
from tasks.labelling.desk import Desk
from tasks.reporting.thumbnail_cache import ThumbnailCache

AHEAD: Final = 24  # samples whose thumbnails are made before they are asked for


def queue(desk: Desk, cache: ThumbnailCache) -> None:
    """The next sample without an answer."""
    cards = desk.pending(AHEAD)
    if not cards:
        controls.finished(desk)
        return
    left, right = st.columns([5, 3], gap="medium")
    with left:
        shown = controls.large(cards[0], cache)
        with st.container(horizontal=True):
            controls.answers(desk, cards[0].uid, shown, _answer)
            controls.look(cards[0].uid)
            controls.undo(desk)
    with right:
        show.caption(cards[0])
        controls.specification(desk)
    cache.prefetch([card.row for card in cards if card.row is not None])


def _answer(desk: Desk, uid: str, label: str) -> None:
    if desk.said(uid) is None:  # else the key was pressed again before the next sample was there
        desk.answer({uid: label})


def disagreements(desk: Desk, cache: ThumbnailCache) -> None:
    """What one annotator called positive and another negative, with their names, to be settled."""
    disputes = desk.disputes()
    if not disputes:
        st.subheader("No disagreements")
        st.write("Nobody said yes where another said no, or it was settled.")
        controls.undo(desk)
        return
    at = st.session_state.get("at", 0) % len(disputes)
    card, said = disputes[at]
    left, right = st.columns([5, 3], gap="medium")
    with left:
        shown = controls.large(card, cache)
        with st.container(horizontal=True):
            controls.answers(desk, card.uid, shown, _adjudicate)
            controls.look(card.uid)
            st.button("Pass", key="pass", shortcut="P", on_click=_go_to, args=(at + 1,))
            controls.undo(desk)
    with right:
        st.markdown(f"**Who said what** ({at + 1:,} of {len(disputes):,})")
        for entry in said:
            st.text(f"{controls.WORDS[entry.label]}: {entry.annotator}, {entry.time[:16].replace('T', ' ')}")
        show.caption(card)
        controls.specification(desk)


def _adjudicate(desk: Desk, uid: str, label: str) -> None:
    if any(dispute.card.uid == uid for dispute in desk.disputes()):
        desk.adjudicate(uid, label)


def _go_to(at: int) -> None:
    st.session_state.at = at
