"""Features of a Gaussian kernel, for categories that a plane cannot cut off: positives of several unlike kinds.

Nyström (Williams and Seeger, NIPS 2000): the kernel with some of the labelled samples, whitened. Its width is the
median distance between these. A linear classifier on the features is a kernel machine, penalised by the kernel's norm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]

POINTS: Final = 200  # landmarks at most
NEGLIGIBLE: Final = 1e-4  # eigenvalue, relative to the largest, below which a direction is rounding
BLOCK: Final = 4096  # rows whose features are made at once


class Landmarks(NamedTuple):
    points: Floats  # (m, d)
    whiten: Floats  # (m, k), from kernel values to features
    gamma: float  # exp(−gamma · squared distance)


def landmarks(embeddings: Floats, seed: int = 0) -> Landmarks:
    """Of (n, d) embeddings, n ≥ 2."""
    import torch

    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(len(embeddings), min(POINTS, len(embeddings)), replace=False))
    points = torch.from_numpy(np.ascontiguousarray(embeddings[chosen]))
    distance = _squared(points, points)
    apart = distance[tuple(torch.triu_indices(len(points), len(points), 1))]
    gamma = 0.5 / max(float(apart.median()), 1e-12)
    value, vector = torch.linalg.eigh(torch.exp(-gamma * distance))
    kept = value > NEGLIGIBLE * value[-1]
    return Landmarks(points.numpy(), (vector[:, kept] / value[kept].sqrt()).numpy(), gamma)


def features(embeddings: NDArray[np.floating], marks: Landmarks) -> Floats:
    """(n, d) embeddings → (n, k)."""
    return _times(embeddings, marks, marks.whiten)


def weighted(embeddings: NDArray[np.floating], marks: Landmarks, weights: Floats) -> Floats:
    """(n,) features · (k,) weights, for little more than the product of embeddings and landmarks."""
    return _times(embeddings, marks, (marks.whiten @ weights)[:, None])[:, 0]


def _times(embeddings: NDArray[np.floating], marks: Landmarks, matrix: Floats) -> Floats:
    """(n, d) embeddings → their kernel values with the landmarks, times a (m, k) matrix: (n, k)."""
    import torch

    points, right = torch.from_numpy(marks.points), torch.from_numpy(np.ascontiguousarray(matrix))
    out = np.empty((len(embeddings), right.shape[1]))
    for start in range(0, len(embeddings), BLOCK):
        block = torch.from_numpy(embeddings[start : start + BLOCK].astype(np.float64))
        kernel = _squared(block, points).mul_(-marks.gamma).exp_()
        out[start : start + BLOCK] = (kernel @ right).numpy()
    return out


def _squared(one: Tensor, other: Tensor) -> Tensor:
    """(n, m) squared distances."""
    products = one @ other.T
    squared = products.mul_(-2).add_((one**2).sum(dim=1)[:, None]).add_((other**2).sum(dim=1))
    return squared.clamp_(min=0)
