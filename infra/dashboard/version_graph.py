"""The graph of versions: a row a run, a box a version, lines to what each was made from. Boxes are links."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from infra.dashboard.look import Link
from infra.dashboard.version_log import Entry
from tasks.reporting import svg

RUNS: Final = 8  # rows: the newest, and the chosen version's
BOX_WIDTH, BOX_HEIGHT = 104.0, 40.0
ACROSS, DOWN, LEFT, TOP = 144.0, 62.0, 126.0, 8.0
BOW: Final = 34.0

Places = dict[int, tuple[float, float]]  # number → the box's left upper corner


def graph(log: Sequence[Entry], here: int) -> tuple[Markup, list[Link]]:
    """The graph, with a link to each version. `here`: the chosen version's number."""
    rows, column = _rows(log, here), _columns(log)
    places = {e.number: (LEFT + column[e.number] * ACROSS, TOP + r * DOWN) for r, row in enumerate(rows) for e in row}
    shown = [entry for row in rows for entry in row]
    parts = [_when(row[0], TOP + r * DOWN) for r, row in enumerate(rows)]
    parts += [edge for entry in shown for edge in _edges(entry, places)]
    parts += [_box(entry, places[entry.number], here) for entry in shown]
    width = max([svg.WIDTH, *(x + BOX_WIDTH + ACROSS / 2 for x, _ in places.values())])
    links = [_link(entry, places[entry.number]) for entry in shown]
    return svg.drawing(TOP + len(rows) * DOWN, "Versions and what each was made from", parts, width), links


def _columns(log: Sequence[Entry]) -> dict[int, int]:
    """How many steps lie before each version: versions of one stage stand below each other."""
    column: dict[int, int] = {}
    for entry in log:
        column[entry.number] = 0 if entry.parent is None else column.get(entry.parent, 0) + 1
    return column


def _rows(log: Sequence[Entry], here: int) -> list[list[Entry]]:
    """The versions by run, the newest run first; the chosen version's run is always among them."""
    runs: dict[str, list[Entry]] = {}
    for entry in log:
        runs.setdefault(entry.run, []).append(entry)
    newest = list(reversed(runs.values()))
    chosen = next((row for row in newest if any(entry.number == here for entry in row)), None)
    shown = newest[:RUNS]
    return shown if chosen is None or chosen in shown else [*shown[:-1], chosen]


def _when(first: Entry, y: float) -> str:
    return svg.text(4, y + 25, first.created_at[:16].replace("T", " "), "tick")


def _edges(entry: Entry, places: Places) -> list[str]:
    """From the right side of what it was made from to its left; a bow on the right to what was published before."""
    parts, (x, y) = [], places[entry.number]
    if entry.parent in places:
        x1, y1 = places[entry.parent]
        parts.append(_curve((x1 + BOX_WIDTH, y1), (x, y), (x1 + BOX_WIDTH + x) / 2, "edge"))
    if entry.complete and entry.previous in places:
        x1, y1 = places[entry.previous]
        parts.append(_curve((x1 + BOX_WIDTH, y1), (x + BOX_WIDTH, y), max(x, x1) + BOX_WIDTH + BOW, "before"))
    return parts


def _curve(start: tuple[float, float], end: tuple[float, float], bend: float, classes: str) -> str:
    """Between two boxes' upper edges' ends, at half the boxes' height, by way of `bend`."""
    y1, y2 = (y + BOX_HEIGHT / 2 for y in (start[1], end[1]))
    points = " ".join(svg.number(value) for value in (bend, y1, bend, y2, end[0], y2))
    return f'<path d="M {svg.number(start[0])} {svg.number(y1)} C {points}" class="{classes}"/>'


def _box(entry: Entry, place: tuple[float, float], here: int) -> str:
    x, y = place
    kinds = ["node", *(["ended"] if entry.complete else []), *(["here"] if entry.number == here else [])]
    kinds += ["gone"] if entry.retired else []
    box = svg.rect(x, y, BOX_WIDTH, BOX_HEIGHT, " ".join(kinds))
    number = svg.text(x + BOX_WIDTH / 2, y + 17, str(entry.number), "middle")
    stage = svg.text(x + BOX_WIDTH / 2, y + 33, svg.cut(entry.stage, 14), "tick middle")
    return box + number + stage


def _link(entry: Entry, place: tuple[float, float]) -> Link:
    told = ", ".join(f"{count:,} {verdict}" for verdict, count in entry.counts.items())
    return Link(*place, BOX_WIDTH, BOX_HEIGHT, f"?version={entry.number}", f"version {entry.number}: {told}")
