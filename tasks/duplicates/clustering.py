"""Spherical k-means on the directions from the mean.

CLIP-like vectors sit in a narrow cone: seen from the origin they all look alike, seen from their mean they do not.

Results do not depend on the number of threads: products are made in blocks of a fixed size, each on one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from tasks.duplicates.products import unit, unit_blocks

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Clustering", "blocks", "mean_of", "parallel", "train", "unit"]

POINTS = 8192  # vectors a block

Item = TypeVar("Item")
Result = TypeVar("Result")


class Clustering(NamedTuple):
    """K directions from a mean."""

    mean: Tensor  # (d,) float32
    centroids: Tensor  # (K, d) float32, unit norm


def train(vectors: Tensor, k: int, subset: int, iterations: int, rng: np.random.Generator) -> Clustering:
    """k-means of (n, d) vectors, trained on a random subset of that size, or of k where that is more."""
    import torch

    mean = mean_of(vectors)
    chosen = rng.choice(len(vectors), size=min(len(vectors), max(subset, k)), replace=False)
    rows = unit(vectors[torch.from_numpy(chosen)])
    points = unit(rows - mean)
    centroids = points[:k].clone()
    for _ in range(iterations):
        label = torch.cat(parallel(partial(_nearest, centroids), blocks(points)))
        filled = torch.bincount(label, minlength=len(centroids)) > 0
        centroids = torch.where(filled[:, None], unit(_sums(points, label, centroids)), centroids)
    return Clustering(mean, centroids)


def mean_of(vectors: Tensor) -> Tensor:
    """Of the vectors brought to unit norm. (d,) float32"""
    import torch

    sums = torch.stack([block.sum(0).double() for _, block in unit_blocks(vectors)])
    return (sums.sum(0) / len(vectors)).float().cpu()


def blocks(rows: Tensor, size: int = POINTS) -> Iterator[Tensor]:
    """Views of a tensor's rows, `size` each."""
    return (rows[start : start + size] for start in range(0, len(rows), size))


def parallel(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """function(item) of each, in order, on as many threads as torch may use, each product on one of them.

    A product that several threads share may be added up in another order when their number changes; these are not.
    """
    import torch

    items, threads = list(items), torch.get_num_threads()
    if threads == 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            return list(pool.map(function, items))
        finally:
            torch.set_num_threads(threads)


def _nearest(centroids: Tensor, points: Tensor) -> Tensor:
    return (points @ centroids.T).argmax(1)


def _sums(points: Tensor, label: Tensor, like: Tensor) -> Tensor:
    """The points (n, d) of each label (n,) added up, in the shape of `like`. (K, d)"""
    import torch

    return torch.zeros_like(like).index_add_(0, label, points)
