"""The version that the pages show: chosen in the sidebar, carried by the address, `latest` unless chosen."""

from __future__ import annotations

from typing import Final

import streamlit as st

from tasks import references
from tasks.errors import UsageError
from tasks.lake import Lake, Version
from tasks.references import LATEST

SHOWN: Final = "shown"  # the page and the choice of the last answer
KEY: Final = "version"  # of the widget, and in the address: ?version=12
POOL: Final = "pool"  # in the address of a run's link, which another pool's dashboard must not answer


def version(lake: Lake) -> Version:
    """The version that was chosen. UsageError where the pool has none yet, or none of that number or tag."""
    return resolve(lake, st.session_state.get(KEY) or LATEST)


def resolve(lake: Lake, reference: str) -> Version:
    """The version of a number or a tag; for `latest` the one that ended a run, or else the newest at all."""
    numbers = lake.numbers()
    if not numbers:
        raise UsageError(f"pool {lake.pool!r} has no version yet; `sluice curate` makes one, then reload")
    if reference == LATEST:
        return lake.latest() or lake.version(numbers[-1])
    return lake.version(reference)


def number_of(lake: Lake, reference: str) -> int | None:
    """The number that a choice stands for; no manifest is read for a number."""
    return int(reference) if reference.isdigit() else resolve(lake, reference).number


def options(lake: Lake) -> list[str]:
    """What can be chosen: `latest`, the tags, and the numbers, newest first."""
    tags = sorted(set(references.current(lake.home)) - {LATEST})
    return [LATEST, *tags, *map(str, reversed(lake.numbers()))]


def choose(lake: Lake, page: str) -> None:
    """The choice in the sidebar, the same on the next page. An address with a version that is not there shows `latest`.

    UsageError where the address names another pool than the one that is shown.
    """
    asked = st.query_params.get(POOL, lake.pool)
    if asked != lake.pool:
        raise UsageError(
            f"the address asks for the pool {asked!r}, and this dashboard shows {lake.pool!r}; start one with `sluice "
            f"dashboard --pool {asked}`, or leave `pool` out of the address"
        )
    known, (before, choice) = options(lake), st.session_state.get(SHOWN, (page, LATEST))
    if before != page and KEY not in st.query_params and choice in known:
        if choice != LATEST:
            st.query_params[KEY] = choice
        st.session_state[KEY] = choice  # Streamlit keeps what was chosen by hand, and forgets what a link named
    with st.sidebar:
        st.text(lake.pool)
        st.selectbox("Version", known, key=KEY, bind="query-params", persist_state="session")
        st.session_state[SHOWN] = page, st.session_state.get(KEY) or LATEST
        found = version(lake)
        facts = found.manifest
        ended, made = "" if facts["complete"] else ", a step of a run", facts["created_at"][:16].replace("T", " ")
        st.caption(f"Version {found.number}, made by {found.stage}{ended}, {made} UTC")
