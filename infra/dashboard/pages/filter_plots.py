"""Plots of the filter page, as Vega-Lite: what lies under the pointer is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from infra.dashboard.pages.figures import COLOURS

HEIGHT: Final = 320  # pixels
STATES: Final = {
    "let through": COLOURS["kept"],
    "filtered": COLOURS["filtered"],
    "filtered for something else": COLOURS["soft"],
    "labelled yes": COLOURS["ink"],
    "labelled no": COLOURS["duplicate"],
}
Spec = dict[str, Any]

ONCE: Final[Spec] = {"values": [{}]}  # data of a mark that is drawn once
PERCENT: Final = {"format": "~%"}
POINT: Final = [
    {"field": "threshold", "type": "quantitative", "format": ".4g"},
    {"field": "removed", "type": "quantitative", "format": ",d"},
    {"field": "share", "type": "quantitative", "format": ".2%"},
    {"field": "recall_estimate", "type": "quantitative", "format": ".1%", "title": "recall, estimated"},
    {"field": "recall_lower", "type": "quantitative", "format": ".1%", "title": "at least"},
]


def table(points: Sequence[Mapping[str, float]]) -> pa.Table:
    """The curve's points as Vega-Lite reads them."""
    return pa.Table.from_pylist([dict(point) for point in points])


def recall(points: Sequence[Mapping[str, float]], now: float, tried: float | None) -> Spec:
    """Recall against the share removed: lower bound (line), estimate (dashed), and the band between them.

    now, tried: the shares that are removed by the threshold that is used and by another one.
    """
    least = min(point["recall_lower"] for point in points)
    x = {"field": "share", "type": "quantitative", "title": "share of the usable samples removed", "axis": PERCENT}
    scale = {"domain": [max(0.0, int(least * 10) / 10 - 0.1), 1.0]}
    lower = {
        "field": "recall_lower",
        "type": "quantitative",
        "title": "recall on labelled positives",
        "axis": PERCENT,
        "scale": scale,
    }
    estimate = {"field": "recall_estimate", "type": "quantitative"}
    red = COLOURS["filtered"]
    return {
        "height": HEIGHT,
        "layer": [
            {
                "mark": {"type": "area", "color": red, "opacity": 0.15},
                "encoding": {"x": x, "y": lower, "y2": {"field": "recall_estimate"}},
            },
            {"mark": {"type": "line", "color": red, "strokeDash": [4, 4]}, "encoding": {"x": x, "y": estimate}},
            {"mark": {"type": "line", "color": red}, "encoding": {"x": x, "y": lower}},
            {
                "mark": {"type": "point", "filled": True, "size": 22, "color": red},
                "encoding": {"x": x, "y": lower, "tooltip": POINT},
            },
            *_marks(now, "now", [5, 4]),
            *(_marks(tried, "tried", [1, 0]) if tried is not None else []),
        ],
    }


def _marks(share: float, name: str, dash: Sequence[int]) -> list[Spec]:
    """A line at the share that a threshold removes."""
    at = {"datum": share}
    return [
        {"data": ONCE, "mark": {"type": "rule", "strokeDash": dash, "color": COLOURS["ink"]}, "encoding": {"x": at}},
        {
            "data": ONCE,
            "mark": {
                "type": "text",
                "align": "right",
                "dx": -5,
                "dy": -6,
                "baseline": "bottom",
                "color": COLOURS["ink"],
            },
            "encoding": {"x": at, "y": {"value": "height"}, "text": {"value": name}},
        },
    ]


def scores(counts: pa.Table, threshold: float) -> Spec:
    """Samples by score, one outline a state, on a logarithmic scale; a line at the threshold.

    counts: state, low (of the bin) and samples.
    """
    there = [state for state in STATES if state in set(counts["state"].to_pylist())]
    colour = {
        "field": "state",
        "type": "nominal",
        "title": None,
        "scale": {"domain": there, "range": [STATES[state] for state in there]},
        "legend": {"orient": "top"},
    }
    return {
        "height": HEIGHT,
        "layer": [
            {
                "mark": {"type": "area", "interpolate": "step-after", "line": True, "fillOpacity": 0.12},
                "encoding": {
                    "x": {"field": "low", "type": "quantitative", "title": "score", "scale": {"domain": [0, 1]}},
                    "y": {
                        "field": "samples",
                        "type": "quantitative",
                        "title": "samples",
                        "stack": None,
                        "scale": {"type": "symlog"},
                        "axis": {"values": [10**i for i in range(8)], "format": ",d"},
                    },
                    "color": colour,
                    "tooltip": [
                        {"field": "state", "type": "nominal"},
                        {"field": "low", "type": "quantitative", "title": "from", "format": ".2f"},
                        {"field": "samples", "type": "quantitative", "format": ",d"},
                    ],
                },
            },
            threshold_line(threshold),
        ],
    }


def threshold_line(threshold: float) -> Spec:
    """A dashed line where the threshold that is used lies."""
    return {
        "data": ONCE,
        "mark": {"type": "rule", "strokeDash": [5, 4], "color": COLOURS["ink"]},
        "encoding": {"x": {"datum": threshold}},
    }
