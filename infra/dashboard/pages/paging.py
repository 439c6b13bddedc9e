"""Which page of a long list the reader turned to."""

from __future__ import annotations

import streamlit as st


def turned(matching: int, rows: int, key: str) -> int:
    """How many of the `matching` to pass over, `rows` to a page. `key` names the list: another one begins anew."""
    pages = -(-matching // rows)
    return (st.pagination(pages, key=key) - 1) * rows if pages > 1 else 0
