"""How many labels would certify a version's filter at best: asked of the version alone, so that a page can."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq
import streamlit as st

from infra.dashboard.lake_sql import ask, state
from tasks.certifying import label_plan
from tasks.certifying.certificate import round_level
from tasks.labels.rounds import read_rounds
from tasks.lake import Version


@dataclass(frozen=True)
class Needed:
    """The cheapest way to certify the wanted recall, if the draws show no positive that the filter misses."""

    recall: float  # wanted
    confidence: float  # of this look
    plan: label_plan.Plan | None  # None where no number of labels would do


def needed(version: Version, name: str) -> Needed:
    """Of the category's filter as it is in this version."""
    looks = sum(one.certification is not None for one in read_rounds(version.lake, name))
    return _needed(state(version), name, looks, version)


@st.cache_resource(max_entries=100, show_spinner=False)
def _needed(state: tuple[str, ...], name: str, looks: int, _version: Version) -> Needed:
    settings = next(one for one in _version.config["filter"]["category"] if one["name"] == name)
    facts = _version.summary["filter"]["categories"][name]
    sides = ask(_version, "dashboard/filter_size", category=name, threshold=facts["threshold"]).to_pylist()[0]
    labels = pq.read_metadata(_version.artifact_file(f"labels.{name}", "labels.parquet")).num_rows
    level = round_level(1 - settings["confidence"], looks + 1)
    plan = label_plan.needed(pool(facts, sides, labels), settings["recall"], level)
    return Needed(settings["recall"], 1 - level, plan)


def pool(facts: Mapping[str, Any], sides: Mapping[str, int], labels: int) -> label_plan.Pool:
    """The pool under the threshold, from the filter's summary of the category.

    sides: usable samples flagged and not. labels: all that were given. Positives are expected by the benign share of
    what is removed, which labels drawn at random tell, or else calibrated scores.
    """
    known = labels - facts["unknown_uids"] - facts["unusable_uids"]
    known_flagged = sides["flagged"] - facts["removed_by_score"]
    missed = facts["removed_by_label"] - (known_flagged - facts["kept_by_label"])  # labelled positive, but not flagged
    positives = facts["removed"] * (1 - (facts["benign"]["estimate"] or 0.0)) - missed
    return label_plan.Pool(
        sides["flagged"], sides["unflagged"], max(positives, 0.0), known_flagged, known - known_flagged, missed
    )
