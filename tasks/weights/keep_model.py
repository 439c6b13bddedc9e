"""Many logistic regressions of the keep bit on coarse features in the same passes over the parts.

Each leaves out a fold of samples, some also a fold of words. They differ so little that all take Newton's steps with
one curvature, that of their mean; a step that does not lower a model's loss is halved. Features are made anew, block by
block, in each pass, so memory does not grow with the samples; blocks are added up in order, whatever thread made them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.reading.ahead import in_order
from tasks.weights.coarse import Ints, Place, Source
from tasks.weights.features import Floats, Pool, dot

RIDGE = 10.0  # penalty on features of unit variance, beside the sum of log losses
EVEN = 1e-6  # share kept that a model begins at, at least, and at least so far from 1
DECREMENT = 1e-8  # what a last Newton step still lowers a mean log loss by; it needs no pass to check it
ROUGH = 1e-5  # the same where a start is found
FAST = 0.1  # fall of the decrement in a step that keeps the curvature
PASSES = 40
SPARSE = 4  # of the blocks, one in so many finds where the passes over all begin
THREADS = 2  # blocks at a time

NONE = -2  # the number of no fold

Blocks = Sequence[Place]


class Target(NamedTuple):
    """What is predicted: of units, whether any of their samples was kept."""

    kept: NDArray[np.bool_]  # (n,)
    mass: Floats  # (n,) 1 of a kept sample, of a removed unit's its share, 0 of copies of what was kept


class Start(NamedTuple):
    """Where V variants' fits begin, for all their folds."""

    coefficients: Floats  # (1 + p, V)
    curvature: Floats | None  # (1 + p, 1 + p) of the mean log loss; None to take it there


class Models(NamedTuple):
    """V variants of features × F folds left out."""

    coefficients: Floats  # (1 + p, V · F), a variant's folds side by side; on features over their scales
    loss: Floats  # (V · F,) mean log loss of the samples seen and the penalty, before the last step


class _Columns(NamedTuple):
    held: Ints  # (B,) fold left out
    total: Floats  # (B,) mass seen
    ridge: Floats  # (1 + p, B) penalty / mass seen; infinite on features that are left out
    variant: Ints  # (B,)


class _Sums(NamedTuple):
    loss: Floats  # (B,)
    gradient: Floats  # (1 + p, B)
    curvature: Floats | None  # (1 + p, 1 + p)


def target_of(pool: Pool) -> Target:
    kept_unit = np.zeros(int(pool.unit.max(initial=-1)) + 2, dtype=bool)  # the last is of what has no unit
    kept_unit[pool.unit[pool.kept]] = True
    lost = pool.usable & ~kept_unit[pool.unit]
    return Target(pool.kept, np.where(pool.kept, 1.0, np.where(lost, pool.share, 0.0)))


def train(
    source: Source, target: Target, fold: Ints | None, used: NDArray[np.bool_], start: Start | None = None
) -> Models:
    """(n,) folds of samples, -1 where not usable, None to leave out none; (V, p) features that each variant uses.

    Minimised is, of each model, Σ mass · log loss + RIDGE/2 · |coefficients|² over the samples outside its fold.
    Without a start, some of the blocks find one.
    """
    columns = _columns(target, fold, used)
    data, blocks = (target, np.zeros(len(target.mass), np.int64) if fold is None else fold, columns), source.blocks()
    if start is None:
        theta, curvature = np.zeros((source.width, len(columns.held))), None
        rate = np.clip((target.mass @ target.kept) / target.mass.sum(), EVEN, 1 - EVEN)
        theta[0] = np.log(rate / (1 - rate))
        theta, _ = _minimise(source, blocks[::SPARSE], data, (theta, None), ROUGH)
    else:
        theta, curvature = start.coefficients[:, columns.variant], start.curvature
    return Models(*_minimise(source, blocks, data, (theta, curvature), DECREMENT))


def _columns(target: Target, fold: Ints | None, used: NDArray[np.bool_]) -> _Columns:
    left = np.array([NONE]) if fold is None else np.arange(int(fold.max(initial=0)) + 1)
    held, variant = np.tile(left, len(used)), np.repeat(np.arange(len(used)), len(left))
    total = target.mass.sum() - np.array([0.0 if fold is None else target.mass[fold == one].sum() for one in held])
    charge = np.vstack([np.zeros(len(held)), np.where(used[variant].T, RIDGE, np.inf)])
    return _Columns(held, total, charge / total, variant)


def predict(source: Source, models: Models, fold: Ints) -> Floats:
    """(n, V) logits of the chance of being kept, by the models that did not see the sample; NaN where not usable."""
    folds = int(fold.max(initial=0)) + 1
    out = np.full((len(fold), models.coefficients.shape[1] // folds), np.nan)
    for samples, x in in_order(source.block, iter(source.blocks()), THREADS, ahead=2 * THREADS):
        logits = dot(x, models.coefficients).reshape(len(x), -1, folds)
        usable = np.flatnonzero(fold[samples] >= 0)
        out[samples.start + usable] = logits[usable, :, fold[samples][usable]]
    return out


def _minimise(
    source: Source,
    blocks: Blocks,
    data: tuple[Target, Ints, _Columns],
    start: tuple[Floats, Floats | None],
    enough: float,
) -> tuple[Floats, Floats]:
    """Coefficients at the minimum, and the losses before the last step.

    A curvature to start with is taken anew only where the decrement does not fall fast enough with it.
    """
    theta, given = start
    best = _sums(source, blocks, data, theta, curved=given is None)
    last = 0.0 if given is None else np.inf
    curvature = best.curvature if given is None else given
    assert curvature is not None, "it was asked for"
    step = np.ones(theta.shape[1])
    for _ in range(PASSES):
        direction = _directions(curvature, best.gradient, data[2])
        decrement = -(best.gradient * direction).sum(axis=0)
        size = float(decrement.max())
        if size <= enough:
            theta = theta + direction
            break
        moved = theta + step * direction
        found = _sums(source, blocks, data, moved, curved=size > FAST * last)
        last = size
        lower = found.loss <= best.loss - 1e-4 * step * decrement + 1e-14
        theta = np.where(lower, moved, theta)
        loss, gradient = np.where(lower, found.loss, best.loss), np.where(lower, found.gradient, best.gradient)
        best = _Sums(loss, gradient, None)
        step = np.where(lower, np.minimum(1, 2 * step), step / 2)
        curvature = curvature if found.curvature is None or not lower.all() else found.curvature
    return theta, best.loss


def _directions(curvature: Floats, gradient: Floats, columns: _Columns) -> Floats:
    """(1 + p, B) Newton's directions; features that a model leaves out stay at 0."""
    import torch

    out = np.zeros_like(gradient)
    for variant in np.unique(columns.variant):
        at = np.flatnonzero(columns.variant == variant)
        ridge = columns.ridge[:, at].mean(axis=1)
        some = np.flatnonzero(np.isfinite(ridge))
        matrix = curvature[np.ix_(some, some)] + np.diag(ridge[some] + 1e-12)
        factor = torch.linalg.cholesky(torch.from_numpy(matrix))
        found = torch.cholesky_solve(torch.from_numpy(-gradient[np.ix_(some, at)]), factor)
        out[np.ix_(some, at)] = found.numpy()
    return out


def _sums(source: Source, blocks: Blocks, data: tuple[Target, Ints, _Columns], theta: Floats, curved: bool) -> _Sums:
    """Mean losses, gradients and, where asked for, the curvature, penalties included except in the curvature."""

    def work(at: Place) -> tuple[Floats, Floats, Floats | None, Floats]:
        samples, x = source.block(at)
        return _block_sums(x, data[0].kept[samples], _masses(data, samples), theta, curved)

    columns = data[2]
    loss, gradient, seen = np.zeros(theta.shape[1]), np.zeros_like(theta), np.zeros(theta.shape[1])
    curvature = np.zeros((len(theta), len(theta))) if curved else None
    for one in in_order(work, iter(blocks), THREADS, ahead=2 * THREADS):
        loss, gradient, seen = loss + one[0], gradient + one[1], seen + one[3]
        if curvature is not None and one[2] is not None:
            curvature += one[2]
    finite = np.where(np.isfinite(columns.ridge), columns.ridge, 0)
    part = np.maximum(seen, 1e-300)  # of the mass, that these blocks hold
    loss = loss / part + (finite * theta**2).sum(axis=0) / 2
    return _Sums(loss, gradient / part + finite * theta, None if curvature is None else curvature / part.mean())


def _masses(data: tuple[Target, Ints, _Columns], samples: slice) -> Floats:
    """(rows, B) mass of the samples over all that a model sees; 0 in its fold and where not usable."""
    target, fold, columns = data
    seen = (fold[samples, None] != columns.held) & (fold[samples, None] >= 0)
    return seen * target.mass[samples, None] / columns.total


def _block_sums(
    x: Floats, kept: NDArray[np.bool_], mass: Floats, theta: Floats, curved: bool
) -> tuple[Floats, Floats, Floats | None, Floats]:
    """Of a block: (B,) losses, (1 + p, B) gradients, (1 + p, 1 + p) the mean model's curvature, (B,) mass."""
    import torch
    from torch.nn.functional import softplus

    features, weight = torch.from_numpy(x), torch.from_numpy(mass)
    label = torch.from_numpy(kept.astype(np.float64))[:, None]
    logits = features @ torch.from_numpy(theta)
    chance = logits.sigmoid()
    loss = (weight * (softplus(logits) - label * logits)).sum(dim=0)
    gradient = features.T @ (weight * (chance - label))
    curvature = None
    if curved:
        varies = (weight * chance * (1 - chance)).mean(dim=1)
        single = features.float()  # it only leads the way: measured twice as fast
        curvature = (single.T @ (single * varies.float()[:, None])).double().numpy()
    return loss.numpy(), gradient.numpy(), curvature, mass.sum(axis=0)
