"""A page of the chosen version that is shown one view at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from infra.dashboard import chosen
from infra.dashboard.pages import figures
from tasks.lake import Lake, Version

View = Callable[[Version], None]


def page(title: str, head: Callable[[Version], bool], views: Mapping[str, View]) -> Callable[[Lake], None]:
    """The page's function. `head` shows what stands above the views; False: it said why there is nothing to view."""

    def show(lake: Lake) -> None:
        figures.prepare()
        st.title(title, anchor=False)
        version = chosen.version(lake)
        if head(version):
            first = next(iter(views))
            view = st.pills("Show", list(views), default=first, required=True, key=f"{title.lower()}_view")
            views[view](version)

    return show
