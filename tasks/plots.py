"""The report's plots as inline SVG: drawn by hand, so that the same figures give the same bytes on every machine.

Colours come from the page's style sheet by class, so that a plot follows the reader's light or dark theme. Every text
goes through `escape`: terms and labels come from captions and may hold anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from tasks.wording import signed

WIDTH = 920  # units of the drawing; the page scales it to its column
ROW = 34


@dataclass(frozen=True)
class Step:
    """One bar of the funnel: what remains after a step, and what the step took out."""

    label: str
    remains: int
    removed: int
    kind: str  # class of the removed part: quarantined | filtered | duplicate | ""


@dataclass(frozen=True)
class Mark:
    """One estimate with its interval; a bound that is None is not drawn."""

    kind: str  # class: filter | plain | weighted
    value: float | None
    low: float | None = None
    high: float | None = None


def _percent(value: float) -> str:
    return f"{100 * value:+g}%".replace("-", "−") if value else "0"


def _number(value: float) -> str:
    """A coordinate: one decimal is a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def _text(x: float, y: float, content: object, classes: str = "") -> str:
    return f'<text x="{_number(x)}" y="{_number(y)}" class="{classes}">{escape(content)}</text>'


def _rect(x: float, y: float, width: float, height: float, classes: str) -> str:
    place = f'x="{_number(x)}" y="{_number(y)}" width="{_number(max(width, 0))}" height="{_number(max(height, 0))}"'
    return f'<rect {place} class="{classes}"/>'


def _line(x1: float, y1: float, x2: float, y2: float, classes: str) -> str:
    ends = f'x1="{_number(x1)}" y1="{_number(y1)}" x2="{_number(x2)}" y2="{_number(y2)}"'
    return f'<line {ends} class="{classes}"/>'


def _svg(height: float, label: str, parts: Sequence[str]) -> Markup:
    head = f'<svg viewBox="0 0 {WIDTH} {_number(height)}" role="img" aria-label="{escape(label)}">'
    return Markup(head + "".join(parts) + "</svg>")


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


def funnel(steps: Sequence[Step]) -> Markup:
    """One bar a step, as long as what reached it; the part that the step took out stands at its end."""
    left, right = 190, 200
    most = max((step.remains + step.removed for step in steps), default=0) or 1
    scale = (WIDTH - left - right) / most
    parts = []
    for i, step in enumerate(steps):
        y = 6 + i * (ROW + 8)
        end = left + step.remains * scale
        parts.append(_text(left - 14, y + 22, step.label, "label end"))
        parts.append(_rect(left, y, step.remains * scale, ROW, "kept"))
        parts.append(_rect(end, y, step.removed * scale, ROW, step.kind or "none"))
        text = f"{step.remains:,}" + (f"  (−{step.removed:,})" if step.removed else "")
        parts.append(_text(end + step.removed * scale + 12, y + 22, text, "value"))
    return _svg(12 + len(steps) * (ROW + 8), "Samples after each step", parts)


def histogram(
    counts: Sequence[int], edges: Sequence[float], threshold: float | None, label: str, *, log: bool = False
) -> Markup:
    """Bars of counts between edges; from `threshold` on they are drawn as filtered, and a line marks it."""
    left, top, bottom, height = 60, 26, 46, 250
    low, high = edges[0], edges[-1]
    heights = np.log10(1 + np.asarray(counts, np.float64)) if log else np.asarray(counts, np.float64)
    most = float(heights.max(initial=0)) or 1.0
    floor = height - bottom

    def x_of(value: float) -> float:
        return left + (value - low) / ((high - low) or 1) * (WIDTH - left - 20)

    parts = _levels(int(max(counts, default=0)), most, (left, top, floor), log)
    for count, tall, start, stop in zip(counts, heights, edges[:-1], edges[1:], strict=True):
        kind = "filtered" if threshold is not None and (start + stop) / 2 >= threshold else "kept"
        tall_px = float(tall) / most * (floor - top)
        bar = _rect(x_of(start) + 0.5, floor - tall_px, x_of(stop) - x_of(start) - 1, tall_px, kind)
        parts.append(bar.replace("/>", f"><title>{start:g} to {stop:g}: {count:,}</title></rect>"))
    for tick in ticks(low, high, 10):
        parts.append(_text(x_of(tick), floor + 18, f"{tick:g}", "tick middle"))
    parts.append(_line(left, floor, WIDTH - 20, floor, "axis"))
    if threshold is not None:
        x = x_of(min(max(threshold, low), high))
        side = "end" if x > WIDTH * 0.6 else ""
        parts.append(_line(x, top - 12, x, floor, "threshold"))
        parts.append(_text(x + (-8 if side else 8), top - 2, f"threshold {threshold:.4g}", f"value {side}"))
    parts.append(_text((left + WIDTH) / 2, height - 6, label, "tick middle"))
    return _svg(height, label, parts)


def recall_curve(points: Sequence[Mapping[str, Any]], chosen: float | None, label: str) -> Markup:
    """Recall against the share that is removed, one point a threshold: the estimate, and its lower bound below it.

    points: share, recall_estimate and recall_lower, by rising share. chosen: the share that is removed now.
    """
    left, top, bottom, height = 60, 26, 46, 290
    floor, most = height - bottom, max([*(point["share"] for point in points), chosen or 0, 1e-9])

    def place(share: float, recall: float) -> str:
        return f"{_number(left + share / most * (WIDTH - left - 20))},{_number(floor - recall * (floor - top))}"

    parts = []
    for recall in (0, 0.25, 0.5, 0.75, 1):
        y = floor - recall * (floor - top)
        parts += [_line(left, y, WIDTH - 20, y, "grid" if recall else "axis")]
        parts += [_text(left - 8, y + 4, f"{100 * recall:g}%", "tick end")]
    for tick in ticks(0, most, 8):
        x = left + tick / most * (WIDTH - left - 20)
        parts.append(_text(x, floor + 18, f"{100 * tick:g}%", "tick middle"))
    for name, kind in (("recall_lower", "bound"), ("recall_estimate", "estimate")):
        line = " ".join(place(point["share"], point[name]) for point in points if point[name] is not None)
        parts.append(f'<polyline points="{line}" class="{kind}"/>')
    if chosen is not None:
        x = left + chosen / most * (WIDTH - left - 20)
        side = "end" if x > WIDTH * 0.6 else ""
        parts += [_line(x, top - 12, x, floor, "threshold")]
        parts += [_text(x + (-8 if side else 8), top - 2, "removed now", f"value {side}")]
    parts.append(_text((left + WIDTH) / 2, height - 6, label, "tick middle"))
    return _svg(height, label, parts)


def _levels(largest: int, most: float, frame: tuple[float, float, float], log: bool) -> list[str]:
    """Horizontal grid lines with their counts."""
    left, top, floor = frame
    values = [10.0**i for i in range(len(str(largest)))] if log else [v for v in ticks(0, largest, 4) if v]
    parts = []
    for value in values:
        tall = (math.log10(1 + value) if log else value) / most
        if tall <= 1.0:
            y = floor - tall * (floor - top)
            parts += [_line(left, y, WIDTH - 20, y, "grid"), _text(left - 8, y + 4, f"{value:,.0f}", "tick end")]
    return parts


def forest(rows: Sequence[tuple[str, Sequence[Mark]]], label: str) -> Markup:
    """One row a term: a point and its interval for each mark, on one axis of relative change with a line at 0."""
    left, top, bottom = 170, 8, 44
    row = 12 + 14 * max((len(marks) for _, marks in rows), default=1)
    low, high = _span([v for _, marks in rows for m in marks for v in (m.value, m.low, m.high) if v is not None])
    floor = top + row * len(rows)

    def x_of(value: float) -> float:
        return left + (min(max(value, low), high) - low) / (high - low) * (WIDTH - left - 90)

    parts = []
    for tick in ticks(low, high, 8):
        parts.append(_line(x_of(tick), top, x_of(tick), floor, "axis" if tick == 0 else "grid"))
        parts.append(_text(x_of(tick), floor + 18, _percent(tick), "tick middle"))
    for i, (term, marks) in enumerate(rows):
        middle = top + row * (i + 0.5)
        parts.append(_text(left - 14, middle + 5, term if len(term) <= 22 else term[:21] + "…", "label end"))
        for j, mark in enumerate(marks):
            parts += _estimate(mark, x_of, middle + (j - (len(marks) - 1) / 2) * 14, beyond=high)
    parts.append(_text((left + WIDTH - 90) / 2, floor + 38, label, "tick middle"))
    return _svg(floor + bottom, label, parts)


def _span(values: Sequence[float]) -> tuple[float, float]:
    """The axis: all values up to a doubling, beyond which one rare term would press all others together."""
    low, high = min([*values, -0.05]), min(max([*values, 0.05]), 1.0)
    room = (high - low) * 0.03
    return low - room, high + room


def _estimate(mark: Mark, x_of: Callable[[float], float], y: float, beyond: float) -> list[str]:
    """A point and its interval; where the value lies beyond the axis an arrow at its end, with the value."""
    if mark.value is None:
        return []
    parts = []
    x = end = x_of(mark.value)
    if mark.low is not None and mark.high is not None:
        parts.append(_line(x_of(mark.low), y, x_of(mark.high), y, f"interval {mark.kind}"))
        end = x_of(max(mark.high, mark.value))
    if mark.value > beyond:
        parts.append(f'<path d="M{_number(x - 5)} {_number(y - 5)}l9 5l-9 5z" class="point {mark.kind}"/>')
    else:
        parts.append(f'<circle cx="{_number(x)}" cy="{_number(y)}" r="5" class="point {mark.kind}"/>')
    parts.append(_text(end + 10, y + 4, signed(mark.value), f"small {mark.kind}"))
    return parts
