"""What curation did to whom the captions name, in plain words: each sentence says a figure, none more than its figure.

The report and the dataset card print the same points. A point is a title and its sentences.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from tasks.reporting import bias_pair_words, bias_weights
from tasks.reporting.bias_findings import Bias, size
from tasks.reporting.bias_pairs import Row
from tasks.reporting.wording import count, listing, odds, of, plural, sentence, share, signed

NAMED: Final = 3  # terms or pairs that a sentence names
IN_PLOT: Final = "in the plot below"  # where the report has the rest
ALONE: Final = 0.95  # level of an interval that was not picked from many


class Point(NamedTuple):
    title: str
    text: str


def points(told: Bias) -> list[Point]:
    """The account in the order in which a reader asks."""
    makers: list[tuple[str, Callable[[Bias], list[str]]]] = [
        ("What was removed more often", _removed),
        ("Groups", _groups),
        ("How sure that is", _sure),
        ("What the weights give back", _given_back),
        ("What was not restored", lambda told: bias_weights.not_restored(told.weights)),
        ("Words that the weights were not shown", lambda told: bias_weights.held_out(told.weights)),
        ("What was declared", lambda told: bias_weights.declared(told.weights)),
        ("Who is described as what", bias_pair_words.associations),
        ("What is left of what was filtered", bias_pair_words.residual),
    ]
    found = [(title, make(told)) for title, make in makers]
    return [Point(title, " ".join(sentences)) for title, sentences in found if sentences]


def _removed(told: Bias) -> list[str]:
    pool, through = told.samples["pool"], told.samples["after_filter"]
    usable = plural(pool, "usable sample")
    if not pool:
        return ["The pool has no usable sample."]
    if through == pool:
        return [f"The filter removed none of the {usable}: by it, no word became rarer or more frequent."]
    if not through:
        return [f"The filter removed all of the {usable}: no captions are left to compare."]
    out = [f"The filter removed {count(pool - through)} of the {usable} ({share((pool - through) / pool)})."]
    return [*out, _tested(told), *_listed(told), *_asked(told)]


def _tested(told: Bias) -> str:
    if not told.tested:
        return "No word stands in enough captions to test whether its share of them changed."
    how = (
        f"by more than {share(told.tau)} and by more than chance explains (at a false-discovery rate of "
        f"{share(told.fdr)})"
    )
    if told.tested == 1:
        verb = "changed" if told.significant else "did not change"
        return f"The one word that is frequent enough to be tested {verb} {how}."
    found = sentence(of(told.significant, told.tested))
    return f"{found} words and phrases that are frequent enough to be tested changed {how}."


def _listed(told: Bias) -> list[str]:
    """The largest significant changes by the filter, falls before rises."""
    out: list[str] = []
    for verb, sign in (("Fell", -1), ("Rose", 1)):
        rows = [row for row in told.listed if sign * row["change_filter"] > 0][:NAMED]
        if rows:
            level = f"{share(told.listed_level)} interval" if not out else ""
            out.append(f"{verb} most: {_changes(rows, 'change_filter', level)}.")
    return out


def _changes(rows: Sequence[Row], name: str, level: str) -> str:
    """“woman” −11.7% (95% interval −16.7% to −7.5%), “man” …; the level is said once."""
    told = []
    for row in rows:
        low, high = row.get(f"{name}_lower"), row.get(f"{name}_upper")
        interval = "" if low is None or high is None else f"{signed(low)} to {signed(high)}"
        bracket = f" ({f'{level} '.lstrip()}{interval})" if interval else ""
        level = "" if interval else level
        told.append(f"“{row.get('group') or row['label']}” {signed(row[name])}{bracket}")
    return listing(told)


def _asked(told: Bias) -> list[str]:
    rows = [row for row in told.keywords if row["change_filter"] is not None]
    if not rows:
        return []
    more = f"; {plural(len(rows) - NAMED, 'more is', 'more are')} {IN_PLOT}" if len(rows) > NAMED else ""
    return [f"Asked for: {_changes(rows[:NAMED], 'change_filter', f'{share(ALONE)} interval')}{more}."]


def _groups(told: Bias) -> list[str]:
    if not told.groups_tested:
        return []
    rows = sorted((row for row in told.groups if row["significant"]), key=size)
    how = f"beyond chance and {share(told.tau)}"
    tested = plural(told.groups_tested, "group")
    if not rows:
        return [f"By the filter, none of the {tested} tested became rarer or more frequent {how}."]
    return [
        f"By the filter, {len(rows):,} of the {tested} tested became rarer or more frequent in captions {how}, most of "
        f"all {_changes(rows[:NAMED], 'change_filter', f'{share(ALONE)} interval')}.",
        *_removal(rows),
    ]


def _removal(rows: Sequence[Row]) -> list[str]:
    """The group whose odds of removal are highest, where its interval lies above 1."""
    sure = [row for row in rows if row["removal_odds_ratio"] and (row["removal_odds_ratio_lower"] or 0) > 1]
    if not sure:
        return []
    row = max(sure, key=lambda row: row["removal_odds_ratio_lower"])
    ratio, lower, upper = (_ratio(row[f"removal_odds_ratio{end}"]) for end in ("", "_lower", "_upper"))
    return [
        f"The odds of being removed were highest in “{row['group']}”: {ratio} those of the rest (95% interval {lower} "
        f"to {upper})."
    ]


def _ratio(value: float | None) -> str:
    """An odds ratio as a factor; a bound that is None is infinite."""
    return "any number" if value is None else odds(math.log(value))


def _sure(told: Bias) -> list[str]:
    if told.samples["pool"] in (0, told.samples["after_filter"]) or not told.samples["after_filter"]:
        return []
    return [
        "Each change is exact for this pool. Its interval says what another pool of this size from the same source "
        "would show; a change whose interval holds 0 may be chance. Groups of words say what captions say, not who is "
        "in an image."
    ]


def _given_back(told: Bias) -> list[str]:
    return bias_weights.given_back(told.weights) if told.weights or told.samples["kept"] else []
