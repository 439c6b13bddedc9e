"""How near a pool's images are to each other, and what each of several thresholds would remove, in one pass.

Dedup's rule (METHODS.md, section 3): samples are visited in order of preference, and one is removed where a survivor
lies within the threshold. `survey` applies it at every threshold while the products are made, block by block, and keeps
no list of pairs: a pool of 1,400 near copies has a million. Exact, so it takes n²/2 products; `ask` compares a sample
of queries with all where that is too much, and then only bounds what would be removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.duplicates.stored import Stored, chunks, gather, read

if TYPE_CHECKING:
    from torch import Tensor

ROWS, COLUMNS = 512, 4096  # of a block of products
SLACK = 1e-5  # cosine; far above the rounding error of float32 products: nearer to a threshold it is made in float64
DECIMALS = 6  # of a similarity, as dedup compares it


class Survey(NamedTuple):
    """Of n distinct vectors in order of preference, at T thresholds."""

    nearest: NDArray[np.float64]  # (n,), cosine to the most similar other vector, rounded; NaN where there is none
    neighbour: NDArray[np.int64]  # (n,), its row
    survives: NDArray[np.bool_]  # (T, n)
    leads: NDArray[np.bool_]  # (T, n), a survivor within the threshold of which at least one was removed


class Answer(NamedTuple):
    """Of q queries against n vectors."""

    nearest: NDArray[np.float64]  # (q,), cosine to the most similar other vector, rounded; NaN where there is none
    neighbour: NDArray[np.int64]  # (q,), its row
    before: NDArray[np.float64]  # (q,), cosine to the most similar one that is preferred to it; −1 where none is


def survey(vectors: NDArray[np.floating], may_stay: NDArray[np.bool_], thresholds: Sequence[float]) -> Survey:
    """All (n, d) vectors, the preferred first, with all others. Memory: the vectors in float32, and (T, n) bits.

    `may_stay` (n,): False for what the filter took out; it never survives, and nobody is removed for it.
    """
    import torch

    n = len(vectors)
    rows = _unit(vectors)
    best = _Nearest(torch.full((n,), -2.0), torch.zeros(n, dtype=torch.int64))
    rule = _Rule(vectors, may_stay, np.asarray(thresholds, np.float64))
    for first in range(0, n, ROWS):
        high = rows[first : first + ROWS]
        for start in range(0, first, COLUMNS):
            products = high @ rows[start : min(start + COLUMNS, first)].T  # (rows, columns)
            best.take(products, first, start)
            rule.decided(products, first, start)
        products = high @ high.T
        products.fill_diagonal_(-2.0)
        best.take_rows(products, first, first)
        rule.among(products, first)
    neighbour = best.row.numpy()
    nearest = cosines(vectors, np.arange(n), neighbour) if n > 1 else np.full(n, np.nan)
    return Survey(nearest, neighbour, rule.alive, rule.leads)


def ask(vectors: Stored, queries: NDArray[np.int64]) -> Answer:
    """The rows `queries` (q,) with all n vectors, the preferred first, read file by file. q·n products."""
    import torch

    asked = _unit(gather(vectors, queries))
    place = torch.from_numpy(queries)
    best = torch.full((len(queries),), -2.0)
    row = torch.zeros(len(queries), dtype=torch.int64)
    before = torch.full((len(queries),), -1.0)
    for chunk in chunks(vectors):
        block, columns = read(chunk), torch.from_numpy(chunk.rows)
        for start in range(0, len(block), COLUMNS):
            here = columns[start : start + COLUMNS]
            products = asked @ _unit(block[start : start + COLUMNS]).T  # (q, columns)
            products[here == place[:, None]] = -2.0
            value, at = products.max(dim=1)
            row = torch.where(value > best, here[at], row)
            best = torch.maximum(best, value)
            before = torch.maximum(before, products.masked_fill(here > place[:, None], -1.0).amax(dim=1))
    neighbour = row.numpy()
    nearest = np.full(len(queries), np.nan)
    if len(vectors.number) > 1:
        both = np.concatenate([gather(vectors, queries), gather(vectors, neighbour)])
        nearest = cosines(both, np.arange(len(queries)), np.arange(len(queries), 2 * len(queries)))
    return Answer(nearest, neighbour, before.double().numpy().round(DECIMALS))


class _Nearest(NamedTuple):
    """The most similar row so far."""

    value: Tensor  # (n,)
    row: Tensor  # (n,)

    def take(self, products: Tensor, first: int, start: int) -> None:
        """(rows, columns) products of the rows from `first` on and the columns from `start` on, for both."""
        self.take_rows(products, first, start)
        self.take_rows(products.T, start, first)

    def take_rows(self, products: Tensor, first: int, start: int) -> None:
        """Places are sought only of rows that got a better value: a maximum alone is ten times as fast."""
        value = products.amax(dim=1)
        here = slice(first, first + len(value))
        better = (value > self.value[here]).nonzero(as_tuple=True)[0]
        self.value[here][better] = value[better]
        self.row[here][better] = products[better].argmax(dim=1) + start


class _Rule:
    """Who survives at each threshold, as rows are decided one after the other."""

    def __init__(
        self, vectors: NDArray[np.floating], may_stay: NDArray[np.bool_], thresholds: NDArray[np.float64]
    ) -> None:
        self.vectors, self.thresholds = vectors, thresholds
        self.alive = np.tile(may_stay, (len(thresholds), 1))
        self.leads = np.zeros_like(self.alive)

    def decided(self, products: Tensor, first: int, start: int) -> None:
        """Remove rows from `first` on for survivors among the columns from `start` on, all of which are decided."""
        import torch

        height, width = products.shape
        wanted = torch.from_numpy(self.alive[:, first : first + height].any(axis=0))
        living = torch.from_numpy(self.alive[:, start : start + width].any(axis=0))
        near = (products >= float(self.thresholds.min()) - SLACK) & wanted[:, None] & living
        if not near.any():
            return
        row, column = near.nonzero(as_tuple=True)
        cosine = products[row, column].double().numpy()
        self._remove(row.numpy() + first, column.numpy() + start, cosine)

    def _remove(self, row: NDArray[np.int64], column: NDArray[np.int64], cosine: NDArray[np.float64]) -> None:
        doubtful = np.flatnonzero((np.abs(cosine[:, None] - self.thresholds) < SLACK).any(axis=1))
        cosine[doubtful] = cosines(self.vectors, row[doubtful], column[doubtful])
        for alive, leads, threshold in zip(self.alive, self.leads, self.thresholds, strict=True):
            hit = (cosine >= threshold) & alive[column]
            leads[column[hit & alive[row]]] = True
            alive[row[hit]] = False

    def among(self, products: Tensor, first: int) -> None:
        """Decide the rows from `first` on, one after the other, by their (rows, rows) products with each other."""
        near = (products >= float(self.thresholds.min()) - SLACK).triu(diagonal=1)
        row, column = (found.numpy() for found in near.nonzero(as_tuple=True))
        cosine = products.numpy()[row, column].astype(np.float64)
        for lower in np.unique(row):
            if self.alive[:, first + lower].any():
                here = slice(*np.searchsorted(row, [lower, lower + 1]))
                self._remove(column[here] + first, row[here] + first, cosine[here])


def cosines(vectors: NDArray[np.floating], left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
    """(k,) cosine of rows with rows, in float64 from the vectors as stored, rounded; at most 1."""
    a, b = vectors[left].astype(np.float64), vectors[right].astype(np.float64)
    product = (a * b).sum(axis=1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-300)
    return product.round(DECIMALS).clip(max=1.0)


def _unit(vectors: NDArray[np.floating]) -> Tensor:
    import torch

    rows = torch.from_numpy(np.ascontiguousarray(vectors)).float()
    return torch.nn.functional.normalize(rows, dim=1)
