"""The features that weights may follow, made block by block from the parts: components, words, squares and pairs.

Of k principal components and t words a feature is one of four: a component, a word, the square of a direction among the
components, or a pair of words in one caption. Which of them a filter depends on is found by weights/effects.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.reading.ahead import in_order
from tasks.weights.features import ROWS, Components, Floats

if TYPE_CHECKING:
    from scipy.sparse import csc_array, csr_array

THREADS = 2  # blocks at a time

Ints = NDArray[np.int64]
Place = tuple[int, int, int]  # of a block: part, first row in the part, first sample


class Source(Protocol):
    """Features of n samples in blocks, each of which can be made again."""

    @property
    def width(self) -> int:
        """1 + p: the intercept is the first."""

    def blocks(self) -> Sequence[Place]: ...

    def block(self, at: Place) -> tuple[slice, Floats]:
        """Samples, and their (rows, 1 + p) features, a one in front."""


class Effects(NamedTuple):
    """Features, in this order."""

    components: Ints  # (a,) numbers of components
    words: Ints  # (b,) numbers of words
    directions: Floats  # (k, q) of which the squares are taken, in the components' scores
    pairs: Ints  # (m, 2) numbers of words

    @property
    def width(self) -> int:
        return len(self.components) + len(self.words) + self.directions.shape[1] + len(self.pairs)

    def looks_at(self, words: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(t,) words → (p,) whether a feature is one of them, or a pair with one."""
        bare = np.zeros(len(self.components), dtype=bool), np.zeros(self.directions.shape[1], dtype=bool)
        return np.concatenate([bare[0], words[self.words], bare[1], words[self.pairs].any(axis=1)])

    def select(self, chosen: NDArray[np.bool_]) -> Effects:
        """Those features of which the (p,) mask is true."""
        ends = np.cumsum([len(self.components), len(self.words), self.directions.shape[1]])
        a, b, q, m = np.split(chosen, ends)
        return Effects(self.components[a], self.words[b], self.directions[:, q], self.pairs[m])

    def names(self, words: Sequence[str]) -> list[str]:
        squares = [f"square {i}" for i in range(self.directions.shape[1])]
        pairs = [f"{words[a]} and {words[b]}" for a, b in self.pairs]
        return [*(f"component {i}" for i in self.components), *(words[i] for i in self.words), *squares, *pairs]


class Coarse(NamedTuple):
    """Where the features of n samples come from."""

    parts: Sequence[NDArray[np.floating]]  # (rows, d) each
    found: Components
    words: csr_array  # (n, t), 1 where the caption has the word
    effects: Effects
    scale: Floats  # (1 + p,) that features are divided by, 1 of the intercept

    @property
    def width(self) -> int:
        return len(self.scale)

    def blocks(self) -> list[Place]:
        starts = np.cumsum([0, *map(len, self.parts)])
        return [
            (i, first, int(starts[i]) + first)
            for i, part in enumerate(self.parts)
            for first in range(0, len(part), ROWS)
        ]

    def block(self, at: Place) -> tuple[slice, Floats]:
        """Samples, and their (rows, 1 + p) features, a one in front."""
        part, first, start = at
        rows = self.parts[part][first : first + ROWS]
        samples = slice(start, start + len(rows))
        return samples, self.made(rows, self.words[samples])

    def made(self, rows: NDArray[np.floating], words: csr_array) -> Floats:
        """(rows, d) embeddings and (rows, t) words → (rows, 1 + p)."""
        import torch

        # float32: measured three times faster than float64; and torch converts float16 eight times faster than NumPy
        scores = torch.from_numpy(np.array(rows)).float() @ torch.from_numpy(self.found.basis).float()
        s = scores.numpy() - (self.found.mean @ self.found.basis).astype(np.float32)
        w, effects = words.toarray(), self.effects
        squares = (s @ effects.directions.astype(np.float32)) ** 2
        a, b = effects.pairs.T
        out = np.hstack(
            [np.ones((len(s), 1)), s[:, effects.components], w[:, effects.words], squares, w[:, a] * w[:, b]]
        )
        out /= self.scale
        return out


class Gathered(NamedTuple):
    """Features of m samples that are in memory."""

    x: Floats  # (m, 1 + p), a one in front

    @property
    def width(self) -> int:
        return self.x.shape[1]

    def blocks(self) -> list[Place]:
        return [(0, first, first) for first in range(0, len(self.x), ROWS)]

    def block(self, at: Place) -> tuple[slice, Floats]:
        samples = slice(at[2], min(at[2] + ROWS, len(self.x)))
        return samples, self.x[samples]


def linear(parts: Sequence[NDArray[np.floating]], found: Components, words: csc_array) -> Coarse:
    """Every component and every word, as they are."""
    k, t = found.basis.shape[1], words.shape[1]
    effects = Effects(np.arange(k), np.arange(t), np.zeros((k, 0)), np.zeros((0, 2), np.int64))
    return Coarse(parts, found, words.tocsr(), effects, np.ones(1 + effects.width))


def gather(coarse: Coarse, rows: Ints) -> Gathered:
    """The features of some samples, given in rising order."""

    def work(at: Place) -> tuple[slice, Floats]:
        part, first, start = at
        block = coarse.parts[part][first : first + ROWS]
        low, high = np.searchsorted(rows, (start, start + len(block)))
        some = rows[low:high]
        return slice(low, high), coarse.made(block[some - start], coarse.words[some])

    out = np.empty((len(rows), coarse.width))
    for places, made in in_order(work, iter(coarse.blocks()), THREADS, ahead=2 * THREADS):
        out[places] = made
    return Gathered(out)


def spread(x: Floats, mass: Floats) -> Floats:
    """(m, p) features → (p,) standard deviations where (m,) masses weigh them, 1 where a feature does not vary."""
    total = mass.sum()
    mean = mass @ x / total
    variance = np.einsum("i,ij,ij->j", mass, x, x) / total - mean**2
    return np.where(variance > 1e-12, np.sqrt(np.maximum(variance, 1e-12)), 1.0)
