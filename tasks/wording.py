"""Figures in words, the same wherever they are shown: report, dataset card, screen. Every function takes None for unknown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.findings import Funnel

UNKNOWN = "–"


def count(value: float | None) -> str:
    """1234 → 1,234"""
    return UNKNOWN if value is None else f"{value:,.0f}"


def share(value: float | None) -> str:
    """0.0523 → 5.2%; what is not wholly all or nothing never reads 100% or 0%."""
    if value is None:
        return UNKNOWN
    if 0 < value < 0.001:
        return "below 0.1%"
    if 0.999 < value < 1:
        return f"{math.floor(value * 10_000) / 100:.2f}%"
    return f"{value:.1%}".replace(".0%", "%")


def signed(value: float | None) -> str:
    """−0.1172 → −11.7%, with the true minus sign; less than a twentieth of a percent is 0."""
    if value is None:
        return UNKNOWN
    text = f"{100 * value:+.1f}%"
    return text.replace("-", "−") if float(text[:-1]) else "0.0%"


def figures(value: float | None) -> str:
    """At most four significant figures."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def short(text: str | None, length: int) -> str:
    """One line of at most `length` characters."""
    line = " ".join((text or "").split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def sentence(text: str) -> str:
    """With a capital letter and an end."""
    return text[:1].upper() + text[1:]


def plural(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def allowed(gate: Mapping[str, Any]) -> str:
    """The bounds of a gate's expectation."""
    low, high = gate.get("low"), gate.get("high")
    if low == high:
        return figures(low)
    if low is None or high is None:
        return f"at most {figures(high)}" if low is None else f"at least {figures(low)}"
    return f"{figures(low)} to {figures(high)}"


def headline(funnel: Funnel) -> str:
    """The funnel in a sentence."""
    if not funnel.read:
        return "The pool holds no sample."
    lost = [
        f"{number:,} {word}"
        for number, word in (
            (funnel.quarantined, "could not be used"),
            (funnel.filtered, "filtered out" if funnel.filtered != 1 else "was filtered out"),
            (funnel.duplicates, "near-duplicates" if funnel.duplicates != 1 else "near-duplicate"),
        )
        if number
    ]
    kept = f"{funnel.kept:,} of {plural(funnel.read, 'sample')} kept"
    return f"{kept}: {', '.join(lost)}." if lost else f"{kept}: nothing was removed."


def effect(keywords: Sequence[Mapping[str, Any]], *, weighted: bool) -> str | None:
    """What filtering did to the keyword that it changed most, and what the weights made of it; None where nothing is known."""
    known = [row for row in keywords if row.get("change_filter") is not None]
    if not known:
        return None
    most = max(known, key=lambda row: abs(row["change_filter"]))
    if signed(most["change_filter"]) == "0.0%":
        return "The filter changed no audited word's share of the captions."
    text = f"The filter changed the share of captions with “{most['label']}” by {signed(most['change_filter'])}"
    if not weighted or most.get("change_weighted") is None:
        return f"{text}."
    return f"{text}; with the weights it stands at {signed(most['change_weighted'])} of its share in the pool."
