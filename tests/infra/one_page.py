"""One page of the dashboard without the navigation around it, which AppTest cannot click."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def alone(section: str, name: str) -> AppTest:
    """The page of that name, of the lake that `sys.argv` names; not run yet."""
    return AppTest.from_function(_page, default_timeout=60, args=(section, name))


def _page(section: str, name: str) -> None:
    from infra.dashboard.app import PAGES

    PAGES[section][name]()
