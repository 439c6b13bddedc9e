"""The report: what curation did to a pool, as one HTML file that a newcomer understands and that loads nothing.

The page is report.html, which says what each figure means; this file gathers the figures. Captions, file names and
words come from the pool and may hold anything: the template escapes all of it. Nothing depends on time or machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
from markupsafe import Markup

from tasks.certifying.certificate import percent_down, percent_up
from tasks.lake import Version
from tasks.reporting import bias_report, findings, pages, plots, review
from tasks.reporting.findings import Funnel, facts
from tasks.reporting.pictures import thumbnails
from tasks.reporting.wording import (
    allowed,
    count,
    effect,
    figures,
    headline,
    odds,
    percentage_points,
    sentence,
    share,
    short,
    signed,
)
from tasks.samples import DUPLICATE, FILTERED, KEPT, QUARANTINED

LARGEST: Final = 4  # near-duplicate groups shown besides the featured
MEMBERS: Final = 24  # of one group
NEAREST: Final = 8  # images on each side of a threshold
PIXELS: Final = 112  # of a picture's longer side

CONTENTS: Final = (
    ("funnel", "From the pool to the dataset"),
    ("filter", "What the filter removed"),
    ("words", "What that did to whom and what the captions name"),
    ("described", "Who is described as what"),
    ("duplicates", "Near-duplicates"),
    ("weights", "Weights"),
    ("made", "How this was made"),
)


@dataclass(frozen=True)
class Picture:
    """One image of a strip; `data` is None where it could not be read again."""

    data: str | None
    caption: str
    verdict: str = ""
    note: str = ""


def render(
    version: Version, feature: Sequence[str] = (), templates: Mapping[str, Any] | None = None, *, pictures: bool = True
) -> str:
    """The page of a version. `feature`: words whose near-duplicate group is shown first; `templates`: what
    looking/template_report.py found."""
    filters: pages.Filters = {
        "count": count, "share": share, "signed": signed, "figures": figures, "short": short,
        "sentence": sentence, "allowed": allowed, "percent_down": percent_down, "percent_up": percent_up,
        "odds": odds, "percentage_points": percentage_points,
    }  # fmt: skip
    return pages.render(
        "report.html", filters, {**context(version, feature, pictures=pictures), "templates": templates}
    )


def context(version: Version, feature: Sequence[str], *, pictures: bool) -> dict[str, Any]:
    """Everything that the template names."""
    funnel = findings.funnel(version)
    groups = findings.groups(version, LARGEST, feature, MEMBERS)
    told = findings.category_facts(version)
    near = {one.name: findings.near_threshold(version, one, NEAREST) for one in told}
    rows = [member.row for group in groups for member in group.members]
    rows += [row for above, below in near.values() for row in (*above, *below)]
    shown = thumbnails(version, rows, PIXELS) if pictures else {}
    weights = findings.weight_histogram(version, 40)

    return {
        "pool": version.lake.pool,
        "contents": CONTENTS,
        "titles": {anchor: f"{i}. {title}" for i, (anchor, title) in enumerate(CONTENTS, 1)},
        "pictures": any(shown.values()),
        "headline": headline(funnel),
        "effect": effect(findings.keyword_rows(version, 2), weighted=weights is not None),
        "funnel": funnel,
        "verdicts": _verdicts(funnel),
        "categories": [
            {
                "told": one,
                "histogram": _scores(version, one),
                "curve": _curve(version, one, funnel),
                "above": _strip(version, near[one.name][0], shown),
                "below": _strip(version, near[one.name][1], shown),
            }
            for one in told
        ],
        "beside": findings.beside(version),
        "bias": bias_report.context(version),
        "dedup": _dedup(version),
        "groups": [_group(group, shown) for group in groups],
        "review": review.context(version, review.review(version), pictures=pictures),
        "gates": findings.gates(version),
        "encoder": _encoder(facts(version, "embed")),
        "lineage": _lineage(version),
        "parts": version.parts,
        "settings": list(_flat(version.config)),
        "plots": {
            "funnel": _funnel_plot(funnel),
            "weights": _weight_plot(weights, facts(version, "reweight").get("cap")) if weights else None,
        },
    }


def _verdicts(funnel: Funnel) -> list[tuple[str, int, str]]:
    return [
        (QUARANTINED, funnel.quarantined, "could not be used: broken, unreadable, without caption, …"),
        (FILTERED, funnel.filtered, "belongs to what was to be removed, or looks like it or like the reference set"),
        (DUPLICATE, funnel.duplicates, "almost the same as an image that was kept"),
        (KEPT, funnel.kept, "is in the dataset"),
    ]


def _funnel_plot(funnel: Funnel) -> Markup:
    steps = [
        plots.Step("read", funnel.read, 0, ""),
        plots.Step("usable", funnel.usable, funnel.quarantined, QUARANTINED),
        plots.Step("after the filter", funnel.passed, funnel.filtered, FILTERED),
        plots.Step("after deduplication", funnel.kept, funnel.duplicates, DUPLICATE),
    ]
    return plots.funnel(steps)


def _scores(version: Version, category: findings.Category) -> Markup | None:
    counts, edges = findings.score_histogram(version, category.name, 50)
    if not sum(counts):
        return None
    limit = plots.Limit("threshold", category.threshold, FILTERED)
    return plots.histogram(counts, edges, limit, f"score for {category.name}", log=True)


def _curve(version: Version, category: findings.Category, funnel: Funnel) -> Markup | None:
    points = findings.recall_points(version, category.name)
    now = category.removed / funnel.usable if funnel.usable else None
    return plots.recall_curve(points, now, "share of the usable samples removed") if len(points) > 1 else None


def _strip(version: Version, rows: Sequence[int], shown: Mapping[int, str | None]) -> list[Picture]:
    """Samples with their captions, framed by their verdict."""
    places = pa.array(rows, pa.int64())
    captions = version.table("samples", ["caption"])["caption"].take(places).to_pylist()
    verdicts = version.table("decision", ["verdict"])["verdict"].take(places).to_pylist()
    return [
        Picture(shown.get(row), caption or "", verdict)
        for row, caption, verdict in zip(rows, captions, verdicts, strict=True)
    ]


def _weight_plot(weights: tuple[list[int], list[float]], cap: float | None) -> Markup:
    """The cap is drawn where a weight reaches it."""
    reached = cap is not None and weights[1][-1] >= cap * (1 - 1e-9)
    limit = plots.Limit("cap", cap) if cap is not None and reached else None
    return plots.histogram(*weights, limit, "weight of a kept sample", log=True)


def _group(group: findings.Group, shown: Mapping[int, str | None]) -> dict[str, Any]:
    strip = []
    for member in group.members:
        similar = "stays" if member.verdict == KEPT else member.verdict
        if member.verdict == DUPLICATE and member.similarity is not None:
            similar = f"{member.similarity:.3f}"
        strip.append(Picture(shown.get(member.row), member.caption, member.verdict, similar))
    return {"size": group.size, "keyword": group.keyword, "matching": group.matching, "pictures": strip}


def _dedup(version: Version) -> dict[str, Any]:
    told = facts(version, "dedup")
    return {**told, "threshold": version.config["dedup"]["threshold"]} if told else {}


def _encoder(told: Mapping[str, Any]) -> str:
    """Which model made the embeddings, and what it was trained on."""
    if not told:
        return "The pool was not embedded."
    weights = f", weights of sha256 {told['weights'][:16]}" if told.get("weights") else ""
    note = told.get("note") or "what it was trained on is for its makers to say, and colours every figure here"
    return f"All of this rests on the embeddings of {told.get('model')}{weights}: {note}."


def _lineage(version: Version) -> list[tuple[str, str]]:
    groups = [(f"columns {name}", key) for name, key in sorted(version.columns.items())]
    return groups + [(f"artifact {name}", key) for name, key in sorted(version.artifacts.items())]


def _flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested settings as dotted names and JSON values."""
    if isinstance(value, Mapping) and value:
        return [row for key in value for row in _flat(value[key], f"{name}.{key}" if name else str(key))]
    return [(name, json.dumps(value, ensure_ascii=False))] if name else []
