"""The team's dashboard: its pages, and the version they show. flows/serving/dashboard.py starts it by entry/."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import streamlit as st

from infra.dashboard import chosen, labelling, look
from infra.dashboard.pages import bias, compare, duplicates, filter, lineage, overview, samples
from tasks.errors import SluiceError, UsageError
from tasks.lake import Lake, find_pool
from tasks.storing.addresses import is_copy
from tasks.storing.copying import LISTED

SIDEBAR: Final = 230  # pixels; the page has the rest

Page = Callable[[Lake], None]


def main() -> None:
    """What Streamlit runs when somebody opens a page or asks something of it."""
    st.set_page_config(page_title="Sluice", layout="wide", initial_sidebar_state=SIDEBAR)
    sections = {
        section: [st.Page(run, title=name, url_path=name.lower()) for name, run in pages.items()]
        for section, pages in PAGES.items()
    }
    st.navigation(sections, expanded=True).run()


def _of_version(page: Page) -> Callable[[], None]:
    """A page that shows the version chosen in the sidebar."""

    def show(lake: Lake) -> None:
        look.prepare()
        chosen.choose(lake, page.__module__)
        page(lake)

    return _of_pool(show)


def _of_pool(page: Page) -> Callable[[], None]:
    """A page of the pool that the command line names; what goes wrong is told on it."""

    def run() -> None:
        try:
            page(_lake())
        except (SluiceError, OSError) as problem:
            st.error("This page cannot be shown:")
            st.text(str(problem))

    return run


def _lake() -> Lake:
    if len(sys.argv) < 2:
        raise UsageError("a lake was expected; start this page with `sluice dashboard`")
    root, pool = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None
    return _stored(str(root), pool) if is_copy(root) else find_pool(root, pool)


@st.cache_resource(ttl=LISTED, show_spinner=False)
def _stored(root: str, pool: str | None) -> Lake:
    """A pool in a store, brought up to date at most every LISTED seconds, whoever looks."""
    return find_pool(Path(root), pool)


PAGES: Final = {
    "Dataset": {
        "Overview": _of_version(overview.page),
        "Samples": _of_version(samples.page),
        "Compare": _of_version(compare.page),
        "Lineage": _of_version(lineage.page),
    },
    "Steps": {
        "Filter": _of_version(filter.page),
        "Bias": _of_version(bias.page),
        "Duplicates": _of_version(duplicates.page),
    },
    "Work": {"Label": _of_pool(labelling.page)},
}
