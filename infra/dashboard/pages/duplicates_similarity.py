"""How similar the pairs are that were found, how many were missed, and what a higher threshold would remove."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import streamlit as st

from infra.dashboard.lake_sql import ask, state
from infra.dashboard.pages import duplicates_thresholds, figures
from infra.dashboard.pages.filter_plots import threshold_line
from tasks.lake import Version
from tasks.reporting.findings import facts

BINS: Final = 40
HEIGHT: Final = 300  # pixels


def show(version: Version) -> None:
    """Two plots, and recall by band of similarity."""
    told = facts(version, "dedup")
    threshold = float(version.config["dedup"]["threshold"])
    pairs = version.artifact_file("pairs", "pairs.parquet")
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Similarity of pairs", anchor=False)
        if threshold < 1:
            counts = ask(version, "dashboard/duplicates_similarity", pairs=pairs, low=threshold, bins=BINS)
            st.vega_lite_chart(counts, histogram(threshold), key="duplicates_histogram")
        st.caption(
            "Pairs that the search found among all usable samples, filtered ones too, on a logarithmic scale. Pairs "
            "below the threshold were not kept."
        )
    with right:
        st.subheader("What a higher threshold would remove", anchor=False)
        with st.spinner("Deciding every group anew at each threshold …"):
            found = _removals(state(version), version)
        st.vega_lite_chart(removal_table(found), removal(threshold), key="duplicates_thresholds")
        figures.show("duplicates_thresholds.html", found=found, threshold=threshold, told=told)
    figures.show("duplicates_bands.html", bands=told["recall_bands"], recall=told["recall"])


@st.cache_resource(max_entries=20, show_spinner=False)
def _removals(of: tuple[str, ...], _version: Version) -> duplicates_thresholds.Removals:
    return duplicates_thresholds.removals(_version)


def removal_table(found: duplicates_thresholds.Removals) -> pa.Table:
    return pa.Table.from_pylist([row._asdict() for row in found.rows])


def histogram(threshold: float) -> dict[str, Any]:
    """Columns kind, low, high and pairs."""
    colours = {"near-duplicates": figures.COLOURS["duplicate"], "exact copies": figures.COLOURS["soft"]}
    return {
        "height": HEIGHT,
        "mark": {"type": "bar", "opacity": 0.75},
        "encoding": {
            "x": {
                "field": "low",
                "type": "quantitative",
                "title": "cosine",
                "bin": {"binned": True},
                "scale": {"domain": [threshold, 1]},
            },
            "x2": {"field": "high"},
            "y": {
                "field": "pairs",
                "type": "quantitative",
                "stack": None,
                "scale": {"type": "symlog"},
                "axis": {"values": [10**i for i in range(10)], "format": ",d"},
            },
            "color": {
                "field": "kind",
                "type": "nominal",
                "title": None,
                "scale": {"domain": list(colours), "range": list(colours.values())},
                "legend": {"orient": "top"},
            },
            "tooltip": [
                {"field": "kind", "type": "nominal"},
                {"field": "low", "type": "quantitative", "format": ".4f", "title": "from"},
                {"field": "high", "type": "quantitative", "format": ".4f", "title": "to"},
                {"field": "pairs", "type": "quantitative", "format": ",d"},
            ],
        },
    }


def removal(threshold: float) -> dict[str, Any]:
    """Columns threshold, removed and share."""
    violet = figures.COLOURS["duplicate"]
    x = {"field": "threshold", "type": "quantitative", "scale": {"zero": False}}
    y = {"field": "share", "type": "quantitative", "title": "removed of what the filter kept", "axis": {"format": "~%"}}
    tooltip = [
        {"field": "threshold", "type": "quantitative"},
        {"field": "removed", "type": "quantitative", "format": ",d"},
        {"field": "share", "type": "quantitative", "format": ".2%"},
    ]
    return {
        "height": HEIGHT,
        "layer": [
            {
                "mark": {"type": "line", "color": violet, "point": {"filled": True, "color": violet, "size": 40}},
                "encoding": {"x": x, "y": y, "tooltip": tooltip},
            },
            threshold_line(threshold),
        ],
    }
