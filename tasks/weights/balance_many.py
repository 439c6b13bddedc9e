"""Penalised balancing of many sets of features at once: the dual of weights/balance.py, a column a problem.

The problems that choose a penalty and judge it differ so little that those of one penalty take Newton's steps with one
curvature, that of their mean, and share every pass over the samples. Float32: they only choose and judge.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.weights.balance import DAMPING, RIDGE, Floats

if TYPE_CHECKING:
    from torch import Tensor

TOLERANCE = 1e-5  # of a moment, in standard deviations of its feature
STEPS = 40
FAST = 0.3  # fall of the gradients in a step that keeps the curvatures
ROWS = 8192  # samples a block

Floats32 = NDArray[np.float32]


class Many(NamedTuple):
    """Weights of m samples for B problems."""

    weights: Floats32  # (m, B), mean 1 where met
    met: NDArray[np.bool_]  # (B,) whether mean 1 and every exact moment hold to the tolerance


class _State(NamedTuple):
    value: Tensor  # (B,)
    gradient: Tensor  # (1 + p, B)
    weights: Tensor  # (m, B) float32


def solve_many(centred: Floats32, used: NDArray[np.bool_], penalty: Floats, cap: float) -> Many:
    """(m, p) features minus the wanted moments; (B, p) those that a problem uses, (B, p) λ of each, 0 where exact."""
    import torch

    x = torch.from_numpy(centred)
    ridge = torch.from_numpy(np.vstack([np.zeros(len(used)), np.where(used, penalty, 0.0).T]))  # (1 + p, B)
    free = torch.from_numpy(np.vstack([np.ones(len(used), dtype=bool), used.T]))
    groups = _groups(penalty)
    theta = torch.zeros(ridge.shape, dtype=torch.float64)
    state, step = _evaluate(x, theta, (ridge, free), cap), torch.ones(len(used), dtype=torch.float64)
    curvatures, last = [_curvature(x, state.weights[:, :1], cap)] * len(groups), math.inf
    for _ in range(STEPS):
        size = state.gradient.abs().amax(dim=0)
        if float(size.max()) <= TOLERANCE:
            break
        if float(size.max()) > FAST * last:
            curvatures = [_curvature(x, state.weights[:, at], cap) for at in groups]
        last = float(size.max())
        direction = _directions(curvatures, groups, state.gradient, (ridge, free))
        found = _evaluate(x, theta + step * direction, (ridge, free), cap)
        slope = (state.gradient * direction).sum(dim=0)
        lower = found.value <= state.value + 1e-4 * step * slope + 1e-6
        theta = torch.where(lower, theta + step * direction, theta)
        value, gradient, weights = (torch.where(lower, a, b) for a, b in zip(found, state, strict=True))
        state = _State(value, gradient, weights)
        step = torch.where(lower, (2 * step).clamp(max=1), step / 2)
    met = state.gradient.abs().amax(dim=0) <= 10 * TOLERANCE
    return Many(state.weights.numpy(), met.numpy())


def _groups(penalty: Floats) -> list[NDArray[np.int64]]:
    """The problems of equal penalties."""
    number = np.unique(penalty, axis=0, return_inverse=True)[1].ravel()
    return [np.flatnonzero(number == i) for i in range(int(number.max()) + 1)]


def _evaluate(x: Tensor, theta: Tensor, shape: tuple[Tensor, Tensor], cap: float) -> _State:
    import torch

    ridge, free = shape
    top, count = math.log(cap), len(x)
    weights = torch.empty(count, theta.shape[1])
    value, gradient = torch.zeros(theta.shape[1], dtype=torch.float64), torch.zeros_like(theta)
    for start in range(0, count, ROWS):
        block = x[start : start + ROWS]
        u = block @ theta[1:].float() + theta[0].float()
        w = torch.exp(u.clamp(max=top))
        each = w * (1 + (u - top).clamp(min=0)) if math.isfinite(top) else w
        value += each.sum(dim=0, dtype=torch.float64)
        gradient[0] += w.sum(dim=0, dtype=torch.float64)
        gradient[1:] += (block.T @ w).double()
        weights[start : start + ROWS] = w
    gradient = torch.where(free, gradient / count + ridge * theta, 0.0)
    gradient[0] -= 1
    return _State(value / count - theta[0] + (ridge * theta**2).sum(dim=0) / 2, gradient, weights)


def _curvature(x: Tensor, weights: Tensor, cap: float) -> Tensor:
    """(1 + p, 1 + p) mean second derivatives of the problems whose (m, b) weights these are, without their penalty."""
    import torch

    mean = torch.where(weights < cap * (1 - 1e-6), weights, 0.0).mean(dim=1)
    out = torch.empty(1 + x.shape[1], 1 + x.shape[1], dtype=torch.float64)
    out[0, 0], out[0, 1:], out[1:, 1:] = mean.mean(), (mean @ x).double() / len(x), 0
    for start in range(0, len(x), ROWS):
        block = x[start : start + ROWS]
        out[1:, 1:] += ((block * mean[start : start + ROWS, None]).T @ block).double() / len(x)
    out[1:, 0] = out[0, 1:]
    return out


def _directions(
    curvatures: list[Tensor], groups: list[NDArray[np.int64]], gradient: Tensor, shape: tuple[Tensor, Tensor]
) -> Tensor:
    """(1 + p, B) Newton's directions; features that a problem does not use stay at 0."""
    import torch

    ridge, free = shape
    out = torch.zeros_like(gradient)
    for curvature, at in zip(curvatures, groups, strict=True):
        for column in at.tolist():
            some = torch.nonzero(free[:, column])[:, 0]
            slope = gradient[some, column]
            matrix = curvature[some][:, some] + torch.diag(ridge[some, column] + RIDGE + DAMPING * slope.abs().max())
            out[some, column] = -torch.linalg.lstsq(matrix, slope[:, None], driver="gelsd").solution[:, 0]
    return out
