"""Near-duplicates: the groups as strips of pictures, how similar pairs are, and which groups ask for a look."""

from __future__ import annotations

from typing import Final

import streamlit as st

from infra.dashboard.pages import duplicates_groups, duplicates_review, duplicates_similarity, figures, viewed
from tasks.lake import Version
from tasks.reporting.findings import facts

VIEWS: Final = {
    "Groups": duplicates_groups.show,
    "Similarity and thresholds": duplicates_similarity.show,
    "To review": duplicates_review.show,
}


def _head(version: Version) -> bool:
    """What the search found, in figures; whether there are groups to view."""
    told = facts(version, "dedup")
    if not told or "groups" not in version.artifacts:
        st.write(f"In version {version.number} near-duplicates were not searched yet: the step `dedup` does that.")
        return False
    figures.show("duplicates_facts.html", told=told, threshold=version.config["dedup"]["threshold"])
    if not told["groups"]:
        st.write("No image is a near-duplicate of another.")
    return bool(told["groups"])


page: Final = viewed.page("Duplicates", _head, VIEWS)
