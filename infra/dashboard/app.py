"""The team's dashboard, one page for now: `streamlit run app.py LAKE [POOL]`, as flows/dashboard.py starts it."""

from __future__ import annotations

import streamlit as st

from infra.dashboard import labelling

st.set_page_config(page_title="Sluice", layout="wide")
st.navigation([st.Page(labelling.page, title="Labelling", url_path="labelling")]).run()
