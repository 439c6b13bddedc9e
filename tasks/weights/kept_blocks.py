"""Features of the kept samples minus wanted moments, made block by block from the parts: memory stays bounded.

What weights/balance.py solves on: groups that must be met exactly, then coarse features.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.reading.ahead import in_order
from tasks.weights.coarse import Coarse, Place
from tasks.weights.features import ROWS, Floats, Pool

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from torch import Tensor

THREADS = 2  # blocks at a time


class Kept(NamedTuple):
    """m kept samples of n, r groups and p features."""

    kept: NDArray[np.bool_]  # (n,)
    groups: csr_array  # (n, r)
    coarse: Coarse  # of p features
    moments: Floats  # (r + p,) wanted
    scale: Floats  # (r + p,) standard deviations

    @property
    def shape(self) -> tuple[int, int]:
        return int(self.kept.sum()), len(self.moments)

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Of the m samples, and their (rows, r + p) float64 features."""
        import torch

        start = 0
        for block in in_order(self._made, iter(self.coarse.blocks()), THREADS, ahead=2 * THREADS):
            yield slice(start, start + len(block)), torch.from_numpy(block)
            start += len(block)

    def _made(self, at: Place) -> Floats:
        part, first, start = at
        rows = self.coarse.parts[part][first : first + ROWS]
        some = np.flatnonzero(self.kept[start : start + len(rows)])
        made = self.coarse.made(rows[some], self.coarse.words[start + some])[:, 1:]
        values: Floats = (np.hstack([self.groups[start + some].toarray(), made]) - self.moments) / self.scale
        return values


def means(coarse: Coarse, pool: Pool) -> Floats:
    """(p,) means over the pool's units of a unit's mean feature."""

    def work(at: Place) -> Floats:
        samples, x = coarse.block(at)
        total: Floats = pool.share[samples] @ x[:, 1:]
        return total

    total = np.zeros(coarse.width - 1)
    for one in in_order(work, iter(coarse.blocks()), THREADS, ahead=2 * THREADS):
        total += one
    return total / pool.share.sum()
