"""What curation did to whom and what the captions name: changes, associations, and what the weights give back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import streamlit as st

from infra.dashboard.lake_sql import state
from infra.dashboard.pages import bias_associations, bias_changes, bias_weights, viewed
from tasks.lake import Version
from tasks.reporting import bias_report

Account = Mapping[str, Any]


def _audited(version: Version) -> bool:
    found = "audit" in version.artifacts and "decision" in version.columns
    if not found:
        st.write(f"Version {version.number} was not audited: an audit follows each step that changes the dataset.")
    return found


def _told(view: Callable[[Version, Account], None]) -> viewed.View:
    return lambda version: view(version, account(state(version), version))


@st.cache_resource(max_entries=20, show_spinner=False)
def account(state: tuple[str, ...], _version: Version) -> Account:
    """What the report tells of bias: figures, plots and words."""
    return bias_report.context(_version)


VIEWS: Final = {
    "In short": _told(bias_changes.in_short),
    "Words and phrases": _told(bias_changes.words),
    "Groups": _told(bias_changes.groups),
    "Associations": _told(bias_associations.show),
    "Weights": _told(bias_weights.show),
}

page: Final = viewed.page("Bias", _audited, VIEWS)
