"""A batch to label: each arm's best candidates up to its quota, no two of them nearly the same image.

A label of a near-duplicate says little that the first did not. What is nearly the same as something labelled comes
last, for the case that nothing else is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.classifying.scoring import gather
from tasks.labelling.regions import Parts

Rows = NDArray[np.int64]


class Pick(NamedTuple):
    row: int  # number of the sample in the version
    arm: str  # that picked it


class Wish(NamedTuple):
    """What an arm would have labelled."""

    arm: str
    rows: Rows  # the best first
    quota: int


def quotas(shares: Mapping[str, float], size: int) -> dict[str, int]:
    """Whole numbers that add up to `size`, by largest remainder; shares are relative to their sum."""
    total = sum(shares.values())
    exact = {arm: size * share / total for arm, share in shares.items()}
    counts = {arm: int(value) for arm, value in exact.items()}
    order = sorted(exact, key=lambda arm: counts[arm] - exact[arm])
    for arm in order[: size - sum(counts.values())]:
        counts[arm] += 1
    return counts


def fill(parts: Parts, wishes: Sequence[Wish], labelled: Rows, near: float) -> list[Pick]:
    """At most the quotas' sum of picks, whose cosines are below `near`; an arm that runs short is made up by others."""
    size = sum(wish.quota for wish in wishes)
    rows = np.unique(np.concatenate([wish.rows for wish in wishes])) if wishes else np.zeros(0, np.int64)
    if not size or not len(rows):
        return []
    vectors = _unit(gather(parts, rows))
    known = _unit(gather(parts, labelled)) if len(labelled) else np.zeros((0, vectors.shape[1]), np.float32)
    like = (vectors @ known.T).max(axis=1, initial=-1.0) >= near
    batch = _Batch(rows, vectors, near)
    for allowed, within in ((~like, True), (~like, False), (like, False)):
        for wish in wishes:
            limit = min(size, batch.count(wish.arm) + size if not within else wish.quota)
            batch.take(wish, allowed, limit, size)
    return batch.picks


class _Batch:
    """The picks so far, and which candidates are still unlike all of them."""

    def __init__(self, rows: Rows, vectors: NDArray[np.float32], near: float) -> None:
        self.rows, self.vectors, self.near = rows, vectors, near
        self.apart = np.ones(len(rows), dtype=np.bool_)
        self.picks: list[Pick] = []

    def count(self, arm: str) -> int:
        return sum(pick.arm == arm for pick in self.picks)

    def take(self, wish: Wish, allowed: NDArray[np.bool_], limit: int, size: int) -> None:
        """The arm's candidates in order, until it has `limit` picks or the batch `size`."""
        taken = self.count(wish.arm)
        for place in np.searchsorted(self.rows, wish.rows).tolist():
            if taken >= limit or len(self.picks) >= size:
                return
            if allowed[place] and self.apart[place]:
                self.picks.append(Pick(int(self.rows[place]), wish.arm))
                self.apart &= self.vectors @ self.vectors[place] < self.near
                self.apart[place] = False  # float16 rows may be less than `near` to themselves
                taken += 1


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)
    return unit
