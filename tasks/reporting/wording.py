"""Figures in words, the same in report, dataset card and screen. Every function takes None for unknown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.reporting.findings import Funnel

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


def percentage_points(value: float) -> str:
    """A difference of shares in percentage points: −0.0014 → −0.14"""
    return f"{100 * value:+.2f}".replace("-", "−")


def figures(value: float | None) -> str:
    """At most four significant figures."""
    if value is None:
        return UNKNOWN
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}").replace("-", "−")


def odds(logarithm: float | None) -> str:
    """A log odds ratio as a factor: 0.693 → ×2; −∞ → ×0."""
    if logarithm is None:
        return UNKNOWN
    if math.isinf(logarithm):
        return "×∞" if logarithm > 0 else "×0"
    factor = math.exp(logarithm)
    return "×" + (f"{factor:,.0f}" if factor >= 100 else f"{factor:.2g}" if factor < 1 else f"{factor:.3g}")


def listing(items: Sequence[str]) -> str:
    """a, b and c"""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def of(some: int, every: int) -> str:
    """3 of the 7, none of the 7, all 7: how many of several, before what they are."""
    if some == every:
        return f"all {every:,}"
    return f"{some:,} of the {every:,}" if some else f"none of the {every:,}"


def short(text: str | None, length: int) -> str:
    """One line of at most `length` characters, without what a terminal would act on."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text or "").split())
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
    steps = (
        (funnel.quarantined, "not usable"),
        (funnel.filtered, "filtered out"),
        (funnel.duplicates, "removed as near-duplicates"),
    )
    lost = [f"{number:,} {word}" for number, word in steps if number]
    kept = f"{funnel.kept:,} of {plural(funnel.read, 'sample')} kept"
    return f"{kept}: {', '.join(lost)}." if lost else f"{kept}: nothing was removed."


def effect(keywords: Sequence[Mapping[str, Any]], *, weighted: bool) -> str | None:
    """What the filter did to the first two words asked for, and what stands after weighting; None if unknown."""
    known = [row for row in keywords if row.get("change_filter") is not None][:2]
    if not known:
        return None
    told = _each(known, "change_filter")
    text = f"The filter changed how often captions say {told}"
    if not weighted or any(row.get("change_weighted") is None for row in known):
        return f"{text}."
    left = " and ".join(signed(row["change_weighted"]) for row in known)
    return f"{text}; in what is kept, with its weights, the change is {left}."


def _each(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    return " and ".join(f"“{row['label']}” by {signed(row[name])}" for row in rows)
