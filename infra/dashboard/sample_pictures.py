"""Thumbnails of a version's samples for the pages: blurred until somebody asks, and then sharp."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import streamlit as st

from infra.dashboard.lake_sql import AN_HOUR, state
from tasks.lake import Version
from tasks.reporting.thumbnail_cache import ThumbnailCache, blurred

COARSE: Final = 5  # pixels that are left of a blurred one: in a table it is small, and small ones look sharp
BLURRED: Final = "Pictures are blurred until they are asked for."
NONE: Final = "No picture: its source is gone, has changed, cannot be read, or is on the blocklist."


def pictures(version: Version, rows: Sequence[int], *, sharp: bool) -> list[str | None]:
    """A data URI for each row; None where there is no picture. Unless `sharp`, only its blurred form."""
    newest = version.lake.numbers()[-1]  # may block what older versions did not
    found = _thumbnails(state(version), newest, version).get(rows)
    made = [found[row] for row in rows]
    return [None if one is None else one.sharp if sharp else _coarse(one.blurred) for one in made]


@lru_cache(maxsize=2_000)
def _coarse(uri: str) -> str:
    return blurred(uri, COARSE)


@st.cache_resource(max_entries=4, ttl=AN_HOUR, show_spinner=False)
def _thumbnails(state: tuple[str, ...], newest: int, _version: Version) -> ThumbnailCache:
    return ThumbnailCache(_version)
