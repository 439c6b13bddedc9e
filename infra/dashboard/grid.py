"""Nine samples at once: a digit marks one, N says no to the rest, P goes on. Every mark is kept as it is made."""

from __future__ import annotations

from typing import Final

import streamlit as st

from infra.dashboard import controls, show
from tasks.labelling.desk import Card, Desk
from tasks.labels.label_log import NEGATIVE, POSITIVE, UNSURE
from tasks.reporting.thumbnail_cache import Thumbnail, ThumbnailCache

SIZE: Final = 9  # as many as there are digits
ACROSS: Final = 3
# What a digit makes of a mark.
AFTER: Final = {None: POSITIVE, POSITIVE: UNSURE, UNSURE: NEGATIVE, NEGATIVE: POSITIVE}


def grid(desk: Desk, cache: ThumbnailCache) -> None:
    """A page of the annotator's queue, with what was answered of it."""
    at = st.session_state.get("page")
    if at is None:
        at = st.session_state.page = _open_page(desk, 0)
    if at is None:
        controls.finished(desk)
        return
    pages = desk.pages(SIZE)
    cards = desk.queue.cards(pages[at])
    found = cache.get([card.row for card in cards if card.row is not None])
    left, right = st.columns([7, 3], gap="medium")
    with left:
        for start in range(0, len(cards), ACROSS):
            for place, column in enumerate(st.columns(ACROSS), start):
                if place < len(cards):
                    with column:
                        _cell(desk, at, place, cards[place], _thumbnail(found, cards[place]))
    with right:
        _buttons(desk, at, [card.uid for card in cards if _thumbnail(found, card) is not None])
        controls.specification(desk)
    coming = [uid for page in pages[at + 1 : at + 4] for uid in page]
    cache.prefetch([card.row for card in desk.queue.cards(coming) if card.row is not None])


def _thumbnail(found: dict[int, Thumbnail | None], card: Card) -> Thumbnail | None:
    return found[card.row] if card.row is not None else None


def _cell(desk: Desk, at: int, place: int, card: Card, thumbnail: Thumbnail | None) -> None:
    said = desk.said(card.uid)
    with st.container(key=f"cell-{said}-{card.uid}", gap="small"):
        show.picture(card, thumbnail, "small", controls.is_sharp(f"page {at}"))
        show.line(card)
        st.button(
            "—" if said is None else controls.WORDS[said],
            key=f"mark-{card.uid}",
            shortcut=str(place + 1),
            width="stretch",
            on_click=controls.guarded,
            args=(_mark, desk, card.uid, thumbnail is not None),
        )


def _buttons(desk: Desk, at: int, shown: list[str]) -> None:
    open_ones = [uid for uid in shown if desk.said(uid) is None]
    st.text("A digit marks a picture: yes, again unsure, again no.")
    with st.container(horizontal=True):
        off = not open_ones
        args = (_rest, desk, open_ones)
        st.button("The rest: no", key=f"rest-{at}", shortcut="N", disabled=off, on_click=controls.guarded, args=args)
        st.button("Next page", key=f"next-{at}", shortcut="P", on_click=_turn, args=(desk, at))
        controls.look(f"page {at}")
        controls.undo(desk, _back_to)


def _mark(desk: Desk, uid: str, shown: bool) -> None:
    desk.answer({uid: AFTER[desk.said(uid)] if shown else UNSURE})


def _rest(desk: Desk, uids: list[str]) -> None:
    desk.answer({uid: NEGATIVE for uid in uids if desk.said(uid) is None})


def _turn(desk: Desk, at: int) -> None:
    st.session_state.page = _open_page(desk, at + 1)


def _back_to(desk: Desk, uids: tuple[str, ...]) -> None:
    """After undo, the page of what was taken back."""
    places = [place for place, uid in enumerate(desk.order) if uid in uids]
    if places:
        st.session_state.page = places[0] // SIZE


def _open_page(desk: Desk, start: int) -> int | None:
    """The first page from `start` on, and round again, where an answer is missing."""
    pages = desk.pages(SIZE)
    turned = [(start + turn) % len(pages) for turn in range(len(pages))]
    return next((at for at in turned if any(desk.said(uid) is None for uid in pages[at])), None)
