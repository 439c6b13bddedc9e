"""Which words moved between two versions: at once from their audits, and with intervals when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from infra.dashboard.lake_sql import AN_HOUR, ask, state
from tasks.groups import comparison
from tasks.lake import Version
from tasks.samples import KEPT

LEAST: Final = 20  # captions with a term in one of the versions
MOST: Final = 500  # terms shown
PERCENT: Final = "percent"
HEADS: Final = {  # columns of tasks.groups.comparison.compare → what stands above them
    "term": "term", "n_reference": "before", "n_left": "left", "n_entered": "came in", "n_subject": "now",
    "change": "change", "change_lower": "at least", "change_upper": "at most", "significant": "significant",
    "change_weighted": "weighted", "change_weighted_lower": "weighted, at least",
    "change_weighted_upper": "weighted, at most",
}  # fmt: skip


def show(before: Version, after: Version) -> None:
    """The terms whose share of the kept captions changed most."""
    left, middle, right = st.columns([3, 2, 3], vertical_alignment="bottom")
    search = left.text_input("Term contains", key="term", bind="query-params").strip()
    least = middle.number_input("In at least so many captions", 1, value=LEAST, key="least", bind="query-params")
    with_intervals = right.toggle("With intervals (counts all captions anew)", key="intervals")
    if with_intervals:
        with st.spinner("Counting the captions of both versions …"):
            _compared(before, after, search, int(least))
        return
    paths = [_audited(version) for version in (before, after)]
    if None in paths:
        st.text("One of the two has no audit; versions from the filter on have one. Intervals need none.")
        return
    _at_once(before, after, paths, search, int(least))


def _audited(version: Version) -> Path | None:
    return version.artifact_file("audit", "words.parquet") if "audit" in version.artifacts else None


def _at_once(before: Version, after: Version, paths: Sequence[Path | None], search: str, least: int) -> None:
    kept = [version.manifest["counts"][KEPT] for version in (before, after)]
    found = ask(
        after, "dashboard/terms_moved", words_before=paths[0], words_after=paths[1], kept_before=kept[0],
        kept_after=kept[1], least=least, search=search, most=MOST,
    )  # fmt: skip
    if not found.num_rows:
        st.text("No term that both audits list is in so many captions.")
        return
    st.dataframe(found, hide_index=True, column_config=_percents(("share_before", "share_after"), ("change",)))
    st.caption("Terms that the audits of both versions list; unweighted. Exact of these two pools, without intervals.")


def _compared(before: Version, after: Version, search: str, least: int) -> None:
    """`sluice audit --against`: every term, with 95% intervals and what stands out of noise."""
    words = _comparison(state(before), state(after), least, (before, after))
    if search:
        words = words.filter(pc.match_substring(words["term"], search.lower()))
    size = pc.fill_null(pc.abs(words["change"]), 0.0)
    words = words.append_column("size", size).sort_by([("significant", "descending"), ("size", "descending")])
    shown = words.select(list(HEADS)).rename_columns(list(HEADS.values())).slice(0, MOST)
    changes = tuple(head for name, head in HEADS.items() if name.startswith("change"))
    st.dataframe(shown, hide_index=True, placeholder="–", column_config=_percents((), changes))
    st.caption(
        "With 95% intervals; a dash: too few groups of near-duplicates carry one. Weighted: by the samples' weights."
    )


@st.cache_resource(max_entries=8, ttl=AN_HOUR, show_spinner=False)
def _comparison(
    state_before: tuple[str, ...], state_after: tuple[str, ...], least: int, _versions: tuple[Version, Version]
) -> pa.Table:
    before, after = _versions
    return comparison.compare(after, before, comparison.Asked(min_count=least), _here)[0]["words"]


def _here(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """map_parts without a cluster: a run has cut the captions into words already."""
    return [function(item) for item in items]


def _percents(shares: Sequence[str], changes: Sequence[str]) -> dict[str, Any]:
    return {name: st.column_config.NumberColumn(format=PERCENT) for name in (*shares, *changes)}
