"""Weights as whole numbers: how often a trainer that takes no weights sees each sample, right on average.

A sample of weight w is repeated w x factor times. That is rarely a whole number, so it is rounded up or down at random,
with the chances that make the expectation exact. The chances are drawn together (systematic sampling: Madow, 1949, "On
the theory of systematic sampling II"): each sample's expectation is the same as with one coin a sample, but the total
differs from its expectation by less than one, where coins give it a variance of sum q(1 - q).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.errors import UsageError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

MOST: Final = 1000  # the largest factor: a larger one is a slip


def check_factor(factor: float) -> None:
    """UsageError unless the factor is above 0 and at most MOST."""
    if not 0 < factor <= MOST:
        raise UsageError(f"factor: a number above 0 and at most {MOST:,} was expected, {factor} was found")


def halves_of(uids: Sequence[str]) -> npt.NDArray[np.uint64]:
    """The two halves of each uid's 128 bits. (n,) strings of 32 hex digits → (n, 2) uint64, the higher half first."""
    return np.frombuffer(bytes.fromhex("".join(uids)), ">u8").reshape(-1, 2).astype(np.uint64)


def shuffled(uids: Sequence[str], rng: np.random.Generator) -> Integers:
    """An order of the uids that depends on them and on the generator, not on how they were ordered. (n,) positions"""
    halves = halves_of(uids)
    by_uid = np.lexsort((halves[:, 1], halves[:, 0]))
    return by_uid[rng.permutation(len(by_uid))]


def systematic(chances: Floats, start: float) -> npt.NDArray[np.bool_]:
    """Which are drawn: one of chance q for a share q of the starts in [0, 1), and as many as their sum says, within 1.

    Args:
        chances: (n,) in [0, 1].
        start: uniform in [0, 1).

    Returns:
        (n,) bool.
    """
    reached = np.floor(np.cumsum(chances) + start)
    return np.diff(reached, prepend=0.0) > 0


def repeats(values: Floats, uids: Sequence[str], seed: int, levels: Integers | None = None) -> Integers:
    """Each value rounded to one of the two levels around it, so that its expectation is the value.

    The same values, uids and seed give the same repeats, in whatever order they come.

    Args:
        values: (n,) weight x factor, at least 0 and at most the highest level.
        uids: (n,) 32 hex digits.
        seed: of the rounding; another seed for another epoch.
        levels: ascending; by default every whole number from 0. A value below the lowest is raised to it: its
            expectation is then the lowest level and not the value.

    Returns:
        (n,) int64. With every whole number as a level, the total differs from the values' sum by less than 1.
    """
    if levels is None:
        levels = np.arange(math.floor(values.max(initial=0.0)) + 2)
    values = np.maximum(values, levels[0])
    below = np.clip(np.searchsorted(levels, values, side="right") - 1, 0, max(len(levels) - 2, 0))
    lower, upper = levels[below], levels[np.minimum(below + 1, len(levels) - 1)]
    chances = (values - lower) / np.maximum(upper - lower, 1)
    rng = np.random.default_rng(seed)
    order = shuffled(uids, rng)
    up = np.empty(len(values), bool)
    up[order] = systematic(chances[order], rng.random())
    return np.where(up, upper, lower).astype(np.int64)


def grid(highest: float, count: int) -> Integers:
    """At most `count` levels from 1 to the first whole number that is not below `highest`; all of them where they fit.

    Beyond `count` they grow by a constant ratio, as the spread that rounding adds should stay in proportion.
    """
    top = max(math.ceil(highest), 1)
    if top <= count:
        return np.arange(1, top + 1)
    return np.unique(np.round(np.geomspace(1, top, count)).astype(np.int64))


def shuffle_buffer(batch: int, chance: float) -> int:
    """The shuffle buffer under which two neighbours of a stream fall into one batch at most that often, in samples.

    For a buffer that is filled before it yields and that yields uniformly (webdataset's, with `initial` = `bufsize`),
    on a stream at least as long. While the stream lasts, each of the at most B - 1 places left in the first one's batch
    takes the second with chance 1/R; when the buffer is emptied its order is uniform, (B - 1)/(R - 1). So
    R = 1 + (B - 1)/chance suffices.

    Raises:
        UsageError: a batch below 1, or a chance that is not between 0 and 1.
    """
    if batch < 1 or not 0 < chance < 1:
        raise UsageError(
            f"a batch of at least 1 and a chance between 0 and 1 were expected; found {batch} and {chance}"
        )
    return 1 + math.ceil((batch - 1) / chance)
