"""The dual of entropy balancing (entropy_balancing.py), which Newton's method solves on distinct rows of samples.

Smooth and convex in (α, θ), with one θ a share, x a sample's constraint values, t their means, b its base weight:

    mean ψ(α + θ·x) − α − θ·t,    ψ' = w = clip(v, least, cap),  v the solution of log v + τ·v = α + θ·x + log b

With τ = 0, v = b·e^(α + θ·x); else v is Lambert's function.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.weights.balance import Floats
from tasks.weights.features import ROWS, dot

if TYPE_CHECKING:
    from scipy.sparse import csc_array, csr_array

TOLERANCE = 1e-10  # of a mean, in root mean squares of its constraint
STEPS = 60  # of Newton's method; feasible targets take 5 to 20
LEAST = 1e-3  # weight of any sample: none that is kept is weighted away
FAST = 0.1  # fall of the gradient in a step that keeps the curvature
DENSE = 0.1  # share of entries from which the curvature is a dense product


class Share(NamedTuple):
    """Of the weight of `whole`, the part that `part` must have. Margins, conditionals and independence are this."""

    part: NDArray[np.bool_]  # (m,), within whole
    whole: NDArray[np.bool_] | None  # (m,); None: every sample
    wanted: float


class Rows(NamedTuple):
    """Samples that no constraint and no base weight tells apart, once."""

    x: csr_array  # (r, 1 + q) constraint values over their scales, a one in front
    target: Floats  # (1 + q,)
    base: Floats  # (r,)
    mass: Floats  # (r,) samples of the row / all samples


class State(NamedTuple):
    """The dual at a point."""

    theta: Floats  # (1 + q,), α first
    value: float
    gradient: Floats
    weights: Floats  # (r,)
    curvature: Floats  # (r,)


def rows_of(shares: Sequence[Share], base: Floats) -> tuple[Rows, NDArray[np.int64]]:
    """Distinct rows, and (m,) the row of each sample."""
    from scipy.sparse import csr_array

    x, target = _constraints(shares, len(base))
    scale = np.sqrt(np.maximum(np.asarray((x * x).mean(axis=0)).ravel(), 1e-300))
    matrix = csr_array(x * (1 / scale)[None, :])
    random = np.random.default_rng(0).normal(size=matrix.shape[1] + 1)
    key = matrix @ random[1:] + base * random[0]  # equal rows have equal keys, others almost surely not
    _, first, row, count = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    if 2 * len(first) > len(base) or abs(matrix[first][row] - matrix).sum() or (base[first][row] != base).any():
        every = np.arange(len(base))
        return Rows(matrix, target / scale, base, np.full(len(base), 1 / len(base))), every
    return Rows(matrix[first], target / scale, base[first], count / len(base)), row.astype(np.int64)


def _constraints(shares: Sequence[Share], m: int) -> tuple[csc_array, Floats]:
    """(m, 1 + q) of which a weighted mean must be (1 + q,): first the weight itself, then part − share · whole."""
    from scipy.sparse import csc_array

    samples: list[NDArray[np.int64]] = [np.arange(m)]
    values: list[Floats] = [np.ones(m)]
    target = [1.0]
    for share in shares:
        within = np.flatnonzero(share.part if share.whole is None else share.whole)
        samples.append(within)
        values.append(share.part[within].astype(np.float64) - (0.0 if share.whole is None else share.wanted))
        target.append(share.wanted if share.whole is None else 0.0)
    ends = np.cumsum([0, *map(len, samples)])
    x = csc_array((np.concatenate(values), np.concatenate(samples), ends), shape=(m, len(target)))
    return x, np.array(target)


def solve(rows: Rows, cap: float, strength: float) -> State | None:
    """The dual's minimum; None where no weights meet the constraints, which is where it has none."""
    theta = np.zeros(len(rows.target))
    theta[0] = strength  # equal weights, were the base equal
    state, last = _evaluate(rows, theta, cap, strength), 0.0
    hessian = None
    most = min(cap, 1 / float(rows.mass.min()))
    # Weights that meet everything bound the objective from below (weak duality).
    lowest = 1 - math.log(most) + math.log(float(rows.base.min())) - strength * most / 2 - TOLERANCE
    for _ in range(STEPS):
        size = float(np.abs(state.gradient).max())
        if size <= TOLERANCE or last == size:
            break
        if state.value < lowest:
            return None
        if hessian is None or size > FAST * last:
            hessian = _curvature(rows, state)
        last = size
        moved = _line_search(rows, state, -_newton(hessian, state.gradient), (cap, strength))
        if moved is None:
            break
        state = moved
    return state if float(np.abs(state.gradient).max()) <= 100 * TOLERANCE else None


def _evaluate(rows: Rows, theta: Floats, cap: float, strength: float) -> State:
    u = rows.x @ theta
    free = np.exp(np.minimum(u + np.log(rows.base), 700.0)) if not strength else _lambert(u, rows.base, strength)
    weights = np.clip(free, LEAST, cap)
    each = weights * (1 + u + np.log(rows.base) - np.log(weights)) - strength * weights**2 / 2
    total = rows.mass * weights
    gradient = rows.x.T @ total - rows.target
    curvature = np.where((free > LEAST) & (free < cap), total / (1 + strength * weights), 0.0)
    return State(theta, float((rows.mass * each).sum() - theta @ rows.target), gradient, weights, curvature)


def _lambert(u: Floats, base: Floats, strength: float) -> Floats:
    """(r,) v with log v + τ·v = u + log b: Lambert's function by Newton's method on y = log τ·v, which is convex."""
    z = u + np.log(base * strength)
    y = np.where(z < 1, z, np.log(np.maximum(z, 1.0)))
    for _ in range(8):
        power = np.exp(y)
        y = y - (y + power - z) / (1 + power)
    weights: Floats = np.exp(y) / strength
    return weights


def _curvature(rows: Rows, state: State) -> Floats:
    """(1 + q, 1 + q) second derivatives of the dual."""
    r, width = rows.x.shape
    if rows.x.nnz < DENSE * r * width:
        scaled = rows.x.T * state.curvature[None, :]
        found: Floats = (scaled @ rows.x).toarray()
        return found
    hessian = np.zeros((width, width))
    for start in range(0, r, ROWS):
        block = rows.x[start : start + ROWS].toarray()
        hessian += dot((block * state.curvature[start : start + ROWS, None]).T, block)
    return hessian


def _newton(hessian: Floats, gradient: Floats) -> Floats:
    """The least solution: constraints that follow from others do no harm."""
    import torch

    values, vectors = (x.numpy() for x in torch.linalg.eigh(torch.from_numpy(hessian)))
    size = float(np.abs(gradient).max())
    kept = values > 1e-13 * max(values[-1], 1e-300)
    along = dot(vectors.T, gradient[:, None])[:, 0]
    steps = np.where(kept, along / np.where(kept, values + 1e-3 * size * values[-1], 1.0), 0.0)
    direction: Floats = dot(vectors, steps[:, None])[:, 0]
    return direction


def _line_search(rows: Rows, state: State, direction: Floats, shape: tuple[float, float]) -> State | None:
    """The first of the steps 1, 1/2, 1/4, … that lowers the objective enough (Armijo); None where none does."""
    slope, step = float(state.gradient @ direction), 1.0
    noise = 1e-14 * max(1.0, abs(state.value))
    while step > 1e-9:
        found = _evaluate(rows, state.theta + step * direction, *shape)
        if math.isfinite(found.value) and found.value <= state.value + 1e-4 * step * slope + noise:
            return found
        step /= 2
    return None
