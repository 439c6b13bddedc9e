"""Weights that give the kept samples the pool's moments: entropy balancing (Hainmueller 2012), penalised where allowed.

Over weights of mean 1, at most `cap`, the least change from equal weights (in relative entropy) that meets some moments
exactly and pays λ/2·‖θ‖² for how hard it pulls the others. Its dual is smooth and convex in (α, θ):

    mean φ(α + θ·x) − α + λ/2·‖θ‖²,    φ(u) = e^u, carried on by its tangent above log cap,    w = min(cap, e^(α + θ·x))

with x the features of kept samples minus the pool's mean. Without a cap, and with α at its optimum, that is
log mean e^(θ·b) − θ·b̄ + λ/2·‖θ‖². Newton's method with a line search finds the minimum; the cap costs no moment.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]

TOLERANCE = 1e-9  # of a moment, in standard deviations of its feature
STEPS = 60  # of Newton's method; feasible problems take 5 to 15
FAST = 0.1  # fall of the gradient in a step that keeps the curvature
RIDGE = 1e-12  # on the curvature, so that repeated features do no harm
DAMPING = 0.3  # times the gradient, on the curvature: none is left where all of a group lies above the cap
BISECTIONS = 20
ROWS = 8192  # samples a block


class Blocks(Protocol):
    """(n, p) features minus the wanted moments, of unit variance, of which a block can be made again."""

    @property
    def shape(self) -> tuple[int, int]: ...

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Samples, and their (rows, p) features."""


class Dense(NamedTuple):
    """Features that are in memory."""

    x: NDArray[np.floating]

    @property
    def shape(self) -> tuple[int, int]:
        return self.x.shape[0], self.x.shape[1]

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        import torch

        whole = torch.from_numpy(self.x)
        for start in range(0, len(whole), ROWS):
            samples = slice(start, min(start + ROWS, len(whole)))
            yield samples, whole[samples]


class Solution(NamedTuple):
    """Weights of n samples and what made them."""

    weights: Floats  # (n,), positive, mean 1 where met
    intercept: float  # α
    theta: Floats  # (p,)
    met: bool  # whether mean 1 and every exact moment hold to the tolerance
    curvature: Tensor | None = None  # (1 + p, 1 + p) as the search last took it


class Limits(NamedTuple):
    """What weights may not exceed."""

    cap: float = math.inf  # of one weight
    ess_floor: float = 0.0  # effective sample size / n


def solve(
    centred: NDArray[np.floating] | Blocks,
    penalty: Floats,
    cap: float = math.inf,
    start: Solution | None = None,
    tolerance: float = TOLERANCE,
) -> Solution:
    """(n, p) features minus the wanted moments, of unit variance; (p,) λ of each, 0 where it must be met exactly.

    Features may be float32 where a tolerance of 1e-5 will do; all else is float64. Of blocks only n weights are held.
    `start` is a solution of a nearby problem with the same features; the search begins there, with its curvature, which
    is taken anew only where the gradient does not fall fast enough without. n ≥ 1.
    """
    import torch

    x = Dense(centred) if isinstance(centred, np.ndarray) else centred
    count, width = x.shape
    ridge = torch.from_numpy(np.concatenate([[0.0], penalty]))
    theta = torch.zeros(1 + width, dtype=torch.float64)  # α first
    if start is not None:
        theta = torch.from_numpy(np.concatenate([[start.intercept], start.theta]))
    hessian = None if start is None else start.curvature
    # Weights that meet everything bound the objective from below by 1 minus their relative entropy (weak duality).
    lowest = -math.inf if penalty.any() else 1 - math.log(min(cap, count)) - tolerance
    state, last = _evaluate(x, theta, ridge, cap), math.inf
    for _ in range(STEPS):
        size = float(state.gradient.abs().max())
        if size <= tolerance or state.value < lowest:
            break
        if hessian is None or size > FAST * last:
            hessian = _curvature(x, state)
        direction = -_newton(hessian, ridge + DAMPING * size, state.gradient)
        theta, state, moved = _line_search(x, theta, direction, state, ridge, cap)
        if not moved and last == size:
            break
        last = size  # of a step that was not taken: the next one has the curvature of its own place
    met = float(state.gradient.abs().max()) <= 10 * tolerance  # rounding may end the search a little early
    return Solution(state.weights.numpy(), float(theta[0]), theta[1:].numpy(), met, hessian)


class _State(NamedTuple):
    value: float
    gradient: Tensor  # (1 + p,)
    weights: Tensor  # (n,)
    curvature: Tensor  # (n,) second derivative of φ
    noise: float  # of the value: below it, better and worse look alike


def _evaluate(x: Blocks, theta: Tensor, ridge: Tensor, cap: float) -> _State:
    import torch

    count, width = x.shape
    top = math.log(cap)
    weights, curvature = torch.empty(2, count, dtype=torch.float64)
    value, gradient, precision = 0.0, torch.zeros(1 + width, dtype=torch.float64), torch.float64
    for samples, block in x.blocks():
        precision = block.dtype
        u = theta[0] + (block @ theta[1:].to(precision)).double()
        w = torch.exp(u.clamp(max=top))
        value += float((w * (1 + (u - top).clamp(min=0))).sum() if math.isfinite(top) else w.sum())
        gradient[0] += w.sum()
        gradient[1:] += (w.to(precision) @ block).double()
        weights[samples], curvature[samples] = w, torch.where(u < top, w, 0.0)
    gradient = gradient / count + ridge * theta
    gradient[0] -= 1
    value = value / count - float(theta[0]) + float((ridge * theta**2).sum()) / 2
    return _State(value, gradient, weights, curvature, 10 * torch.finfo(precision).eps * max(1.0, abs(value)))


def _curvature(x: Blocks, state: _State) -> Tensor:
    """(1 + p, 1 + p) second derivatives of the objective without its penalty, in blocks of samples."""
    import torch

    count, width = x.shape
    hessian = torch.zeros(1 + width, 1 + width, dtype=torch.float64)
    hessian[0, 0] = state.curvature.sum()
    for samples, block in x.blocks():
        scaled = block.double() * state.curvature[samples, None]
        hessian[0, 1:] += scaled.sum(dim=0)
        hessian[1:, 1:] += scaled.T @ block.double()
    hessian[1:, 0] = hessian[0, 1:]
    return hessian / count


def _newton(hessian: Tensor, ridge: Tensor, gradient: Tensor) -> Tensor:
    """(1 + p,) (hessian + ridge)⁻¹ · gradient."""
    import torch

    matrix = hessian + torch.diag(ridge + RIDGE)
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if failed:  # repeated features, and rounding: the least of the solutions will do
        least: Tensor = torch.linalg.pinv(matrix, hermitian=True, rtol=1e-10) @ gradient
        return least
    return torch.cholesky_solve(gradient[:, None], factor)[:, 0]


def _line_search(
    x: Blocks, theta: Tensor, direction: Tensor, state: _State, ridge: Tensor, cap: float
) -> tuple[Tensor, _State, bool]:
    """The first of the steps 1, 1/2, 1/4, … that lowers the objective enough (Armijo); False where none does."""
    slope, step = float(state.gradient @ direction), 1.0
    while step > 1e-9:
        found = _evaluate(x, theta + step * direction, ridge, cap)
        if math.isfinite(found.value) and found.value <= state.value + 1e-4 * step * slope + state.noise:
            return theta + step * direction, found, True
        step /= 2
    return theta, state, False


def meet(features: Floats, wanted: Floats, limits: Limits) -> tuple[Floats, Solution]:
    """(n, p) features and their (p,) wanted means → (p,) the means that are met, and the solution that meets them.

    All are met in full where the limits allow it. Else in the declared order: each in full beside the earlier ones, or,
    where it is out of reach, the nearest to it on the way from the mean that it would have without being asked for.
    Out of reach are means that the cap or floor forbids, that no kept sample gives, or that contradict earlier ones.
    """
    solution = _within(features, wanted, limits)
    if solution is not None:
        return wanted, solution
    means = wanted.copy()
    solution = Solution(np.ones(len(features)), 0.0, np.zeros(0), True)
    for j in range(len(wanted)):
        found = _within(features[:, : j + 1], means[: j + 1], limits)
        if found is None:
            origin = float(np.mean(solution.weights * features[:, j]))
            means[j], found = _nearest(features[:, : j + 1], means[: j + 1], origin, limits)
        solution = found
    return means, solution


def _nearest(features: Floats, wanted: Floats, origin: float, limits: Limits) -> tuple[float, Solution]:
    """The last mean as near to the wanted one as the limits allow, by bisection from `origin`; the others are met."""
    low, high = 0.0, 1.0
    means = np.append(wanted[:-1], origin)
    solution = _within(features, means, limits)
    assert solution is not None, "the weights of the earlier means give the last one its origin"
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        tried = np.append(wanted[:-1], origin + middle * (wanted[-1] - origin))
        found = _within(features, tried, limits)
        if found is None:
            high = middle
        else:
            low, means, solution = middle, tried, found
    return float(means[-1]), solution


def _within(features: Floats, wanted: Floats, limits: Limits) -> Solution | None:
    """The solution that meets the means within the limits; None where there is none."""
    centred = (features - wanted) / spread(features)
    solution = solve(centred, np.zeros(len(wanted)), limits.cap)
    if not solution.met or effective_sample_size(solution.weights) < limits.ess_floor * len(features):
        return None
    return solution


def spread(features: Floats) -> Floats:
    """(n, p) → (p,) standard deviations, 1 where a feature does not vary."""
    deviation = features.std(axis=0)
    return np.where(deviation > 1e-12, deviation, 1.0)


def effective_sample_size(weights: Floats) -> float:
    """(Σw)² / Σw² (Kish 1965); 0 of no weights."""
    return float(weights.sum() ** 2 / (weights**2).sum()) if len(weights) else 0.0


def capped(weights: Floats, cap: float) -> Floats:
    """Positive weights scaled to mean 1, none above the cap; what was cut is shared out among the others. cap > 1."""
    for _ in range(1000):
        weights = weights / weights.mean()
        if weights.max() <= cap:
            break
        weights = np.minimum(weights, cap)
    return weights


def pareto_k(weights: Floats) -> float | None:
    """Shape k̂ of the weights' upper tail; None where there is no tail: fewer than 5 different weights stand out.

    A generalised Pareto distribution fitted to the largest min(0.2·n, 3·√n) weights, as Pareto-smoothed importance
    sampling does (Vehtari et al. 2024, with its weak prior at 0.5). Above 0.7 weighted averages are unreliable.
    """
    n = len(weights)
    tail = math.ceil(min(0.2 * n, 3 * math.sqrt(n)))
    ordered = np.sort(weights)
    above = ordered[n - tail :] - ordered[n - tail - 1] if 0 < tail < n else np.zeros(0)
    above = above[above > 1e-9 * ordered[-1]] if len(above) else above
    if len(np.unique(above)) < 5:
        return None
    return (len(above) * _pareto_shape(above) + 10 * 0.5) / (len(above) + 10)


def _pareto_shape(excess: Floats) -> float:
    """(m,) sorted positive excesses → shape of a generalised Pareto distribution (Zhang and Stephens 2009)."""
    m = len(excess)
    candidates = 30 + int(math.sqrt(m))
    quartile = excess[int(m / 4 + 0.5) - 1]
    b = 1 / excess[-1] + (1 - np.sqrt(candidates / (np.arange(1, candidates + 1) - 0.5))) / (3 * quartile)
    shape = np.log1p(-b[:, None] * excess).mean(axis=1)
    likelihood = m * (np.log(-b / shape) - shape - 1)
    posterior = np.exp(likelihood - likelihood.max())  # the same up to a factor, and nothing overflows
    return float(np.log1p(-np.sum(b * posterior / posterior.sum()) * excess).mean())
