"""What `streamlit run` serves: the pages of app.py behind the gate of access.py. server.py LAKE [POOL [https]]"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas  # noqa: F401  (it and the pages are read now, not when the first visitor waits for them)
import streamlit as st

import infra.dashboard.app  # noqa: F401
from infra.dashboard.access import guarded

app = st.App(Path(__file__).with_name("script.py"), **guarded(secure=sys.argv[3:] == ["https"]))
