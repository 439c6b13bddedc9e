"""The changes of counted terms or groups as columns of a table: exact facts of the pool, with intervals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from tasks.words import changes
from tasks.words.changes import Shares
from tasks.words.counting import Counts
from tasks.words.removal_odds import Removed, removal_odds

LEVEL = 0.95  # of every interval that stands alone
DIGITS = 6  # of every figure that is written


def change_figures(counts: Counts, tau: float) -> dict[str, np.ndarray]:
    """Column name → (t,) figures, as tasks/audit.py describes them; NaN is undefined."""
    of, totals = counts.of, counts.totals
    reference = counts.reference, totals["n_units"]
    through = through_filter(counts)
    return {
        "change_filter": changes.change(of("n_after_filter"), totals["n_after_filter"], of("n_pool"), totals["n_pool"]),
        **bounds("change_filter", paired_interval(through, LEVEL)),
        "change_dedup": changes.change(of("n_kept"), totals["n_kept"], of("n_after_filter"), totals["n_after_filter"]),
        "change": changes.change(of("n_kept"), totals["n_kept"], *reference),
        **bounds("change", paired_interval(_through_all(counts), LEVEL)),
        "change_weighted": changes.change(of("mass"), totals["mass"], *reference),
        **_weighted(counts),
        "p_value": _each(lambda shares: (changes.p_values(shares, tau),), through)[0],
    }


def removal_figures(counts: Counts) -> dict[str, np.ndarray]:
    """(t,) odds of being filtered with the term over the odds without it; NaN is undefined, infinity possible."""
    of, totals = counts.of, counts.totals
    inside = Removed(of("n_pool") - of("n_after_filter"), of("n_pool"), of("squares"))
    outside = Removed(
        totals["n_pool"] - totals["n_after_filter"] - inside.filtered,
        totals["n_pool"] - inside.captions,
        totals["unit_squares"] - 2 * of("crossed") + inside.squares,
    )
    ratio, *interval = removal_odds(inside, outside, LEVEL)
    return {"removal_odds_ratio": ratio, **bounds("removal_odds_ratio", (interval[0], interval[1]))}


def paired_interval(shares: Shares, level: float) -> tuple[np.ndarray, np.ndarray]:
    """`changes.paired_interval`, (t,) each."""
    lower, upper = _each(lambda some: changes.paired_interval(some, level), shares)
    return lower, upper


def _each(figures: Callable[[Shares], tuple[np.ndarray, ...]], shares: Shares) -> list[np.ndarray]:
    """The figures of all terms, computed once where several have the same counts: most rare terms do."""
    order = np.lexsort([shares.deff, shares.trials, shares.through])
    columns = [values[order] for values in (shares.through, shares.trials, shares.deff)]
    new = np.ones(len(order), np.bool_)
    new[1:] = np.any([values[1:] != values[:-1] for values in columns], axis=0)
    number = np.empty(len(order), np.int64)
    number[order] = np.cumsum(new) - 1
    through, trials, deff = (values[new] for values in columns)
    distinct = Shares(through, trials, deff, shares.through_all, shares.trials_all)
    return [figure[number] for figure in figures(distinct)]


def through_filter(counts: Counts) -> Shares:
    """Of a term's captions in the pool, those that the filter let through."""
    of, totals = counts.of, counts.totals
    deff = np.nan_to_num(changes.divide(of("squares"), of("n_pool")), nan=1.0)
    return Shares(of("n_after_filter"), of("n_pool"), deff, totals["n_after_filter"], totals["n_pool"])


def _through_all(counts: Counts) -> Shares:
    """Of a term's near-duplicate groups, those that kept a caption with it.

    None where a group keeps two of them or only some of its captions have the term: it is no yes or no then.
    """
    of, totals = counts.of, counts.totals
    whole = (of("kept_squares") == of("n_kept")) & (counts.reference == of("n_units"))
    units = np.where(whole, of("n_units"), 0)
    return Shares(of("n_kept"), units, np.ones(len(units)), totals["n_kept"], totals["n_units"])


def _weighted(counts: Counts) -> dict[str, np.ndarray]:
    """Bounds of the weighted change, and the effective number of near-duplicate groups that carry them."""
    totals, influence = counts.totals, counts.influence
    if influence is None:
        nothing = np.full(len(counts.terms), np.nan)
        return {**bounds("change_weighted", (nothing, nothing)), "effective_groups": nothing}
    weighted = changes.change(counts.of("mass"), totals["mass"], counts.reference, totals["n_units"])
    interval = changes.linearised_interval(weighted, influence, LEVEL)
    return {**bounds("change_weighted", interval), "effective_groups": influence.effective_groups}


def bounds(name: str, interval: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{name}_lower": interval[0], f"{name}_upper": interval[1]}


def column(values: np.ndarray) -> pa.Array:
    """Rounded, no negative zero; null for what is undefined or infinite."""
    finite = np.where(np.isfinite(values), values, np.nan)
    return pa.array(np.round(finite, DIGITS) + 0.0, from_pandas=True)
