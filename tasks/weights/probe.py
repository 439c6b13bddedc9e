"""The article's weights: a linear probe tells the pool from what was kept, w = P(unfiltered|x) / P(filtered|x).

Prior 0.5, and deliberately weak, so that it captures broad categories and not the filter itself (OpenAI, "DALL·E 2
pre-training mitigations", 2022). Logistic regression on the embedding; each sample's weight comes from a probe that has
not seen its near-duplicate group. All folds are trained in the same passes over the parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.weights.features import ROWS, Floats, Pool, dot

WEAKNESS = 1.0  # penalty, in units of the curvature along a direction of average variance
PASSES = 50
TOLERANCE = 1e-8  # of the gradient, on embeddings of unit norm

Embeddings = Sequence[NDArray[np.floating]]


class Probe(NamedTuple):
    """One linear probe a fold, which did not see the fold."""

    mean: Floats  # (d,)
    coefficients: Floats  # (1 + d, folds), the intercept first


def folds_of(pool: Pool, folds: int, seed: int) -> NDArray[np.int64]:
    """(n,) folds of about equal size; a near-duplicate group stays whole; -1 where not usable."""
    units = int(pool.unit.max(initial=-1)) + 1
    order = np.random.default_rng(seed).permutation(units)
    return np.where(pool.unit >= 0, order[pool.unit] % folds, -1) if units else np.full(len(pool.unit), -1)


def train(embeddings: Embeddings, pool: Pool, fold: NDArray[np.int64], folds: int, weakness: float = WEAKNESS) -> Probe:
    """Logistic regression on centred embeddings, by steps that lower the loss each.

    They are Newton's with a fixed bound in place of the curvature (Böhning 1992), which one pass over the parts gives.
    """
    import torch

    unfiltered, filtered = _masses(pool, fold, folds)
    mean = _mean(embeddings, pool)
    bound = _curvature(embeddings, mean, (unfiltered + filtered).max(axis=1))
    width = len(mean)
    penalty = np.full(1 + width, weakness * np.trace(bound[1:, 1:]) / max(width, 1))
    penalty[0] = 0  # the intercept is free
    inverse = torch.linalg.inv(torch.from_numpy(bound + np.diag(penalty + 1e-12))).numpy()
    coefficients = np.zeros((len(bound), folds))
    for _ in range(PASSES):
        gradient = penalty[:, None] * coefficients
        for rows, x in _blocks(embeddings, mean):
            chance = 1 / (1 + np.exp(-dot(x, coefficients)))  # that a sample with these features is of the unfiltered
            gradient += dot(x.T, (unfiltered[rows] + filtered[rows]) * chance - unfiltered[rows])
        if np.abs(gradient).max() <= TOLERANCE:
            break
        coefficients -= dot(inverse, gradient)
    return Probe(mean, coefficients)


def weigh(embeddings: Embeddings, probe: Probe, fold: NDArray[np.int64]) -> Floats:
    """(n,) P(unfiltered|x) / P(filtered|x) of the probe that did not see the sample; 1 where not usable."""
    weights = np.ones(len(fold))
    for rows, x in _blocks(embeddings, probe.mean):
        usable = np.flatnonzero(fold[rows] >= 0)
        odds = np.exp(dot(x, probe.coefficients))
        weights[rows.start + usable] = odds[usable, fold[rows][usable]]
    return weights


def _masses(pool: Pool, fold: NDArray[np.int64], folds: int) -> tuple[Floats, Floats]:
    """(n, folds) weights of the samples as unfiltered and as filtered ones, 1/2 in all each, 0 in the fold itself."""
    seen = fold[:, None] != np.arange(folds)
    unfiltered, filtered = seen * pool.share[:, None], seen * pool.kept[:, None].astype(np.float64)
    return unfiltered / (2 * unfiltered.sum(axis=0)), filtered / (2 * np.maximum(filtered.sum(axis=0), 1))


def _mean(embeddings: Embeddings, pool: Pool) -> Floats:
    """(d,) of the pool, near-duplicate groups counted once."""
    total = np.zeros(1 + embeddings[0].shape[1])
    for rows, x in _blocks(embeddings, np.zeros(embeddings[0].shape[1])):
        total += dot(pool.share[rows], x)
    mean: Floats = total[1:] / pool.share.sum()
    return mean


def _curvature(embeddings: Embeddings, mean: Floats, mass: Floats) -> Floats:
    """(1 + d, 1 + d) a bound of the curvature of every fold's loss: 1/4 Σ mass · x xᵀ."""
    bound = np.zeros((1 + len(mean), 1 + len(mean)))
    for rows, x in _blocks(embeddings, mean):
        bound += dot(x.T, x * mass[rows, None]) / 4
    return bound


def _blocks(embeddings: Embeddings, mean: Floats) -> Iterator[tuple[slice, Floats]]:
    """Rows and their (rows, 1 + d) centred embeddings, a one in front."""
    start = 0
    for part in embeddings:
        for first in range(0, len(part), ROWS):
            block = part[first : first + ROWS].astype(np.float64) - mean
            yield slice(start, start + len(block)), np.hstack([np.ones((len(block), 1)), block])
            start += len(block)
