"""Near-duplicates: the groups as strips of pictures, how similar pairs are, and which groups ask for a look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import streamlit as st

from infra.dashboard import chosen
from infra.dashboard.pages import duplicates_groups, duplicates_review, duplicates_similarity, figures
from tasks.lake import Lake, Version
from tasks.reporting.findings import facts

VIEWS: Final[dict[str, Callable[[Version], None]]] = {
    "Groups": duplicates_groups.show,
    "Similarity and thresholds": duplicates_similarity.show,
    "To review": duplicates_review.show,
}


def page(lake: Lake) -> None:
    """The chosen version's groups, one view at a time."""
    figures.prepare()
    st.title("Duplicates", anchor=False)
    version = chosen.version(lake)
    told = facts(version, "dedup")
    if not told or "groups" not in version.artifacts:
        st.write(f"In version {version.number} near-duplicates were not searched yet: the step `dedup` does that.")
        return
    figures.show("duplicates_facts.html", told=told, threshold=version.config["dedup"]["threshold"])
    if not told["groups"]:
        st.write("No image is a near-duplicate of another.")
        return
    view = st.pills("Show", list(VIEWS), default="Groups", required=True, key="duplicates_view")
    VIEWS[view](version)
