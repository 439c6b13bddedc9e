"""What curation did to whom and what the captions name: changes, associations, and what the weights give back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import streamlit as st

from infra.dashboard import chosen
from infra.dashboard.lake_sql import state
from infra.dashboard.pages import bias_associations, bias_changes, bias_weights, figures
from tasks.lake import Lake, Version
from tasks.reporting import bias_report

Account = Mapping[str, Any]

VIEWS: Final[dict[str, Callable[[Version, Account], None]]] = {
    "In short": bias_changes.in_short,
    "Words and phrases": bias_changes.words,
    "Groups": bias_changes.groups,
    "Associations": bias_associations.show,
    "Weights": bias_weights.show,
}


def page(lake: Lake) -> None:
    """The chosen version's audit, one view at a time."""
    figures.prepare()
    st.title("Bias", anchor=False)
    version = chosen.version(lake)
    if "audit" not in version.artifacts or "decision" not in version.columns:
        st.write(f"Version {version.number} was not audited: an audit follows each step that changes the dataset.")
        return
    view = st.pills("Show", list(VIEWS), default="In short", required=True, key="bias_view")
    VIEWS[view](version, account(state(version), version))


@st.cache_resource(max_entries=20, show_spinner=False)
def account(state: tuple[str, ...], _version: Version) -> Account:
    """What the report tells of bias: figures, plots and words."""
    return bias_report.context(_version)
