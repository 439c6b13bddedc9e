"""How often the audit's 95% intervals hold what is true of the source, and how wide they are beside alternatives.

Pools are drawn from sources of which the truth is known (the same figures of a pool of two million near-duplicate
groups), 1,000 a setting, and every interval that the audit prints is computed from each: changes by the filter, by
everything and by weight, PMI, log odds ratio, odds ratio of removal, residual harm. Then labels are drawn 1,000 times
from one pool, for what they correct; and 1,000 pools are tested, for the share of false discoveries.

The alternative that is named is the narrowest that holds the truth in 93% of the draws, or else the one that comes
nearest. Wald: normal, with the same variance. Unpaired: kept and pool as two independent samples. Bootstrap: of the
near-duplicate groups, 200 times, percentiles, on the first 200 draws. Woolf: of samples, as if none were a
near-duplicate.
Run: python -m tests.benchmarks.bench_coverage [--draws 1000] [--only change]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tasks.groups import contingency, residual_harm
from tasks.groups.contingency import Tables
from tasks.words import changes
from tests.benchmarks.corrected_coverage import corrected
from tests.benchmarks.coverage_pools import (
    SOURCES,
    Floats,
    Pool,
    Source,
    draw,
    harm,
    tables,
    through_all,
    through_filter,
    units_of,
    weighted,
)
from tests.benchmarks.false_discoveries import discoveries

COVERED: Final = 0.93
MIN_COUNT: Final = 20  # captions with a term, for the audit to list it
RESAMPLES: Final = 200
BOOTSTRAPPED: Final = 200  # draws
TRUTH: Final = 2_000_000
Z: Final = 1.959964

Bounds = tuple[float, float]
NONE: Final = (np.nan, np.nan)
Resamples = NDArray[np.int64] | None  # (RESAMPLES, u) how often each unit is drawn again


def resampled(pool: Pool, rng: np.random.Generator) -> NDArray[np.int64]:
    units = int(pool.unit[-1]) + 1
    return rng.multinomial(units, np.full(units, 1 / units), size=RESAMPLES)


def bootstrap(again: Resamples, units: Floats, figure: Callable[[Floats], Floats]) -> dict[str, Bounds]:
    """Percentiles of a figure of sums over units drawn again with replacement; nothing where none are."""
    if again is None:
        return {}
    with np.errstate(all="ignore"):
        found = figure(again @ units)
    lower, upper = np.quantile(np.nan_to_num(found, nan=0.0), [0.025, 0.975], method="nearest")
    return {"bootstrap": (float(lower), float(upper))}


def one(interval: tuple[Floats, Floats]) -> Bounds:
    return float(interval[0][0]), float(interval[1][0])


def around(middle: float, variance: float) -> Bounds:
    half = Z * np.sqrt(variance)
    return middle - half, middle + half


def of_change_filter(pool: Pool, again: Resamples) -> dict[str, Bounds]:
    shares = through_filter(pool)
    x, n, deff = shares.through[0], shares.trials[0], shares.deff[0]
    if n < MIN_COUNT:
        return {"ours": NONE}
    ratio = x / shares.through_all * shares.trials_all / n
    unpaired = np.exp(np.array(around(np.log(ratio), deff * (1 / x + 1 / n)))) - 1 if x else NONE
    wald = np.array(around(x / n, x / n * (1 - x / n) / n * deff)) / shares.mean - 1
    score = one(changes.wilson(shares.through / shares.deff, shares.trials / shares.deff, 0.95))
    return {
        "ours": one(changes.paired_interval(shares)),
        "unpaired": (unpaired[0], unpaired[1]),
        "Wald": (wald[0], wald[1]),
        "Wilson": (score[0] / shares.mean - 1, score[1] / shares.mean - 1),
    }


def of_change(pool: Pool, again: Resamples) -> dict[str, Bounds]:
    shares = through_all(pool)
    x, n = shares.through[0], shares.trials[0]
    if pool.term.sum() < MIN_COUNT or not n:
        return {"ours": NONE}
    wald = np.array(around(x / n, x / n * (1 - x / n) / n)) / shares.mean - 1
    score = one(changes.wilson(shares.through, shares.trials, 0.95))
    return {
        "ours": one(changes.paired_interval(shares)),
        "Wald": (wald[0], wald[1]),
        "Wilson": (score[0] / shares.mean - 1, score[1] / shares.mean - 1),
    }


def of_change_weighted(pool: Pool, again: Resamples) -> dict[str, Bounds]:
    found, influence, units = weighted(pool)
    ours = one(changes.linearised_interval(np.array([found]), influence))
    if pool.term.sum() < MIN_COUNT or np.isnan(ours[0]):
        return {"ours": NONE}
    return {"ours": ours} | bootstrap(again, units, lambda s: s[:, 0] / s[:, 1] / (s[:, 2] / len(units)) - 1)


def of_association(figure: str, stage: str) -> Callable[[Pool, Resamples], dict[str, Bounds]]:
    def found(pool: Pool, again: Resamples) -> dict[str, Bounds]:
        units = units_of(pool, stage)
        table = tables(units)
        ours = one(contingency.intervals(table, 0.95)[figure == "log odds ratio"])
        if np.isnan(ours[1]):
            return {"ours": NONE}
        return {"ours": ours, "Wald": wald_of(figure, table)} | bootstrap(again, units, partial(of_sums, figure))

    return found


def of_sums(figure: str, sums: Floats) -> Floats:
    """(s, 4) masses → (s,) the figure."""
    return FIGURES[figure](Tables(sums, np.zeros((len(sums), 4, 4)), 1.0))


FIGURES: Final = {"PMI": contingency.pmi, "log odds ratio": contingency.log_odds_ratio}


def wald_of(figure: str, table: Tables) -> Bounds:
    """Normal on the figure's own scale, linearised over units."""
    both, group, attribute, everything = table.mass[0]
    cells = both, group - both, attribute - both, everything - group - attribute + both
    if min(cells) <= 0:
        return NONE
    if figure == "PMI":
        slope = np.array([1 / both, -1 / group, -1 / attribute, 1 / everything])
    else:
        a, b, c, d = (1 / cell for cell in cells)
        slope = np.array([a + b + c + d, -b - d, -c - d, d])
    return around(float(FIGURES[figure](table)[0]), float(slope @ table.products[0] @ slope))


def of_removal(pool: Pool, again: Resamples) -> dict[str, Bounds]:
    removed = pool._replace(attribute=~pool.passed)
    units = units_of(removed, "pool")
    table = tables(units)
    ours = one(contingency.intervals(table, 0.95)[1])
    if np.isnan(ours[1]):
        return {"ours": NONE}
    cells = [(pool.term == a) & (pool.passed == b) for a in (True, False) for b in (True, False)]
    counts = np.array([cell.sum() for cell in cells], np.float64)
    middle = float(contingency.log_odds_ratio(table)[0])
    woolf = around(middle, (1 / counts).sum()) if counts.min() else NONE
    others = {"Wald": wald_of("log odds ratio", table), "Woolf": woolf}
    return {"ours": ours} | others | bootstrap(again, units, partial(of_sums, "log odds ratio"))


def of_harm(pool: Pool, again: Resamples) -> dict[str, Bounds]:
    found, units = harm(pool)
    ours = one(residual_harm.interval(found))
    if np.isnan(ours[0]):
        return {"ours": NONE}
    wald = around(float(found.mean[0]), float(found.second[0] / found.mass[0] ** 2))
    return {"ours": ours, "Wald": wald} | bootstrap(again, units, lambda s: s[:, 0] / s[:, 1])


def truths(source: Source, rng: np.random.Generator) -> dict[str, float]:
    pool = draw(source, rng, TRUTH)
    filtered, everything = through_filter(pool), through_all(pool)
    found = {
        "change by the filter": filtered.through[0] / filtered.trials[0] / filtered.mean - 1,
        "change by everything": everything.through[0] / everything.trials[0] / everything.mean - 1
        if everything.trials[0]
        else np.nan,
        "change by weight": weighted(pool)[0],
        "odds ratio of removal (log)": float(
            contingency.log_odds_ratio(tables(units_of(pool._replace(attribute=~pool.passed), "pool")))[0]
        ),
        "residual harm": float(harm(pool)[0].mean[0]),
    }
    for stage in ("pool", "weighted"):
        table = tables(units_of(pool, stage))
        found |= {f"{name}, {stage}": float(figure(table)[0]) for name, figure in FIGURES.items()}
    return found


INTERVALS: Final[Mapping[str, Callable[[Pool, Resamples], dict[str, Bounds]]]] = {
    "change by the filter": of_change_filter,
    "change by everything": of_change,
    "change by weight": of_change_weighted,
    "PMI, pool": of_association("PMI", "pool"),
    "log odds ratio, pool": of_association("log odds ratio", "pool"),
    "PMI, weighted": of_association("PMI", "weighted"),
    "log odds ratio, weighted": of_association("log odds ratio", "weighted"),
    "odds ratio of removal (log)": of_removal,
    "residual harm": of_harm,
}


def cover(name: str, setting: str, truth: float, drawn: list[dict[str, Bounds]]) -> None:
    """Print one row: coverage and median width of what is printed, and of the best alternative on the same draws."""
    printed = [found for found in drawn if not np.isnan(found["ours"]).all()]
    if len(printed) < max(0.02 * len(drawn), 5):
        print(f"{name:28} {setting:30} {len(printed) / len(drawn):8.2f}  none printed", flush=True)
        return
    methods = {method: np.array([found[method] for found in printed if method in found]) for method in printed[0]}
    judged = {method: _judge(bounds, truth) for method, bounds in methods.items()}
    share, width = judged.pop("ours")
    best = min(
        judged,
        key=lambda method: (
            judged[method][0] < COVERED,
            judged[method][1] if judged[method][0] >= COVERED else -judged[method][0],
        ),
    )
    flag = "  BELOW" if share < COVERED else ""
    print(
        f"{name:28} {setting:30} {len(printed) / len(drawn):8.2f} {share:9.3f} {width:9.4f}   "
        f"{best:12} {judged[best][0]:6.3f} {judged[best][1]:9.4f}{flag}",
        flush=True,
    )


def _judge(bounds: Floats, truth: float) -> tuple[float, float]:
    """How often bounds hold the truth (what is not given does not), and the median width of those that are finite."""
    held = (bounds[:, 0] - 1e-9 <= truth) & (truth <= bounds[:, 1] + 1e-9)
    width = bounds[:, 1] - bounds[:, 0]
    return float(held.mean()), float(np.median(width[~np.isnan(width)])) if (~np.isnan(width)).any() else np.nan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--only", default="", help="intervals whose name has this")
    options = parser.parse_args()
    print(
        f"{'interval':28} {'setting':30} {'printed':>8} {'coverage':>9} {'width':>9}   "
        f"{'best other':12} {'cover.':>6} {'width':>9}"
    )
    asked = {name: of for name, of in INTERVALS.items() if options.only in name}
    for setting, source in SOURCES.items() if asked else ():
        rng = np.random.default_rng(1)
        truth = truths(source, rng)
        found: dict[str, list[dict[str, Bounds]]] = {name: [] for name in asked}
        for number in range(options.draws):
            pool = draw(source, rng)
            again = resampled(pool, rng) if number < BOOTSTRAPPED else None
            for name, of in asked.items():
                found[name].append(of(pool, again))
        for name, drawn in found.items():
            cover(name, setting, truth[name], drawn)
    if options.only in "corrected":
        corrected(options.draws, cover)
    if options.only in "false discoveries":
        for clusters in (False, True):
            discoveries(options.draws, clusters)


if __name__ == "__main__":
    main()
