"""The picture sheet of a search: one self-contained HTML page. Pictures are blurred until asked for, texts escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from markupsafe import Markup

from tasks.certifying.certificate import percent_up
from tasks.lake import Version
from tasks.reporting import pages, plots
from tasks.reporting.pictures import thumbnails
from tasks.reporting.wording import count, share, short
from tasks.searching.search_images import thumbnails_of

SHOWN: Final = 100  # images, the most similar ones
PIXELS: Final = 132  # of a training image's longer side
BARS: Final = 40

Told = Mapping[str, Any]  # what `search` tells, see flows/search.py


def render(told: Told, version: Version, source: Path) -> str:
    """The page; `source` is where the images were read from."""
    filters: pages.Filters = {"count": count, "share": share, "short": short, "percent_up": percent_up}
    return pages.render("search.html", filters, context(told, version, source))


def context(told: Told, version: Version, source: Path) -> dict[str, Any]:
    """Everything that the template names."""
    shown = sorted(told["matches"], key=lambda one: -_first(one))[:SHOWN]
    trained = thumbnails(version, (near["row"] for one in shown for near in one["nearest"]), PIXELS)
    given = thumbnails_of(source, version, {one["image"] for one in shown})
    return {
        "told": told,
        "headline": headline(told),
        "lead": lead(told),
        "notes": notes(told),
        "plot": _histogram(told),
        "pictures": bool(given) or any(trained.values()),
        "shown": [
            {
                "image": one["image"],
                "picture": given.get(one["image"]),
                "nearest": [{**near, "picture": trained[near["row"]]} for near in one["nearest"]],
            }
            for one in shown
        ],
    }


def _first(one: Mapping[str, Any]) -> float:
    return one["nearest"][0]["similarity"] if one["nearest"] else -1.0


def rate_above(rates: Sequence[Mapping[str, Any]], above: float) -> Mapping[str, Any]:
    """The rate of the asked similarity."""
    return next(rate for rate in rates if rate["similarity"] == above)


def headline(told: Told) -> str:
    """How many near-copies there are, in a sentence."""
    rate = rate_above(told["rates"], told["above"])
    if not rate["images"]:
        return "No image could be searched for"
    hits = count(rate["above"]) if rate["above"] else "None"
    return f"{hits} of {count(rate['images'])} generated images: a near-copy of a training image"


def lead(told: Told) -> str:
    """The rate's bound, and the control's rate beside it."""
    rate = rate_above(told["rates"], told["above"])
    if not rate["images"]:
        return "See below why."
    text = f"At a cosine of {told['above']:g} the rate is {share(rate['rate'])}, at most {percent_up(rate['upper'])}"
    if not told["control"]:
        return f"{text}, with 95% confidence; no control was given."
    other = rate_above(told["control"]["rates"], told["above"])
    if not other["images"]:
        return f"{text}, with 95% confidence; no image of the control could be used."
    beside = f"{count(other['above'])} of {count(other['images'])} held-out real images, {share(other['rate'])}"
    return f"{text}, with 95% confidence. Of the control, by chance: {beside}, at most {percent_up(other['upper'])}."


def notes(told: Told) -> list[str]:
    """How it was searched, and what limits it."""
    method = "Every vector of the version was compared (exact search)."
    if told["method"] == "index":
        recall = "unknown" if told["recall"] is None else share(told["recall"])
        method = (
            f"Searched with the index ({told['remark']}); it found {recall} of the neighbours that exact search "
            f"finds for {told['checked']:,} of the images. Found cosines are exact; a missed near-copy lowers the rate."
        )
    found = [method, f"Embedded by {told['encoder']}."]
    if told["unusable"]:
        found.append(f"{len(told['unusable']):,} of {told['given']:,} images could not be used; they are named below.")
    control = told["control"]
    if control and control["not_held_out"]:
        found.append(
            f"In the pool byte for byte, so left out of the control's rates: {control['not_held_out']:,} of its images."
        )
    if control and control["unusable"]:
        found.append(f"Of the control {len(control['unusable']):,} images could not be used.")
    return found


def _histogram(told: Told) -> Markup | None:
    values = [_first(one) for one in told["matches"] if one["nearest"]]
    if not values:
        return None
    low = min(*values, told["above"]) - 0.01
    counts, edges = np.histogram(values, BARS, (low, 1.0))
    limit = plots.Limit("near-copy", told["above"], "filtered")
    return plots.histogram(counts.tolist(), edges.tolist(), limit, "cosine to the nearest training image", log=True)
