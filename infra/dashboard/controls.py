"""What the views of the labelling page share: answering, taking back, looking, and the category in words.

A button's key names its sample: a key that is pressed while the page still changes answers what the labeller saw, or
nothing, never a sample that they did not see. What a button calls is handed all it needs, and keeps the answer before
it touches `st.session_state`, where Streamlit may break it off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import streamlit as st

from infra.dashboard import show
from tasks.errors import SluiceError
from tasks.labelling.desk import Card, Desk
from tasks.labels.label_log import NEGATIVE, POSITIVE, UNSURE
from tasks.reporting.thumbnail_cache import ThumbnailCache

WORDS: Final = {POSITIVE: "Yes", NEGATIVE: "No", UNSURE: "Unsure"}
KEYS: Final = {POSITIVE: "Y", NEGATIVE: "N", UNSURE: "U"}

Undone = Callable[[Desk, tuple[str, ...]], None]


def guarded(act: Callable[..., None], *args: Any) -> None:
    """Do what a button asks; what goes wrong is told above the next picture, which is then the same as before."""
    problem = None
    try:
        act(*args)
    except SluiceError as found:
        problem = str(found)
    st.session_state.problem = problem


def told() -> None:
    """Say what went wrong with the last answer."""
    if st.session_state.get("problem"):
        st.error("That was not kept:")
        st.text(st.session_state.problem)


def large(card: Card, cache: ThumbnailCache) -> bool:
    """One picture; returns whether there is one."""
    thumbnail = cache.get([card.row])[card.row] if card.row is not None else None
    show.picture(card, thumbnail, "large", is_sharp(card.uid))
    return thumbnail is not None


def answers(desk: Desk, uid: str, shown: bool, act: Callable[[Desk, str, str], None]) -> None:
    """Yes, no, unsure; of a picture that nobody can see only unsure."""
    for label, word in WORDS.items():
        off = not shown and label != UNSURE
        key = f"{label}-{uid}"
        st.button(word, key=key, shortcut=KEYS[label], disabled=off, on_click=guarded, args=(act, desk, uid, label))


def look(place: str) -> None:
    """V shows what is at `place` (a uid, or a page of the grid) sharp, and blurs it again."""
    off = bool(st.session_state.get("all_sharp"))
    word = "Blur" if is_sharp(place) else "Show sharp"
    st.button(word, key=f"look-{place}", shortcut="V", disabled=off, on_click=_look, args=(place,))


def is_sharp(place: str) -> bool:
    """Whether the labeller asked to see what is there; moving on asks anew."""
    return bool(st.session_state.get("all_sharp")) or st.session_state.get("revealed") == place


def _look(place: str) -> None:
    st.session_state.revealed = None if st.session_state.get("revealed") == place else place


def undo(desk: Desk, then: Undone | None = None) -> None:
    """Z takes back this annotator's last answer."""
    st.button("Undo", key="undo", shortcut="Z", on_click=guarded, args=(_undo, desk, then))


def _undo(desk: Desk, then: Undone | None) -> None:
    uids = desk.undo()
    st.session_state.revealed = None
    if then is not None:
        then(desk, uids)


def specification(desk: Desk) -> None:
    """What counts, what does not, as the round was written with."""
    words = desk.queue.round.report.get("specification") or {}
    with st.container(border=True, key="specification"):
        with st.container(key="question"):
            st.text(f"Does it count as “{desk.queue.round.category}”?")
        for head, name in (("**What counts**", "counts"), ("**What does not**", "counts_not")):
            if words.get(name):
                st.markdown(head)
                st.text(words[name])
        if not any(words.get(name) for name in ("counts", "counts_not")):
            st.caption("No specification was written; `counts` and `counts_not` of the category belong here.")


def finished(desk: Desk) -> None:
    """All is answered."""
    st.subheader("All answered")
    st.write(
        f"Every sample of this queue has your answer. `sluice label next {desk.queue.round.category}` learns from them."
    )
    undo(desk)
