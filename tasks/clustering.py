"""Spherical k-means on the directions from the mean, and the clusters that a vector is near to.

CLIP-like vectors sit in a narrow cone: seen from the origin they all look alike, seen from their mean they do not.

Results do not depend on the number of threads: products are made in blocks of a fixed size, each on one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

POINTS = 8192  # vectors a block
PROBED_ALL = 2.0  # a gap that no two cosines exceed

Item = TypeVar("Item")
Result = TypeVar("Result")


class Clustering(NamedTuple):
    """K directions from a mean."""

    mean: Tensor  # (d,) float32
    centroids: Tensor  # (K, d) float32, unit norm
    averages: (
        Tensor  # (K, d) float32, of the unit vectors of each cluster; the product of two is the mean cosine between
    )


class Assignment(NamedTuple):
    """The clusters of n vectors."""

    labels: NDArray[np.int64]  # (n, probes), the best first, -1 for none
    gap: NDArray[np.float32]  # (n,), cosine, from the best centroid to the first one not probed


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
    counts = torch.bincount(label, minlength=len(centroids)).clamp(min=1)
    return Clustering(mean, centroids, _sums(rows, label, centroids) / counts[:, None])


def merge(clustering: Clustering, threshold: float) -> Clustering:
    """One cluster in place of those between whose vectors the mean cosine reaches the threshold. (K', d), K' ≤ K"""
    import torch
    from scipy.sparse.csgraph import connected_components

    near = clustering.averages @ clustering.averages.T >= threshold  # (K, K)
    count, label = connected_components(near.numpy(), directed=False)
    group = torch.from_numpy(label).long()
    merged = clustering.centroids[:count]
    averages = _sums(clustering.averages, group, merged) / torch.bincount(group)[:, None]
    return Clustering(clustering.mean, unit(_sums(clustering.centroids, group, merged)), averages)


def assign(vectors: Tensor, clustering: Clustering, probes: int, margin: float) -> Assignment:
    """The clusters whose centroid is within `margin` (cosine) of a vector's best, at most `probes` of them."""
    import torch

    def nearest(block: Tensor) -> tuple[Tensor, Tensor]:
        similarity = unit(unit(block) - clustering.mean) @ clustering.centroids.T  # (points, K)
        values, labels = similarity.topk(min(probes + 1, similarity.shape[1]), dim=1)
        behind = values[:, :1] - values
        used = behind[:, :probes] <= margin
        beyond = torch.cat([behind, torch.full((len(block), 1), PROBED_ALL)], dim=1)
        return labels[:, :probes].where(used, -1), beyond.gather(1, used.sum(1, keepdim=True))[:, 0]

    labels, gaps = zip(*parallel(nearest, blocks(vectors)), strict=True)
    return Assignment(torch.cat(labels).numpy(), torch.cat(gaps).numpy())


def members(labels: NDArray[np.int64], k: int) -> list[NDArray[np.int64]]:
    """The rows of each of k clusters, ascending, from (n, probes) labels."""
    row, column = (labels >= 0).nonzero()
    label = labels[row, column]
    order = np.argsort(label, kind="stable")
    return np.split(row[order], np.cumsum(np.bincount(label, minlength=k))[:-1])


def mean_of(vectors: Tensor) -> Tensor:
    """Of the vectors brought to unit norm. (d,) float32"""
    import torch

    sums = parallel(lambda block: unit(block).sum(0, dtype=torch.float64), blocks(vectors))
    return (torch.stack(sums).sum(0) / len(vectors)).float()


def unit(vectors: Tensor) -> Tensor:
    """Float32 of norm one; float16 embeddings miss it by about 1e-4."""
    import torch

    return torch.nn.functional.normalize(vectors.float(), dim=1)


def blocks(rows: Tensor, size: int = POINTS) -> Iterator[Tensor]:
    """Views of a tensor's rows, `size` each."""
    return (rows[start : start + size] for start in range(0, len(rows), size))


def parallel(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """function(item) of each, in order, on as many threads as torch may use, each product on one of them.

    A product that several threads share may be added up in another order when their number changes; these are not.
    """
    import torch

    threads = torch.get_num_threads()
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
