"""A plot in Markdown: an SVG inside the text itself, which the Prefect UI shows and no other server is asked for."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Final, NamedTuple

from flows.shown.markdown import plain
from tasks.reporting.bias_plots import Layout, Mark, change_axis, drawn
from tasks.reporting.bias_plots import Row as Drawn

# It stands on whatever background the UI's theme has, and no style sheet of a page reaches into it.
STYLE: Final = """
svg { font: 13px system-ui, sans-serif; } text { fill: #8b949e; } .end { text-anchor: end; }
.middle { text-anchor: middle; } .tick, .small { font-size: 12px; }
.grid { stroke: #8b949e; opacity: .25; } .axis { stroke: #8b949e; }
.interval { stroke: #2f9e8f; stroke-width: 3; opacity: .55; } .point { fill: #2f9e8f; }
"""
LAYOUT: Final = Layout("", 640, 190, 70, 26, 0, 8)
KIND: Final = "plain"


class Row(NamedTuple):
    """A relative change with its interval; None is unknown."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None


def forest(rows: Sequence[Row], label: str) -> list[str]:
    """Lines with one picture: a row a term, a point with its interval about 0."""
    told = [Drawn(row.label, [Mark(KIND, row.value, row.low, row.high)]) for row in rows]
    picture = str(drawn(told, change_axis(told), label, LAYOUT))
    inside = f'<svg xmlns="http://www.w3.org/2000/svg" width="{LAYOUT.width}"'
    picture = picture.replace("<svg", inside, 1).replace(">", f"><style>{STYLE}</style>", 1)
    return ["", f"![{plain(label)}](data:image/svg+xml;base64,{b64encode(picture.encode()).decode()})", ""]


def bar(share: float, width: int = 20) -> str:
    """A share of a whole as a bar of letters."""
    return "█" * round(share * width) + "░" * (width - round(share * width))
