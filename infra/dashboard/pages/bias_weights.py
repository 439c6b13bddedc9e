"""The weights: what they meet, what they cost, how they are spread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import streamlit as st
from markupsafe import Markup

from infra.dashboard.lake_sql import ask
from infra.dashboard.pages import figures
from tasks.lake import Version
from tasks.reporting import findings, plots
from tasks.reporting.wording import figures as figure

QUANTILES: Final = ("least", "1%", "5%", "25%", "median", "75%", "95%", "99%", "largest")
BINS: Final = 40


def show(version: Version, account: Mapping[str, Any]) -> None:
    """The report's account of the weights, and their quantiles."""
    if not account["weighted"]:
        st.write(f"Version {version.number} has no weights: each kept sample counts the same.")
        return
    (row,) = ask(version, "dashboard/bias_weights").to_pylist()
    drawn = {"weights": _histogram(version, max(row["quantiles"][-1], 1.0))}
    figures.show("bias_weights.html", bias=account, titles={"weights": "Weights"}, plots=drawn)
    told = [(name, figure(value)) for name, value in zip(QUANTILES, row["quantiles"], strict=True)]
    figures.show("bias_quantiles.html", quantiles=told, samples=row["samples"], mean=row["mean"])


def _histogram(version: Version, most: float) -> Markup:
    """A line marks the cap where a weight reaches it."""
    found = ask(version, "dashboard/bias_weight_bins", bins=BINS, most=most)
    counts = np.zeros(BINS, np.int64)
    counts[found["bin"].to_numpy()] = found["samples"].to_numpy()
    cap = findings.facts(version, "reweight").get("cap")
    limit = plots.Limit("cap", cap) if cap is not None and most >= cap * (1 - 1e-9) else None
    edges = np.linspace(0, most, BINS + 1).tolist()
    return plots.histogram(counts.tolist(), edges, limit, "weight of a kept sample", log=True)
