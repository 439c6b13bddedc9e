"""Coverage of what drawn labels correct: labels are drawn again and again from one pool whose truth is known.

Beside it stand a normal interval with the same strata and variance; as many labels drawn from all of the pool (Wilson
on each side, recovered variances); and the verdict's shares corrected by one pooled sensitivity and specificity (Rogan
and Gladen 1978, bootstrap of the labels), which knows nothing of a classifier that errs more often for one group.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.groups import stratified
from tasks.groups.label_draw import edges
from tasks.groups.stratified import Estimate, Strata
from tasks.words import changes

Z: Final = 1.959964
Floats = NDArray[np.float64]
Bounds = tuple[float, float]
Cover = Callable[[str, str, float, list[dict[str, Bounds]]], None]


class Labels(NamedTuple):
    """A pool, of which some samples are to be labelled."""

    samples: int
    share: float  # of the group
    labels: int
    high: float = 0.02  # share of high scores outside the group; five times that inside
    masses: str = "once"  # near-duplicates once | filtered: what a threshold left | weighted


SETTINGS: Final = {
    "600 labels of 20,000": Labels(20_000, 0.1, 600),
    "600 labels, behind the filter": Labels(20_000, 0.1, 600, masses="filtered"),
    "600 labels, weighted": Labels(20_000, 0.1, 600, masses="weighted"),
    "300 labels, rare": Labels(20_000, 0.02, 300, high=0.004),
    "300 labels, rare, weighted": Labels(20_000, 0.02, 300, high=0.004, masses="weighted"),
    "300 labels of 500, weighted": Labels(500, 0.2, 300, masses="weighted"),
    "2,000 labels of 100,000": Labels(100_000, 0.05, 2000),
}


class Pool(NamedTuple):
    """(n,) each."""

    stratum: NDArray[np.int64]
    group: NDArray[np.bool_]
    flagged: NDArray[np.bool_]
    true: NDArray[np.bool_]
    mass: NDArray[np.float64]


def pool_of(one: Labels, rng: np.random.Generator) -> Pool:
    """The classifier misses more within the group than outside it."""
    n = one.samples
    group = rng.random(n) < one.share
    score = np.where(rng.random(n) < one.high * np.where(group, 5, 1), rng.beta(4, 2, n), rng.beta(0.4, 25, n))
    true = rng.random(n) < np.where(group, score**0.6, score**1.3)
    mass = {
        "once": 1 / rng.choice([1, 2, 5], n, p=[0.8, 0.15, 0.05]),
        "filtered": (score < 0.6).astype(np.float64),
        "weighted": np.exp(rng.normal(0, 0.6, n) + score / 2),
    }[one.masses]
    bins = edges(score, 3)
    return Pool(np.searchsorted(bins, score, side="right") + (len(bins) + 1) * group, group, score > 0.5, true, mass)


def strata_of(pool: Pool, labelled: NDArray[np.bool_]) -> Strata:
    strata, there = pool.stratum.max() + 1, pool.mass > 0
    given, positive = there & labelled, there & labelled & pool.true
    largest = np.zeros(strata)
    np.maximum.at(largest, pool.stratum[there & ~labelled], pool.mass[there & ~labelled])
    sums = [
        np.bincount(pool.stratum[rows], pool.mass[rows] ** power, strata)
        for rows, power in ((there, 0), (there, 1), (given, 0), (given, 1), (given, 2), (positive, 1), (positive, 2))
    ]
    return Strata(*sums[:2], largest, *sums[2:])


def equally(pool: Pool, labels: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(n,) as many of each stratum, or all of it."""
    sizes, chosen = np.bincount(pool.stratum), np.zeros(len(pool.stratum), np.bool_)
    equal = max(n for n in range(labels + 1) if np.minimum(sizes, n).sum() <= labels)
    for stratum, size in enumerate(sizes):
        chosen[rng.choice(np.flatnonzero(pool.stratum == stratum), min(size, equal), replace=False)] = True
    return chosen


def wald(strata: Strata, inside: NDArray[np.bool_]) -> tuple[float, float]:
    """Share over the chosen strata and its variance by the textbook, with finite-population correction."""
    share = changes.divide(strata.positive_mass, strata.labelled_mass)
    squares = (
        strata.positive_squares * (1 - share) ** 2 + (strata.labelled_squares - strata.positive_squares) * share**2
    )
    left = 1 - strata.labelled / np.maximum(strata.size, 1)
    variance = (
        changes.divide(squares, strata.labelled_mass**2) * left * strata.labelled / np.maximum(strata.labelled - 1, 1)
    )
    part = np.where(inside, strata.mass, 0) / strata.mass[inside].sum()
    return float(np.nansum(part * share)), float(np.nansum(part**2 * variance))


def side(pool: Pool, chosen: NDArray[np.bool_]) -> Estimate:
    """Of labels drawn from the whole pool: the share by mass, Wilson's limits on Kish's number."""
    mass = pool.mass[chosen]
    if not mass.sum():
        return Estimate(0.5, 0.0, 1.0)
    share, number = float(mass @ pool.true[chosen] / mass.sum()), mass.sum() ** 2 / (mass @ mass)
    lower, upper = changes.wilson(np.array([share * number]), np.array([number]), 0.95)
    return Estimate(share, float(lower[0]), float(upper[0]))


def pooled(pool: Pool, chosen: NDArray[np.bool_], rng: np.random.Generator) -> tuple[Bounds, Bounds]:
    """The group's share, and its difference to the others', by one sensitivity and specificity of the labelled."""
    rates = [float(pool.mass[side] @ pool.flagged[side] / pool.mass[side].sum()) for side in (pool.group, ~pool.group)]
    rows = np.flatnonzero(chosen)
    again = rows[rng.integers(0, len(rows), (100, len(rows)))]
    true, flagged = pool.true[again], pool.flagged[again]
    with np.errstate(all="ignore"):
        sensitivity, false = (true & flagged).sum(1) / true.sum(1), (~true & flagged).sum(1) / (~true).sum(1)
        found = np.array([(rate - false) / (sensitivity - false) for rate in rates])
        apart = np.nan_to_num(np.stack([found[0], found[0] - found[1]]))
    bounds = np.quantile(apart, [0.025, 0.975], axis=1)
    return (bounds[0, 0], bounds[1, 0]), (bounds[0, 1], bounds[1, 1])


def corrected(draws: int, cover: Cover) -> None:
    for setting, one in SETTINGS.items():
        rng = np.random.default_rng(11)
        pool = pool_of(one, rng)
        inside = np.bincount(pool.stratum, pool.group) > 0
        whole = strata_of(pool, np.ones(len(pool.true), np.bool_))
        true = stratified.combined(whole, inside), stratified.combined(whole, ~inside)
        truth = {
            "corrected share": true[0].share,
            "corrected difference": stratified.difference(*true).share,
            "corrected log odds ratio": stratified.log_odds_ratio(*true).share,
        }
        found: dict[str, list[dict[str, Bounds]]] = {name: [] for name in truth}
        for _ in range(draws):
            for name, bounds in drawn(pool, inside, one.labels, rng).items():
                found[name].append(bounds)
        for name, bounds in found.items():
            cover(name, setting, truth[name], bounds)


def drawn(pool: Pool, inside: NDArray[np.bool_], labels: int, rng: np.random.Generator) -> dict[str, dict[str, Bounds]]:
    strata = strata_of(pool, equally(pool, labels, rng))
    sides = stratified.combined(strata, inside), stratified.combined(strata, ~inside)
    normal = [wald(strata, chosen) for chosen in (inside, ~inside)]
    simple = np.zeros(len(pool.true), np.bool_)
    simple[rng.choice(len(pool.true), labels, replace=False)] = True
    apart = side(pool, simple & pool.group), side(pool, simple & ~pool.group)
    rogan = pooled(pool, simple, rng)
    gap, spread = normal[0][0] - normal[1][0], Z * np.sqrt(normal[0][1] + normal[1][1])
    within = Z * np.sqrt(normal[0][1])
    return {
        "corrected share": {
            "ours": sides[0][1:],
            "Wald": (normal[0][0] - within, normal[0][0] + within),
            "unstratified": apart[0][1:],
            "pooled": rogan[0],
        },
        "corrected difference": {
            "ours": stratified.difference(*sides)[1:],
            "Wald": (gap - spread, gap + spread),
            "unstratified": stratified.difference(*apart)[1:],
            "pooled": rogan[1],
        },
        "corrected log odds ratio": {
            "ours": stratified.log_odds_ratio(*sides)[1:],
            "unstratified": stratified.log_odds_ratio(*apart)[1:],
        },
    }
