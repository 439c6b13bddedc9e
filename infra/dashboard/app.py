"""The team's dashboard, one page for now: `streamlit run app.py LAKE [POOL]`, as flows/dashboard.py starts it."""

from __future__ import annotations

from typing import Final

import streamlit as st

from infra.dashboard import labelling

SIDEBAR: Final = 230  # pixels; the picture has the rest

st.set_page_config(page_title="Sluice", layout="wide", initial_sidebar_state=SIDEBAR)
labelling.page()
