"""The preview of thresholds as one self-contained page: plots, a table, and pairs of pictures, blurred until asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from tasks.lake import Version
from tasks.looking.preview import EXACT_UP_TO, Band, Pair, Preview, Removal
from tasks.reporting import pages, plots, svg
from tasks.reporting.pictures import thumbnails
from tasks.reporting.svg import WIDTH, ticks
from tasks.reporting.wording import count, figures, share, short

PIXELS: Final = 128  # of a picture's longer side


def page(version: Version, found: Preview, families: Sequence[Mapping[str, Any]]) -> str:
    """The page. `families`: what looking/template_families.py found, as strips of pictures."""
    filters: pages.Filters = {"count": count, "share": share, "figures": figures, "short": short}
    shown = thumbnails(version, rows_shown(found), PIXELS)
    facts = {
        "found": found,
        "lead": lead(found),
        "below": found.asked - sum(found.counts),
        "limit": EXACT_UP_TO,
        "pictures": any(shown.values()),
        "histogram": _histogram(found),
        "curve": removal_curve(found.removals, found.chosen),
        "bands": [
            {"title": title(band), "samples": band.samples, "pairs": shown_pairs(band.pairs, shown)}
            for band in found.bands
        ],
        "families": families,
    }
    return pages.render("preview.html", filters, facts)


def lead(found: Preview) -> str:
    """What the numbers say at two thresholds, and how they were had."""
    basis = "every image was compared with every other" if found.exact else f"{found.asked:,} images, each with all"
    ends = [row for row in found.removals if row.threshold in (0.9, 0.99)]
    told = [
        f"{row.threshold:g} removes {share(row.share)}" if row.share is not None else
        f"{row.threshold:g} removes at most {share(row.at_most)}"
        for row in ends
    ]  # fmt: skip
    return f"Of {found.usable:,} usable samples ({basis}) a threshold of {', one of '.join(told)} of what was kept."


def title(band: Band) -> str:
    if band.low >= 1:
        return "1: exact copies, or vectors that cannot be told apart"
    return f"{band.low:g} to {band.high:g}"


def _histogram(found: Preview) -> Markup:
    limit = plots.Limit("threshold", found.chosen, "duplicate") if found.chosen else None
    return plots.histogram(found.counts, found.edges, limit, "cosine to the nearest neighbour", log=True)


def removal_curve(removals: Sequence[Removal], chosen: float | None) -> Markup:
    """Share removed against threshold, from the lowest to the highest of the grid."""
    left, top, bottom, height = 60, 26, 46, 260
    low, high = removals[0].threshold, removals[-1].threshold
    floor, most = height - bottom, max([row.at_most for row in removals] + [1e-9])

    def x_of(threshold: float) -> float:
        return left + (threshold - low) / (high - low) * (WIDTH - left - 20)

    def y_of(value: float) -> float:
        return floor - value / most * (floor - top)

    parts = []
    for tick in ticks(0, most, 5):
        kind = "grid" if tick else "axis"
        parts += [svg.line(left, y_of(tick), WIDTH - 20, y_of(tick), kind)]
        parts += [svg.text(left - 8, y_of(tick) + 4, f"{100 * tick:g}%", "tick end")]
    for tick in ticks(low, high, 10):
        parts.append(svg.text(x_of(tick), floor + 18, f"{tick:g}", "tick middle"))
    points = " ".join(f"{svg.number(x_of(row.threshold))},{svg.number(y_of(row.at_most))}" for row in removals)
    parts.append(f'<polyline points="{points}" class="estimate"/>')
    if chosen is not None and low <= chosen <= high:
        side = "end" if x_of(chosen) > WIDTH * 0.6 else ""
        parts.append(svg.line(x_of(chosen), top - 12, x_of(chosen), floor, "threshold"))
        parts.append(svg.text(x_of(chosen) + (-8 if side else 8), top - 2, f"threshold {chosen:g}", f"value {side}"))
    parts.append(svg.text((left + WIDTH) / 2, height - 6, "threshold", "tick middle"))
    return svg.drawing(height, "share removed by threshold", parts)


def rows_shown(found: Preview) -> list[int]:
    """The version's rows whose pictures the page shows."""
    return sorted({row for band in found.bands for pair in band.pairs for row in pair.rows})


def shown_pairs(pairs: Sequence[Pair], pictures: Mapping[int, str | None]) -> list[dict[str, Any]]:
    """Pairs with their pictures, for a template."""
    return [
        {"similarity": p.similarity, "captions": p.captions, "uids": p.uids, "data": [pictures.get(r) for r in p.rows]}
        for p in pairs
    ]
