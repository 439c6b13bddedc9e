"""The funnel over versions: a bar for each version that ended a run, of what was kept and what was not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from infra.dashboard.look import Link
from infra.dashboard.version_log import Entry
from tasks.reporting import svg
from tasks.samples import VERDICTS

MOST: Final = 40  # bars; the newest
WIDEST: Final = 64  # units of a bar
LEFT, TOP, HEIGHT = 76, 8, 190


def over_versions(log: Sequence[Entry], here: int | None) -> tuple[Markup, list[Link]]:
    """Stacked bars by number, each a link; where no run ended yet, of all versions. `here`: the marked number."""
    shown = ([entry for entry in log if entry.complete] or list(log))[-MOST:]
    most = max((entry.read for entry in shown), default=0) or 1
    step = min((svg.WIDTH - LEFT) / max(len(shown), 1), WIDEST * 1.4)
    parts, links = _scale(most), []
    for place, entry in enumerate(shown):
        x = LEFT + place * step + step * 0.15
        parts += _bar(entry, x, step * 0.7, most)
        links.append(Link(x, TOP, step * 0.7, HEIGHT, f"?version={entry.number}", _told(entry)))
        if entry.number == here or len(shown) <= 20 or place % 5 == 0:
            name = f"▸{entry.number}" if entry.number == here else str(entry.number)
            parts.append(svg.text(x + step * 0.35, TOP + HEIGHT + 18, name, "tick middle"))
    return svg.drawing(TOP + HEIGHT + 26, "Samples by verdict, of the versions that ended a run", parts), links


def _told(entry: Entry) -> str:
    counts = ", ".join(f"{entry.counts[verdict]:,} {verdict}" for verdict in VERDICTS)
    return f"version {entry.number}, {entry.created_at[:10]}: {counts}"


def _bar(entry: Entry, x: float, width: float, most: int) -> list[str]:
    parts, floor = [], float(TOP + HEIGHT)
    for verdict in VERDICTS:
        tall = entry.counts[verdict] / most * HEIGHT
        floor -= tall
        parts.append(svg.rect(x, floor, width, tall, verdict))
    return parts


def _scale(most: int) -> list[str]:
    parts = []
    for tick in svg.ticks(0, most, 5):
        y = TOP + HEIGHT * (1 - tick / most)
        parts += [svg.line(LEFT, y, svg.WIDTH, y, "grid"), svg.text(LEFT - 10, y + 4, f"{tick:,.0f}", "tick end")]
    return parts
