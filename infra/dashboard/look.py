"""How the pages look: the colours of the verdicts, and drawings with places to click on.

Streamlit reads labels, headings and messages as Markdown. What comes from a pool is shown by `st.text`, `st.code` or a
table's cells, never there. It shows HTML without its SVG, so a drawing is a picture, in which nothing can run.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import streamlit as st
from markupsafe import Markup, escape

STYLE: Final = """<style>
:root { --kept: #2a7f74; --filtered: #c4572e; --duplicate: #7a62b5; --quarantined: #80868c; --line: #dcdfe1; }
[data-testid="stMainBlockContainer"] { padding: 2.2rem 2.2rem 3rem; max-width: 100rem; }
[data-testid="stHeading"] h1 { font-size: 1.75rem; padding: .2rem 0 .5rem; }
[data-testid="stHeading"] h3 { font-size: 1.2rem; padding: .6rem 0 .1rem; }
[data-testid="stMetric"] { padding: .1rem .8rem; border-left: 4px solid var(--line); }
[data-testid="stMetricValue"] { font-size: 1.7rem; }
.st-key-metric-kept [data-testid="stMetric"] { border-color: var(--kept); }
.st-key-metric-filtered [data-testid="stMetric"] { border-color: var(--filtered); }
.st-key-metric-duplicate [data-testid="stMetric"] { border-color: var(--duplicate); }
.st-key-metric-quarantined [data-testid="stMetric"] { border-color: var(--quarantined); }
.drawing-with-links { position: relative; }
.drawing-with-links img { width: 100%; display: block; }
.drawing-with-links a { position: absolute; border-radius: 6px; }
.drawing-with-links a:hover { background: #1f6f8b22; }
[class*="st-key-caption"] [data-testid="stText"] { overflow-wrap: anywhere; white-space: pre-wrap; }
</style>"""

DRAWING: Final = """<style>
text { font: 14px "Source Sans", system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif; fill: #1d2327; }
text.label { fill: #566069; } text.tick { fill: #566069; font-size: 12px; }
text.end { text-anchor: end; } text.middle { text-anchor: middle; }
.kept { fill: #2a7f74; } .filtered { fill: #c4572e; } .duplicate { fill: #7a62b5; } .quarantined { fill: #80868c; }
.none { fill: none; } .grid { stroke: #e3e6e7; } .axis { stroke: #dcdfe1; }
.node { fill: #fff; stroke: #9aa3a8; rx: 6px; } .node.ended { stroke: #2a7f74; stroke-width: 2.5; }
.node.here { fill: #d6ebe8; } .node.gone { stroke-dasharray: 3 3; }
.edge { stroke: #80868c; fill: none; stroke-width: 1.3; }
.before { stroke: #1f6f8b; fill: none; stroke-width: 1.3; stroke-dasharray: 5 4; }
</style>"""

_BOX: Final = re.compile(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)" role="img" aria-label="([^"]*)"')


class Link(NamedTuple):
    """A place of a drawing that leads to another address; in the drawing's units."""

    x: float
    y: float
    width: float
    height: float
    address: str
    title: str  # told where the pointer rests


def prepare() -> None:
    """The style sheet of a page."""
    st.html(STYLE)


def draw(drawing: Markup, links: Sequence[Link] = (), letters: int = 14) -> None:
    """A drawing of tasks/reporting/svg.py as a picture, with links over it; `letters` are its units high."""
    found = _BOX.search(drawing)
    if found is None:
        raise ValueError(f"a drawing with a box and a label was expected, {drawing[:80]!r} was found")
    width, height, label = float(found[1]), float(found[2]), found[3]
    text = (
        str(drawing)
        .replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        .replace(">", f">{DRAWING.replace('14px', f'{letters}px')}", 1)
    )
    data = base64.b64encode(text.encode()).decode()
    places = "".join(_place(link, width, height) for link in links)
    picture = f'<img src="data:image/svg+xml;base64,{data}" alt="{label}">'
    st.html(f'<div class="drawing-with-links">{picture}{places}</div>')


def _place(link: Link, width: float, height: float) -> str:
    sides = {
        "left": link.x / width,
        "top": link.y / height,
        "width": link.width / width,
        "height": link.height / height,
    }
    style = ";".join(f"{name}:{100 * share:.3f}%" for name, share in sides.items())
    return f'<a href="{escape(link.address)}" target="_self" style="{style}" title="{escape(link.title)}"></a>'
