"""Pieces of inline SVG: text, boxes, lines, and a scale's round numbers. Every text is escaped.

Colours come from the page's style sheet by class, so that a drawing follows the reader's light or dark theme, and
coordinates are rounded to a tenth, so that the same figures give the same bytes on every machine.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

from markupsafe import Markup, escape

WIDTH = 920  # units of a drawing; the page scales it to its column


def number(value: float) -> str:
    """A coordinate: one decimal is a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def text(x: float, y: float, content: object, classes: str = "", title: object = "") -> str:
    """`title`: what is shown where the pointer rests, as for a name that was cut."""
    hint = f"<title>{escape(title)}</title>" if title else ""
    return f'<text x="{number(x)}" y="{number(y)}" class="{classes}">{escape(content)}{hint}</text>'


def rect(x: float, y: float, width: float, height: float, classes: str) -> str:
    place = f'x="{number(x)}" y="{number(y)}" width="{number(max(width, 0))}" height="{number(max(height, 0))}"'
    return f'<rect {place} class="{classes}"/>'


def line(x1: float, y1: float, x2: float, y2: float, classes: str) -> str:
    ends = f'x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}"'
    return f'<line {ends} class="{classes}"/>'


def drawing(height: float, label: str, parts: Sequence[str], width: float = WIDTH, classes: str = "") -> Markup:
    box = f'class="{classes}" viewBox="0 0 {number(width)} {number(height)}"'
    return Markup(f'<svg {box} role="img" aria-label="{escape(label)}">' + "".join(parts) + "</svg>")


def ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Round numbers that span low … high, at most about `most` of them."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough)
    first = math.ceil(round(low / step, 9))
    last = math.floor(round(high / step, 9))
    return [round(step * i, 10) for i in range(first, last + 1)]


def cut(name: str, most: int) -> str:
    """A name in the room of `most` letters; those of scripts that are drawn twice as wide count twice."""
    width = 0
    for i, letter in enumerate(name):
        width += 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if width > most:
            return name[: max(i - 1, 0)].rstrip() + "…"
    return name
