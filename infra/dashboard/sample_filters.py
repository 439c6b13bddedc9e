"""The filters of the Samples page. The address carries each of them, so that a colleague can be sent what was found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import streamlit as st

from infra.dashboard.lake_sql import ask
from tasks.exporting import contract
from tasks.lake import Version
from tasks.samples import VERDICTS

SORTS: Final = {  # what is read → `sort` of sql/dashboard/found.sql, and the sign of its order
    "pool's order": ("row", 1),
    "highest score": ("score", -1),
    "lowest score": ("score", 1),
    "highest weight": ("weight", -1),
    "lowest weight": ("weight", 1),
    "most similar": ("similarity", -1),
    "least similar": ("similarity", 1),
    "largest": ("pixels", -1),
    "smallest": ("pixels", 1),
}
REASONS: Final = 200  # that can be chosen from, the most frequent


class Asked(NamedTuple):
    """What was asked for."""

    category: str | None  # whose scores are shown and bounded
    parameters: dict[str, Any]  # of sql/dashboard/found.sql

    @property
    def digest(self) -> str:
        text = json.dumps([self.category, self.parameters], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def filters(version: Version) -> Asked:
    """The fields, and what they say."""
    said = _texts() | _verdicts(version)
    with st.expander("Scores, weights, sizes, order"):
        category, bounds = _figures(contract.categories(version))
        sort, sign = SORTS[st.selectbox("Order", list(SORTS), key="order", bind="query-params")]
    return Asked(category, said | bounds | {"sort": sort, "sign": sign})


def _texts() -> dict[str, str]:
    columns = st.columns([5, 3, 3])
    fields = {
        "caption": ("Caption contains", "in capitals or not"),
        "uid": ("Uid begins with, or key", "uid or key"),
        "shard": ("Shard contains", "part of a path"),
    }
    return {
        name: column.text_input(label, key=name, placeholder=hint, bind="query-params").strip()
        for column, (name, (label, hint)) in zip(columns, fields.items(), strict=True)
    }


def _verdicts(version: Version) -> dict[str, list[str]]:
    known = ask(version, "dashboard/reasons").to_pylist()
    stages = sorted({row["stage"] for row in known if row["stage"]})
    reasons = list(dict.fromkeys(row["reason"] for row in known if row["reason"]))[:REASONS]
    columns = st.columns([4, 3, 4])
    return {
        "verdicts": _several(columns[0], "Verdict", VERDICTS, "verdict"),
        "stages": _several(columns[1], "Taken out by", stages, "stage"),
        "reasons": _several(columns[2], "Reason", reasons, "reason"),
    }


def _several(column: Any, label: str, options: Sequence[str], key: str) -> list[str]:
    chosen: list[str] = column.multiselect(label, options, key=key, placeholder="any", bind="query-params")
    return chosen


def _figures(categories: Sequence[str]) -> tuple[str | None, dict[str, float | None]]:
    """A category whose scores are shown, and the bounds of figures; None where nothing was asked."""
    columns = st.columns(7)
    category = columns[0].selectbox("Score of", categories, None, key="category", placeholder="–", bind="query-params")
    fields = {
        "score_from": ("Score from", 0.0, category is None), "score_to": ("to", 0.0, category is None),
        "weight_from": ("Weight from", 0.0, False), "weight_to": ("to", 0.0, False),
        "side_from": ("Shorter side from", 0, False), "side_to": ("Longer side to", 0, False),
    }  # fmt: skip
    bounds = {
        name: column.number_input(
            label, min_value=least, value=None, key=name, disabled=off, placeholder="any", bind="query-params"
        )
        for column, (name, (label, least, off)) in zip(columns[1:], fields.items(), strict=True)
    }
    if category is None:
        bounds |= {"score_from": None, "score_to": None}
    return category, bounds
