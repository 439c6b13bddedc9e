"""The report's plots of steps, scores and weights as inline SVG; reporting/bias_plots.py has those of changes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from tasks.reporting import svg
from tasks.reporting.svg import WIDTH, ticks

ROW = 34


@dataclass(frozen=True)
class Step:
    """One bar of the funnel: what remains after a step, and what the step took out."""

    label: str
    remains: int
    removed: int
    kind: str  # class of the removed part: quarantined | filtered | duplicate | ""


class Limit(NamedTuple):
    """A value that a line marks in a histogram."""

    name: str
    value: float
    beyond: str = "kept"  # class of the bars from it on


def funnel(steps: Sequence[Step]) -> Markup:
    """One bar a step, as long as what reached it; the part that the step took out stands at its end."""
    left, right = 190, 200
    most = max((step.remains + step.removed for step in steps), default=0) or 1
    scale = (WIDTH - left - right) / most
    parts = []
    for i, step in enumerate(steps):
        y = 6 + i * (ROW + 8)
        end = left + step.remains * scale
        parts.append(svg.text(left - 14, y + 22, step.label, "label end"))
        parts.append(svg.rect(left, y, step.remains * scale, ROW, "kept"))
        parts.append(svg.rect(end, y, step.removed * scale, ROW, step.kind or "none"))
        left_over = f"{step.remains:,}" + (f"  (−{step.removed:,})" if step.removed else "")
        parts.append(svg.text(end + step.removed * scale + 12, y + 22, left_over, "value"))
    return svg.drawing(12 + len(steps) * (ROW + 8), "Samples after each step", parts)


def histogram(
    counts: Sequence[int], edges: Sequence[float], limit: Limit | None, label: str, *, log: bool = False
) -> Markup:
    """Bars of counts between edges, and a line where the limit lies."""
    left, top, bottom, height = 60, 26, 46, 250
    low, high = edges[0], edges[-1]
    heights = np.log10(1 + np.asarray(counts, np.float64)) if log else np.asarray(counts, np.float64)
    most = float(heights.max(initial=0)) or 1.0
    floor = height - bottom

    def x_of(value: float) -> float:
        return left + (value - low) / ((high - low) or 1) * (WIDTH - left - 20)

    parts = _levels(int(max(counts, default=0)), most, (left, top, floor), log)
    for count, tall, start, stop in zip(counts, heights, edges[:-1], edges[1:], strict=True):
        kind = limit.beyond if limit is not None and (start + stop) / 2 >= limit.value else "kept"
        tall_px = float(tall) / most * (floor - top)
        bar = svg.rect(x_of(start) + 0.5, floor - tall_px, x_of(stop) - x_of(start) - 1, tall_px, kind)
        parts.append(bar.replace("/>", f"><title>{start:g} to {stop:g}: {count:,}</title></rect>"))
    for tick in ticks(low, high, 10):
        parts.append(svg.text(x_of(tick), floor + 18, f"{tick:g}", "tick middle"))
    parts.append(svg.line(left, floor, WIDTH - 20, floor, "axis"))
    if limit is not None:
        x = x_of(min(max(limit.value, low), high))
        side = "end" if x > WIDTH * 0.6 else ""
        parts.append(svg.line(x, top - 12, x, floor, "threshold"))
        parts.append(svg.text(x + (-8 if side else 8), top - 2, f"{limit.name} {limit.value:.4g}", f"value {side}"))
    parts.append(svg.text((left + WIDTH) / 2, height - 6, label, "tick middle"))
    return svg.drawing(height, label, parts)


def recall_curve(points: Sequence[Mapping[str, Any]], chosen: float | None, label: str) -> Markup:
    """Recall against the share that is removed, one point a threshold: the estimate, and its lower bound below it.

    points: share, recall_estimate and recall_lower, by rising share. chosen: the share that is removed now.
    """
    left, top, bottom, height = 60, 26, 46, 290
    floor, most = height - bottom, max([*(point["share"] for point in points), chosen or 0, 1e-9])

    def place(share: float, recall: float) -> str:
        x = left + share / most * (WIDTH - left - 20)
        return f"{svg.number(x)},{svg.number(floor - recall * (floor - top))}"

    parts = []
    for recall in (0, 0.25, 0.5, 0.75, 1):
        y = floor - recall * (floor - top)
        parts += [svg.line(left, y, WIDTH - 20, y, "grid" if recall else "axis")]
        parts += [svg.text(left - 8, y + 4, f"{100 * recall:g}%", "tick end")]
    for tick in ticks(0, most, 8):
        x = left + tick / most * (WIDTH - left - 20)
        parts.append(svg.text(x, floor + 18, f"{100 * tick:g}%", "tick middle"))
    for name, kind in (("recall_lower", "bound"), ("recall_estimate", "estimate")):
        path = " ".join(place(point["share"], point[name]) for point in points if point[name] is not None)
        parts.append(f'<polyline points="{path}" class="{kind}"/>')
    if chosen is not None:
        x = left + chosen / most * (WIDTH - left - 20)
        side = "end" if x > WIDTH * 0.6 else ""
        parts += [svg.line(x, top - 12, x, floor, "threshold")]
        parts += [svg.text(x + (-8 if side else 8), top - 2, "removed now", f"value {side}")]
    parts.append(svg.text((left + WIDTH) / 2, height - 6, label, "tick middle"))
    return svg.drawing(height, label, parts)


def _levels(largest: int, most: float, frame: tuple[float, float, float], log: bool) -> list[str]:
    """Horizontal grid lines with their counts."""
    left, top, floor = frame
    values = [10.0**i for i in range(len(str(largest)))] if log else [v for v in ticks(0, largest, 4) if v]
    parts = []
    for value in values:
        tall = (math.log10(1 + value) if log else value) / most
        if tall <= 1.0:
            y = floor - tall * (floor - top)
            parts += [svg.line(left, y, WIDTH - 20, y, "grid"), svg.text(left - 8, y + 4, f"{value:,.0f}", "tick end")]
    return parts
