"""What the filter removes of a category, what it finds, how sure that is, and how far labelling is."""

from __future__ import annotations

from typing import Any, Final

import streamlit as st

from infra.dashboard import chosen
from infra.dashboard.lake_sql import ask
from infra.dashboard.pages import figures, filter_labels, filter_plots
from infra.dashboard.pages.filter_plan import needed
from tasks.lake import Lake, Version
from tasks.reporting import findings
from tasks.reporting.findings import Category

REMOVED, LABELS = "What it removes", "Labels and rounds"
BINS: Final = 50  # of the histogram of scores


def page(lake: Lake) -> None:
    """The chosen version's categories, one at a time; of a category without a filter, how far labelling is."""
    figures.prepare()
    st.title("Filter", anchor=False)
    version = chosen.version(lake)
    told = {one.name: one for one in findings.category_facts(version)}
    names = sorted({*told, *filter_labels.categories(lake)})
    if not names:
        st.write(
            f"Version {version.number} filters no category, and none is being labelled. Declare `[[filter.category]]` "
            "in the configuration, or begin with `sluice label next CATEGORY`."
        )
        return
    left, right = st.columns(2)
    with left:  # names of a to z, 0 to 9, _ and -: no Markdown
        name = st.pills("Category", names, default=next(iter(told), names[0]), required=True, key="filter_category")
    with right:
        view = st.pills("Show", [REMOVED, LABELS], default=REMOVED, required=True, key="filter_view")
    if view == LABELS:
        filter_labels.show(version, name)
    elif name in told:
        _removed(version, told[name])
    else:
        st.write(f"Version {version.number} does not filter by this category; what is labelled of it: “{LABELS}”.")


def _removed(version: Version, told: Category) -> None:
    usable = findings.facts(version, "filter")["usable"]
    facts = {"told": told, "usable": usable, "parts": len(version.parts), "needed": needed(version, told.name)}
    figures.show("filter_facts.html", **facts)
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Recall against removal", anchor=False)
        _curve(version, told, told.removed / max(usable, 1))
    with right:
        st.subheader("Scores", anchor=False)
        _scores(version, told)
    figures.show("filter_tables.html", told=told, beside=findings.beside(version))


def _curve(version: Version, told: Category, removed: float) -> None:
    """The curve, and what another threshold would do: one of its points. removed: share, with the one that is used."""
    points = findings.recall_points(version, told.name)
    if len(points) < 2:
        st.write("There is no curve: fewer than two labelled positives could be held out of the training.")
        return
    nearest = min(range(len(points)), key=lambda place: abs(points[place]["threshold"] - told.threshold))
    labels = thresholds(points)
    place = st.select_slider(
        "What another threshold would do",
        range(len(points)),
        value=nearest,
        format_func=lambda place: labels[place],
        key=f"filter_threshold_{version.number}_{told.name}",
    )
    tried = points[place]
    plot = filter_plots.recall(points, removed, tried["share"] if place != nearest else None)
    st.vega_lite_chart(filter_plots.table(points), plot, key="filter_curve")
    figures.show("filter_threshold.html", point=tried, told=told, is_now=tried["threshold"] == told.threshold)


def _scores(version: Version, told: Category) -> None:
    labelled = version.artifact_file(f"model.{told.name}", "labels.parquet")
    asked: dict[str, Any] = {"wanted": told.name, "bins": BINS, "labelled": labelled}
    counts = ask(version, "dashboard/filter_scores", category=told.name, **asked)
    st.vega_lite_chart(counts, filter_plots.scores(counts, told.threshold), key="filter_scores")
    seen = "the same model" if told.recall is None else "a model that had not seen them"
    st.caption(
        "Usable samples by score, on a logarithmic scale; the dashed line is the threshold. A person's label overrides "
        f"the score. Labelled samples stand at the score of {seen}."
    )


def thresholds(points: list[dict[str, float]]) -> list[str]:
    """The points' thresholds with as few digits, four at least, as tell them apart; nine tell all float32 apart."""
    for digits in range(4, 10):
        found = [f"{point['threshold']:.{digits}g}" for point in points]
        if len(set(found)) == len(found):
            break
    return found
