"""Forest plots of changes and of associations, as inline SVG: each row a term or pair, each mark an estimate.

A mark is told by its shape as well as by its colour, for readers who see few colours and for print.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from markupsafe import Markup, escape

from tasks.reporting import svg
from tasks.reporting.svg import WIDTH, number
from tasks.reporting.wording import odds, signed

STEP: Final = 14  # from a mark of a row to the next
INDENT: Final = 14
HALF: Final = 5  # of a point's width
FURTHEST: Final = math.log(64)  # log odds ratio, beyond which an arrow stands


class Mark(NamedTuple):
    """One estimate with its interval; None is unknown and not drawn, infinite is beyond the axis."""

    kind: str  # class: pool | filter | plain | weighted
    value: float | None
    low: float | None = None
    high: float | None = None


class Row(NamedTuple):
    label: str
    marks: Sequence[Mark]
    depth: int = 0  # steps below the row that it is a part of
    beside: str = ""  # second line of the name


class Axis(NamedTuple):
    low: float
    high: float
    ticks: Sequence[float]  # 0 is where nothing changed, or nothing is associated
    tick: Callable[[float], str]
    figure: Callable[[float], str]  # of a mark


class Layout(NamedTuple):
    """Where the parts of a forest stand, in units of the drawing."""

    classes: str
    width: int
    left: int  # of the axis
    right: int  # behind the axis, for the figures of its last marks
    letters: int  # of a name
    head: int  # height of the names above a row's marks; 0 where they stand before the axis
    ticks: int


WIDE: Final = Layout("broad", WIDTH, 214, 84, 27, 0, 8)
NARROW: Final = Layout("narrow", 380, 12, 62, 46, 18, 4)


def forest(rows: Sequence[Row], axis: Axis, label: str) -> Markup:
    """One row a term: a point and its interval for each mark, on one axis with a line at 0.

    Drawn twice, for wide and for narrow screens; the style sheet shows one.
    """
    return drawn(rows, axis, label, WIDE) + drawn(rows, axis, label, NARROW)


def drawn(rows: Sequence[Row], axis: Axis, label: str, layout: Layout) -> Markup:
    """The forest in one layout."""
    top, bottom = 8, 44
    height = 12 + layout.head + STEP * max((len(row.marks) for row in rows), default=1)
    floor = top + height * len(rows)
    lines = (top + height * i for i in range(1, len(rows)))
    parts = [svg.line(0, y, layout.width, y, "grid") for y in lines]
    for tick in axis.ticks[:: 1 if len(axis.ticks) <= layout.ticks else 2]:
        x = _place(axis, layout, tick)
        parts.append(svg.line(x, top, x, floor, "axis" if tick == 0 else "grid"))
        parts.append(svg.text(x, floor + 18, axis.tick(tick), "tick middle"))
    for i, row in enumerate(rows):
        middle = top + height * (i + 0.5)
        parts += _name(row, layout, middle, top + height * i)
        for j, mark in enumerate(row.marks):
            y = middle + layout.head / 2 + (j - (len(row.marks) - 1) / 2) * STEP
            parts += _estimate(mark, axis, layout, y)
    parts.append(svg.text((layout.left + layout.width - layout.right) / 2, floor + 38, label, "tick middle"))
    return svg.drawing(floor + bottom, label, parts, layout.width, layout.classes)


def _name(row: Row, layout: Layout, middle: float, top: float) -> list[str]:
    """Before the axis, on two lines where it has two parts; or above the marks on one line."""
    most, x = layout.letters - 2 * row.depth, 4 + row.depth * INDENT
    if layout.head:
        whole = f"{row.label} · {row.beside}" if row.beside else row.label
        lines = [(whole, "label", top + layout.head)]
    elif row.beside:
        lines = [(row.label, "label", middle - 4), (row.beside, "tick", middle + 13)]
    else:
        lines = [(row.label, "label", middle + 5)]
    return [
        svg.text(x, y, short, classes, "" if short == name else name)
        for name, classes, y in lines
        for short in [svg.cut(name, most)]
    ]


def change_axis(rows: Iterable[Row]) -> Axis:
    """Relative changes, up to a doubling, beyond which one rare term would press all others together."""
    values = _finite(rows)
    low, high = min([*values, -0.05]), min(max([*values, 0.05]), 1.0)
    room = (high - low) * 0.03
    ticks = svg.ticks(low - room, high + room, 8)
    return Axis(low - room, high + room, ticks, _percent, signed)


def odds_axis(rows: Iterable[Row]) -> Axis:
    """Log odds ratios, with ticks where the odds double."""
    values = [min(max(value, -FURTHEST), FURTHEST) for value in _finite(rows)]
    low, high = min([*values, -math.log(2)]), max([*values, math.log(2)])
    room = (high - low) * 0.04
    doublings = range(math.ceil((low - room) / math.log(2)), math.floor((high + room) / math.log(2)) + 1)
    step = 1 if len(doublings) <= 8 else 2
    ticks = [i * math.log(2) for i in doublings if i % step == 0]
    return Axis(low - room, high + room, ticks, _factor, odds)


def _finite(rows: Iterable[Row]) -> list[float]:
    values = [value for row in rows for mark in row.marks for value in (mark.value, mark.low, mark.high)]
    return [value for value in values if value is not None and math.isfinite(value)]


def _percent(value: float) -> str:
    return f"{100 * value:+g}%".replace("-", "−") if value else "0"


def _factor(value: float) -> str:
    factor = round(math.exp(abs(value)))
    return f"×{factor}" if value >= 0 else f"×1/{factor}"


def _place(axis: Axis, layout: Layout, value: float) -> float:
    share = (min(max(value, axis.low), axis.high) - axis.low) / (axis.high - axis.low)
    return layout.left + share * (layout.width - layout.left - layout.right)


def _estimate(mark: Mark, axis: Axis, layout: Layout, y: float) -> list[str]:
    """A point, its interval, and behind them the figure."""
    if mark.value is None:
        return []
    x = end = _place(axis, layout, mark.value)
    parts = []
    if mark.low is not None and mark.high is not None:
        low, high = _place(axis, layout, mark.low), _place(axis, layout, mark.high)
        parts.append(svg.line(low, y, high, y, f"interval {mark.kind}"))
        end = max(x, high)
    parts.append(_beyond(mark, axis, x, y) or point(mark.kind, x, y))
    parts.append(svg.text(end + 10, y + 4, axis.figure(mark.value), f"small {mark.kind}"))
    return parts


def _beyond(mark: Mark, axis: Axis, x: float, y: float) -> str | None:
    """An arrow at the end of the axis where the value lies beyond it."""
    if mark.value is None or axis.low <= mark.value <= axis.high:
        return None
    width = 9 if mark.value > axis.high else -9
    start = f"M{number(x - width / 2)} {number(y - HALF)}"
    return f'<path d="{start}l{width} {HALF}l{-width} {HALF}z" class="point {mark.kind}"/>'


def point(kind: str, x: float, y: float) -> str:
    """The shape of a kind of mark: ring, circle, square or diamond."""
    classes = f'class="point {kind}"'
    if kind == "plain":
        return f'<rect x="{number(x - 4)}" y="{number(y - 4)}" width="8" height="8" {classes}/>'
    if kind == "weighted":
        return f'<path d="M{number(x)} {number(y - 6)}l6 6l-6 6l-6 -6z" {classes}/>'
    return f'<circle cx="{number(x)}" cy="{number(y)}" r="{4.5 if kind == "pool" else HALF}" {classes}/>'


def key(kinds: Sequence[tuple[str, str]]) -> Markup:
    """What the marks mean, as HTML: pairs of a kind and its meaning."""
    shown = [
        f'<span><svg viewBox="0 0 14 14" aria-hidden="true">{point(kind, 7, 7)}</svg>{escape(meaning)}</span>'
        for kind, meaning in kinds
    ]
    return Markup(f'<div class="key">{"".join(shown)}</div>')
