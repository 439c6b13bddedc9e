"""Many L2-regularised logistic regressions on the same samples at once: one minimisation, each with its own weights.

The loss is strictly convex in all but the free intercept, so the optimum is one point whatever the way there. A line
search costs no matrix product, because the logits along a line are known: a step costs two products for all models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

STEPS: Final = 500  # at most; 20 to 150 are needed
MEMORY: Final = 12  # pairs of steps and gradients kept
TOLERANCE: Final = 1e-7  # largest component of the scaled gradient; its square is of the order of the loss that is left


def fit(x: Tensor, y: Tensor, mass: Tensor, ridge: Tensor) -> Tensor:
    """Minimise Σ mass · logloss + ridge/2 |w|² for B models at once, the intercept free. → (1 + d, B), intercept first.

    x (n, d) float64; y (n,) targets in [0, 1]; mass (n, B) ≥ 0, each column's sum one; ridge (B,) > 0. The basis is
    rotated to principal components, where the curvature is close to diagonal.
    """
    import torch

    weight = mass.mean(dim=1)
    centre = weight @ x
    spread, basis = torch.linalg.eigh((x - centre).T @ ((x - centre) * weight[:, None]))
    rotated = torch.cat([torch.ones(len(x), 1, dtype=x.dtype), (x - centre) @ basis], dim=1)
    base = (mass.T @ y).clamp(1e-12, 1 - 1e-12)  # (B,)
    penalty = torch.cat([torch.zeros(1, len(ridge), dtype=x.dtype), ridge.expand(x.shape[1], -1)])
    curvature = torch.cat([torch.ones(1, dtype=x.dtype), spread.clamp(min=0)])[:, None] * (base * (1 - base)) + penalty
    start = torch.zeros_like(curvature)
    start[0] = torch.logit(base)
    theta = _minimise(_Problem(rotated, y[:, None], mass, penalty), start, 1 / curvature)
    weights = basis @ theta[1:]
    return torch.cat([(theta[0] - centre @ weights)[None], weights])


class _Problem(NamedTuple):
    x: Tensor  # (n, 1 + d)
    y: Tensor  # (n, 1)
    mass: Tensor  # (n, B)
    penalty: Tensor  # (1 + d, B)

    def loss(self, theta: Tensor, logits: Tensor) -> Tensor:
        """(B,)"""
        from torch.nn.functional import softplus

        fit = (self.mass * (softplus(logits, threshold=40) - self.y * logits)).sum(dim=0)
        return fit + (self.penalty * theta**2).sum(dim=0) / 2

    def gradient(self, theta: Tensor, logits: Tensor) -> Tensor:
        """(1 + d, B)"""
        return self.x.T @ (self.mass * (logits.sigmoid() - self.y)) + self.penalty * theta


def _minimise(problem: _Problem, theta: Tensor, inverse: Tensor) -> Tensor:
    """L-BFGS (Nocedal and Wright, algorithm 7.5), all columns at once; `inverse` is the first guess of 1/curvature."""
    logits = problem.x @ theta
    gradient = problem.gradient(theta, logits)
    history: list[tuple[Tensor, Tensor, Tensor]] = []
    for _ in range(STEPS):
        if float((gradient.abs() * inverse.sqrt()).max()) <= TOLERANCE:
            break
        direction = _direction(gradient, history, inverse)
        change = problem.x @ direction
        step = _step(problem, (theta, logits), (direction, change), (gradient * direction).sum(dim=0))
        theta, logits = theta + step * direction, logits + step * change
        after = problem.gradient(theta, logits)
        moved, turned = step * direction, after - gradient
        product = (moved * turned).sum(dim=0)
        history = [*history[1 - MEMORY :], (moved, turned, (1 / product).where(product > 1e-300, 0 * product))]
        gradient = after
    return theta


def _direction(gradient: Tensor, history: Sequence[tuple[Tensor, Tensor, Tensor]], inverse: Tensor) -> Tensor:
    """The quasi-Newton direction from the last steps (two-loop recursion). (1 + d, B)"""
    direction, shares = -gradient, []
    for moved, turned, rho in reversed(history):
        shares.append(rho * (moved * direction).sum(dim=0))
        direction = direction - shares[-1] * turned
    direction = inverse * direction
    for (moved, turned, rho), share in zip(history, reversed(shares), strict=True):
        direction = direction + (share - rho * (turned * direction).sum(dim=0)) * moved
    return direction


def _step(problem: _Problem, at: tuple[Tensor, Tensor], along: tuple[Tensor, Tensor], slope: Tensor) -> Tensor:
    """(B,) step lengths, halved from one until each column's loss falls enough; logits along a line cost no product."""
    import torch

    start = problem.loss(*at)
    slack = 1e-15 * start.abs()  # at the optimum the loss cannot be seen to fall
    step = torch.ones_like(slope)
    for _ in range(30):
        loss = problem.loss(at[0] + step * along[0], at[1] + step * along[1])
        short = loss > start + 1e-4 * step * slope + slack
        if not bool(short.any()):
            break
        step = torch.where(short, step / 2, step)
    return step
