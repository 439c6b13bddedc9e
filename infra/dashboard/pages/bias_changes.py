"""Words, phrases and groups of terms: how much rarer or more frequent each became at each step, and how surely."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import streamlit as st

from infra.dashboard.lake_sql import ask
from infra.dashboard.pages import figures
from infra.dashboard.pages.paging import turned
from tasks.files import read_table
from tasks.lake import Version
from tasks.reporting import bias_plots
from tasks.reporting.bias_report import CHANGES
from tasks.reporting.wording import count, plural, share, signed
from tasks.words import changes

ROWS: Final = 50  # of a page of the table
PLOTTED: Final = 15  # of these
ORDERS: Final = {
    "change by the filter": "change_filter",
    "change by deduplication": "change_dedup",
    "change in all": "change",
    "change by weight": "change_weighted",
    "odds of removal": "removal_odds_ratio",
    "captions in the pool": "n_pool",
}
LONGEST: Final = {"words": 1, "words and phrases": 99}
_PERCENT: Final = st.column_config.NumberColumn(width=80, format="%+.1f%%")
WIDTHS: Final = {
    **dict.fromkeys(("by filter", "by dedup", "in all *", "by weight *"), _PERCENT),
    **dict.fromkeys(
        ("95% of it", "95% of that", "95% of those", "95% of these"), st.column_config.TextColumn(width=128)
    ),
    "support": st.column_config.TextColumn(width=150),
    "removal odds": st.column_config.NumberColumn(width=90, format="×%.2f"),
}

Row = Mapping[str, Any]


def in_short(version: Version, account: Mapping[str, Any]) -> None:
    """The report's account in words, and the keywords' plot."""
    figures.show("bias_short.html", bias=account)


def words(version: Version, account: Mapping[str, Any]) -> None:
    """The whole vocabulary, searched and sorted, with a plot of the first rows."""
    asked = _asked(account["weighted"])
    path = version.artifact_file("audit", "words.parquet")
    rows = ask(version, "dashboard/bias_words", words=path, rows=ROWS, skip=0, **asked).to_pylist()
    matching = rows[0]["matching"] if rows else 0
    if not matching:
        st.write("No word or phrase of the audit fits. Rarer ones than `audit.min_count` are not audited.")
        return
    skip = turned(matching, ROWS, f"bias_page_{asked}")
    if skip:
        rows = ask(version, "dashboard/bias_words", words=path, rows=ROWS, skip=skip, **asked).to_pylist()
    _table(rows, "term", account, f"bias_table_{skip}")
    told = account["told"]
    _notes(
        account, f"{count(told.significant)} of {count(told.tested)} words and phrases tested", plural(matching, "row")
    )
    _plot(rows[:PLOTTED], "term", account["weighted"])


def _asked(weighted: bool) -> dict[str, Any]:
    """What the reader wants to see, as the question's parameters."""
    first, second, third, fourth = st.columns([3, 2, 2, 2], vertical_alignment="bottom")
    orders = [name for name, column in ORDERS.items() if weighted or column != "change_weighted"]
    search = first.text_input("Search", max_chars=100, placeholder="part of a word or phrase", key="bias_search")
    order = second.selectbox("Largest first by", orders, key="bias_order")
    longest = third.selectbox("Count", list(LONGEST), key="bias_longest")
    least = fourth.number_input("Captions in the pool, at least", 0, value=0, step=50, key="bias_least")
    with st.container(horizontal=True):
        significant = st.toggle("significant only", key="bias_significant")
        keywords = st.toggle("only what `audit.keywords` asks for", key="bias_asked")
    return {
        "search": searched(search),
        "by": ORDERS[order],
        "longest": LONGEST[longest],
        "least": int(least),
        "significant": significant,
        "asked": keywords,
    }


def searched(text: str) -> str:
    """As terms are written: lower case, composed, single spaces."""
    return " ".join(unicodedata.normalize("NFC", text.replace("’", "'")).lower().split())


def groups(version: Version, account: Mapping[str, Any]) -> None:
    """Groups of terms, the intersections among them, as the configuration declares them."""
    if not account["grouped"]:
        st.write(
            "No groups of terms were audited. `audit.groups` in the configuration names a file of them; the package's "
            "`infra/groups/people.toml` is an example to edit."
        )
        return
    rows = [row for row in read_table(version.artifact_file("audit", "groups.parquet")).to_pylist() if row["n_pool"]]
    if not rows:
        st.write("No caption of the pool is in any of the groups that the configuration declares.")
        return
    rows.sort(key=lambda row: -abs(row["change_filter"] or 0.0))
    st.write("Whom captions name: words, not people in images.")
    _table(rows, "group", account, "bias_groups")
    changed = sum(bool(row["significant"]) for row in rows)
    _notes(
        account, f"{count(changed)} of {count(account['told'].groups_tested)} groups tested", plural(len(rows), "group")
    )
    _plot(rows[:PLOTTED], "group", account["weighted"])


def _table(rows: Sequence[Row], name: str, account: Mapping[str, Any], key: str) -> None:
    """One row a term or group, through all steps."""
    weighted, lost = account["weighted"], account["not_restored"]
    columns: dict[str, Any] = {
        name: [row[name] for row in rows],
        "pool": [row["n_pool"] for row in rows],
        "behind filter": [row["n_after_filter"] for row in rows],
        "kept": [row["n_kept"] for row in rows],
        "by filter": _percents(rows, "change_filter"),
        "95% of it": [interval(row, "change_filter") for row in rows],
        "by dedup": _percents(rows, "change_dedup"),
        "in all *": _percents(rows, "change"),
        "95% of that": [interval(row, "change") for row in rows],
    }
    if weighted:
        columns["by weight *"] = _percents(rows, "change_weighted")
        columns["95% of those"] = [interval(row, "change_weighted") for row in rows]
    columns["support"] = [support(row, weighted, lost) for row in rows]
    columns["significant"] = [bool(row["significant"]) for row in rows]
    columns["removal odds"] = [row["removal_odds_ratio"] for row in rows]
    columns["95% of these"] = [interval(row, "removal_odds_ratio", "{:.2f}".format) for row in rows]
    shown = {head: WIDTHS[head] for head in columns if head in WIDTHS}
    st.dataframe(pa.table(columns), hide_index=True, column_config=shown, placeholder="–", key=key)


def _percents(rows: Sequence[Row], name: str) -> pa.Array:
    return pa.array([None if row[name] is None else 100 * row[name] for row in rows], pa.float64())


def interval(row: Row, name: str, figure: Any = signed) -> str:
    """The bounds as text; empty where there is none. An open bound of odds is infinite."""
    lower, upper = row[f"{name}_lower"], row[f"{name}_upper"]
    if lower is None:
        return ""
    return f"{figure(lower)} … {'∞' if upper is None else figure(upper)}"


def support(row: Row, weighted: bool, lost: set[str]) -> str:
    """What too few captions carry; empty where nothing is lacking."""
    if row.get("term") in lost:
        return "no support: not restored"
    if not row["n_kept"]:
        return "none is left"
    effective = row["effective_groups"]
    if weighted and effective is not None:
        if effective < changes.TOO_FEW_GROUPS:
            return f"no support: counts as {effective:.0f} groups"
        if effective < changes.FEW_GROUPS:
            return f"few: counts as {effective:.0f} groups"
    return ""


def _notes(account: Mapping[str, Any], changed: str, found: str) -> None:
    told = account["told"]
    st.caption(
        f"{found}. Each change is exact for this pool; its interval (95%, each for itself) says what another pool of "
        f"this size from the same source would show. {changed} changed by more than {share(told.tau)} beyond chance by "
        f"the filter, at a false-discovery rate of {share(told.fdr)}. \\* Each group of near-duplicates in the pool "
        "counts once. No interval: too few groups carry it, or the step did nothing."
    )


def _plot(rows: Sequence[Row], name: str, weighted: bool) -> None:
    """The first rows as a forest."""
    kinds = [one for one in CHANGES if one[0] != "weighted" or weighted]
    shown = [
        bias_plots.Row(row[name], [_mark(row, kind, column) for kind, column, _ in kinds])
        for row in rows
        if any(row[column] is not None for _, column, _ in kinds)
    ]
    if not shown:
        return
    plot = bias_plots.forest(shown, bias_plots.change_axis(shown), "change of the share among captions")
    figures.show("bias_plot.html", key=bias_plots.key([(kind, text) for kind, _, text in kinds]), plot=plot)


def _mark(row: Row, kind: str, column: str) -> bias_plots.Mark:
    return bias_plots.Mark(kind, row[column], row[f"{column}_lower"], row[f"{column}_upper"])
