"""Pools drawn from sources of which the truth is known, and what the audit sums of them, by its definitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.groups.contingency import Tables
from tasks.groups.residual_harm import Harm
from tasks.words.changes import Influence, Shares

Floats = NDArray[np.float64]


class Source(NamedTuple):
    """Where pools come from. A term, an attribute and a score go together; a filter takes some, weights undo part."""

    units: int  # near-duplicate groups of a pool
    share: float  # of groups that have the term
    kept: tuple[float, float] = (0.75, 0.93)  # chance to pass the filter, with the term and without it
    attribute: tuple[float, float] = (0.2, 0.1)  # the same of the attribute
    clusters: bool = False  # of one, three or six captions; else of one
    agree: float = 1.0  # chance that a caption has its group's term, else one drawn anew
    spread: float = 0.0  # of the logarithm of weights that no term explains
    rare: bool = False  # scores: one in a hundred is high


class Pool(NamedTuple):
    """One row a sample, (n,)."""

    unit: NDArray[np.int64]
    term: NDArray[np.bool_]
    attribute: NDArray[np.bool_]
    passed: NDArray[np.bool_]
    kept: NDArray[np.bool_]
    weight: Floats
    score: Floats


SOURCES: Final[Mapping[str, Source]] = {
    "plain, 150 of 1,500": Source(1500, 0.1),
    "rare, 30 of 3,000": Source(3000, 0.01),
    "rare, hardly ever taken": Source(3000, 0.01, kept=(0.99, 0.97)),
    "rare, next to never taken": Source(3000, 0.01, kept=(1.05, 0.97)),
    "rare, mostly taken": Source(3000, 0.012, kept=(0.08, 0.9)),
    "half of all": Source(1500, 0.5, kept=(0.9, 0.8)),
    "clusters": Source(1500, 0.08, clusters=True),
    "rare clusters": Source(3000, 0.012, kept=(0.9, 0.95), clusters=True),
    "captions of a cluster differ": Source(1500, 0.1, clusters=True, agree=0.7),
    "uneven weights": Source(3000, 0.05, spread=0.6),
    "uneven weights, clusters": Source(3000, 0.05, clusters=True, spread=0.6),
    "rare high scores": Source(4000, 0.03, rare=True, spread=0.3),
    "rare high scores, clusters": Source(8000, 0.02, rare=True, clusters=True),
}


def draw(source: Source, rng: np.random.Generator, units: int | None = None) -> Pool:
    units = units or source.units
    size = rng.choice([1, 3, 6], units, p=[0.7, 0.2, 0.1]) if source.clusters else np.ones(units, np.int64)
    unit = np.repeat(np.arange(units), size)
    own = rng.random(units) < source.share
    term = np.where(rng.random(len(unit)) < source.agree, own[unit], rng.random(len(unit)) < source.share)
    attribute = rng.random(units) < np.where(own, *source.attribute)
    other = rng.random(units) < 0.5
    passed = (rng.random(units) < np.clip(np.where(own, *source.kept) - 0.06 * other, 0.02, 0.995))[unit]
    first = np.ones(len(unit), np.bool_)
    first[1:] = unit[1:] != unit[:-1]
    weight = np.exp(rng.normal(0, source.spread, units) + 0.1 * own + 0.05 * other)[unit]
    high = rng.random(units) < (0.02 if source.rare else 1) * np.where(attribute, 2, 0.5)
    score = np.where(high, rng.beta(4, 3, units), rng.beta(0.4, 40 if source.rare else 8, units))[unit]
    kept = passed & first
    return Pool(unit, term, attribute[unit], passed, kept, weight * kept, score)


def units_of(pool: Pool, stage: str) -> Floats:
    """(u, 4) a unit's mass with both, with the term, with the attribute, and all, at a stage."""
    there = {"pool": np.ones(len(pool.unit)), "after_filter": pool.passed, "kept": pool.kept, "weighted": pool.weight}
    mass, units = there[stage].astype(np.float64), pool.unit[-1] + 1
    if stage in ("pool", "after_filter"):
        mass = np.divide(mass, np.bincount(pool.unit, mass, units)[pool.unit], where=mass > 0, out=np.zeros(len(mass)))
    has = (pool.term & pool.attribute, pool.term, pool.attribute, np.ones(len(mass), np.bool_))
    return np.stack([np.bincount(pool.unit, mass * bit, units) for bit in has], axis=1)


def tables(units: Floats) -> Tables:
    return Tables(units.sum(axis=0)[None], (units.T @ units)[None], float(units[:, 3].max()))


def through_filter(pool: Pool) -> Shares:
    held = np.bincount(pool.unit, pool.term)
    deff = (held @ held) / max(held.sum(), 1)
    counts = (pool.term & pool.passed).sum(), pool.term.sum(), deff
    return Shares(*(np.array([count], np.float64) for count in counts), int(pool.passed.sum()), len(pool.unit))


def through_all(pool: Pool) -> Shares:
    units = pool.unit[-1] + 1
    held, size = np.bincount(pool.unit, pool.term, units), np.bincount(pool.unit)
    trials = (held > 0).sum() if ((held == 0) | (held == size)).all() else 0
    counts = (pool.term & pool.kept).sum(), trials, 1.0
    return Shares(*(np.array([count], np.float64) for count in counts), int(pool.kept.sum()), units)


def weighted(pool: Pool) -> tuple[float, Influence, Floats]:
    """The weighted change, its influence, and (u, 3) a unit's mass with the term, its mass, its part with the term."""
    size = np.bincount(pool.unit)
    mass, held = np.bincount(pool.unit, pool.weight), np.bincount(pool.unit, pool.weight * pool.term)
    has = np.bincount(pool.unit, pool.term) / size
    p, p_weighted = has.mean(), held.sum() / mass.sum()
    z = p * (held / p_weighted - mass) / mass.mean() - has + p if p_weighted else np.zeros(len(mass))
    sums = (np.array([value]) for value in ((z**2).sum(), (z**4).sum(), p))
    return p_weighted / p - 1, Influence(*sums, len(size)), np.stack([held, mass, has], axis=1)


def harm(pool: Pool) -> tuple[Harm, Floats]:
    mass, scored = np.bincount(pool.unit, pool.weight), np.bincount(pool.unit, pool.weight * pool.score)
    mean = scored.sum() / mass.sum()
    z = scored - mean * mass
    sums = (mean, (mass > 0).sum(), mass.sum(), mass @ mass, z @ z, (z**2) @ (z**2))
    return Harm(*(np.array([value], np.float64) for value in sums)), np.stack([scored, mass], axis=1)
