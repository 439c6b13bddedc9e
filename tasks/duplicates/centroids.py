"""Centroids in two levels, so that a vector finds those near to it without being compared with all.

K grows with the number of vectors, so that clusters stay of one size. L ~ √K coarse cells are trained first, then each
is cut into centroids in proportion to its share of the sample, so that a topic of nearly all vectors gets nearly all of
the centroids. For each cell the centroids are listed that vectors of the sample in it are near to.

Distances are Euclidean and seen from the mean: CLIP-like vectors sit in a narrow cone, and small numbers lose less to
rounding.
"""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.duplicates.clustering import blocks, mean_of, parallel
from tasks.duplicates.products import device, directions, fast, product, space
from tasks.duplicates.scratch import scratch
from tasks.duplicates.stored import Stored, gather_again, opened, state
from tasks.threads import one_thread

if TYPE_CHECKING:
    from torch import Tensor

COARSE_FROM = 1_500  # centroids, from which on two levels are faster than one
SETTLED = 2  # iterations among all centroids, after which they heed no border of coarse cells
SAMPLE = 524_288  # vectors to train on, at most: 540 MB at d = 512. With 7 a centroid, pairs are lost
LISTED, LISTED_FROM = 16, 65_536  # centroids listed for the cell of a vector, and vectors of the sample that list
BLOCK = 2_048  # points of one product: its scores stay in the cache
NEIGHBOURS = 8
OVERSIZED = 4  # times its share of the sample, from which on a cluster is split
ROUNDS = 3  # of splitting


class Plan(NamedTuple):
    """How to train."""

    k: int  # centroids
    sample: int  # vectors to train on
    iterations: int
    levels: int  # 1: each vector is compared with all centroids
    join: float = 2.0  # cosine; clusters whose vectors are that similar on average become one


class Centroids(NamedTuple):
    """K centroids, seen from the mean."""

    mean: Tensor  # (d,) float32
    coarse: Tensor  # (L, d) float32
    fine: Tensor  # (K, d) float32
    listed: Tensor  # (L, K) bool, the centroids that a vector of a coarse cell may be near to
    spacing: Tensor  # () float32, mean distance of a centroid to its nearest NEIGHBOURS


class Ready(NamedTuple):
    """Centroids of which a point's nearest is sought."""

    quick: Tensor  # (K, d), ready for products
    bias: Tensor  # (K,) float32, half their squared norms


def train(vectors: Stored, plan: Plan, rng: np.random.Generator) -> Centroids:
    """k-means on a random subset of n ≥ 1 vectors, in one level or two."""
    import torch

    n = len(vectors.number)
    chosen = rng.choice(n, size=min(n, max(plan.sample, plan.k)), replace=False)
    mean, points = _sample(opened(vectors), chosen)
    if plan.levels == 1 or plan.k < COARSE_FROM:
        fine = fit(points, _first(points, plan.k), plan.iterations)
        return _listed_all(mean, _join(fine, mean, points, plan.join))
    coarse = fit(points, _first(points, round(plan.k**0.5)), plan.iterations)
    share = plan.k / len(points)
    cut = parallel(lambda rows: _cut(_some(points, rows), share, plan), _members(points, coarse))
    fine = fit(points, torch.cat(cut), SETTLED)
    fine = _join(fine, mean, points, plan.join)
    return Centroids(mean, coarse, fine, _listed(points[:LISTED_FROM], coarse, fine), _spacing(fine))


def _sample(vectors: Stored, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """The mean of those vectors at unit norm, (d,), and the vectors seen from it, ready for products, (rows, d)."""
    import torch

    parts = np.split(rows, range(BLOCK, len(rows), BLOCK))
    means = parallel(lambda some: mean_of(gather_again(vectors, some)) * (len(some) / len(rows)), parts)
    mean, points = torch.stack(means).sum(0), space(len(rows), vectors.dim)
    room = zip(parts, blocks(points, BLOCK), strict=True)
    parallel(lambda part: directions(gather_again(vectors, part[0]), mean, out=part[1]), room)
    return mean, points


def fit(points: Tensor, start: Tensor, iterations: int) -> Tensor:
    """Lloyd's k-means of (n, d) points, ready for products, from (k, d) centroids. (k, d) float32"""
    import torch

    if len(start) == 1:
        return _sums(points, [torch.zeros(len(points), dtype=torch.long)], start) / len(points)
    centroids = start
    for _ in range(iterations):
        with one_thread():  # torch's others would wait busily while ours make the next products
            among = ready(centroids)
        label = parallel(partial(_nearest, among), blocks(points, BLOCK))
        with one_thread():
            count = torch.bincount(torch.cat(label), minlength=len(centroids))
            sums = _sums(points, label, centroids)
            centroids = torch.where(count[:, None] > 0, sums / count.clamp(min=1)[:, None], centroids)
    return centroids


def _sums(points: Tensor, label: list[Tensor], like: Tensor) -> Tensor:
    """The points of each label added up, block by block, in the shape of `like`. (k, d) float32"""
    import torch

    sums = torch.zeros(like.shape, device=points.device)
    for block, some in zip(blocks(points, len(label[0])), label, strict=True):
        sums.index_add_(0, some.to(points.device), block.float())
    return sums.cpu()


def _first(points: Tensor, k: int) -> Tensor:
    """Centroids to start from. (k, d) float32"""
    return points[:k].float().cpu()


def _some(points: Tensor, rows: Tensor) -> Tensor:
    return points.index_select(0, rows.to(points.device))


def save(centroids: Centroids, path: Path) -> None:
    """As .npz, which `load` reads."""
    np.savez(path, **{name: value.numpy() for name, value in centroids._asdict().items()})


def load(path: Path) -> Centroids:
    """What `save` wrote; not read again until the file is another."""
    return _read(path, state(path))


@lru_cache(maxsize=1)
def _read(path: Path, version: tuple[int, ...]) -> Centroids:
    import torch

    with np.load(path) as file:
        return Centroids(*(torch.from_numpy(file[name]) for name in Centroids._fields))


def ready(centroids: Tensor) -> Ready:
    """(K, d) centroids, seen from the mean, ready to be compared with points."""
    quick = fast(centroids)
    return Ready(quick, (centroids * centroids).sum(1).to(quick.device) / 2)


def scores(quick: Tensor, among: Ready) -> Tensor:
    """The higher the nearer, of points (n, d) ready for products and seen from the mean. (n, K) float32

    Until this thread makes the next ones. Centroids without a bias fill up.
    """
    import torch

    found = product(quick, among.quick)[:, : len(among.bias)]
    score = scratch("scores", tuple(found.shape), torch.float32, device())
    return score.copy_(found).sub_(among.bias)


def _nearest(among: Ready, quick: Tensor) -> Tensor:
    import torch

    return torch.from_numpy(scores(quick, among).cpu().numpy().argmax(1))  # far faster than torch's


def _members(points: Tensor, centroids: Tensor) -> list[Tensor]:
    """The points of each centroid, without the empty ones."""
    import torch

    among = ready(centroids)
    label = torch.cat([_nearest(among, block) for block in blocks(points, BLOCK)])
    order = label.argsort(stable=True)
    return [rows for rows in torch.split(order, torch.bincount(label).tolist()) if len(rows)]


def _cut(points: Tensor, share: float, plan: Plan) -> Tensor:
    """Centroids of one cell, in proportion to its points; what is oversized is cut again. (k, d)"""
    import torch

    centroids = fit(points, _first(points, max(1, round(share * len(points)))), plan.iterations)
    for _ in range(ROUNDS):
        cells = _members(points, centroids)
        parts = [max(1, int(share * len(rows) / OVERSIZED)) for rows in cells]
        if max(parts) == 1:
            break
        cut = [(_some(points, rows), k) for rows, k in zip(cells, parts, strict=True)]
        centroids = torch.cat([fit(some, _first(some, k), plan.iterations) for some, k in cut])
    return centroids


def _join(fine: Tensor, mean: Tensor, points: Tensor, threshold: float) -> Tensor:
    """One centroid in place of those whose vectors have a mean cosine at the threshold or above. (K', d), K' ≤ K

    A crowd of near copies that k-means cut into pieces is put together again: no number of probes would reach all.
    """
    import torch

    with one_thread():
        seen = fine + mean  # the mean of a cluster's unit vectors; the product of two is the mean cosine between them
        tight = (seen.norm(dim=1) >= threshold).nonzero()[:, 0]
        close = seen[tight]
    if len(tight) < 2:
        return fine
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = parallel(lambda block: (block @ close.T >= threshold).nonzero(), blocks(close, 1024))
    row = torch.cat([link[:, 0] + 1024 * i for i, link in enumerate(links)]).numpy()
    graph = coo_array((np.ones(len(row)), (row, torch.cat(links)[:, 1].numpy())), shape=(len(tight),) * 2)
    number, label = connected_components(graph, directed=False)
    if number == len(tight):
        return fine
    near = torch.cat(parallel(partial(_nearest, ready(fine)), blocks(points, BLOCK)))
    count = torch.bincount(near, minlength=len(fine)).float()
    weight = count[tight].clamp(min=1)[:, None]
    group = torch.from_numpy(label).long()
    sums = torch.zeros(number, fine.shape[1]).index_add_(0, group, fine[tight] * weight)
    joined = sums / torch.zeros(number, 1).index_add_(0, group, weight)
    loose = torch.ones(len(fine), dtype=torch.bool)
    loose[tight] = False
    return torch.cat([fine[loose], joined])


def _listed(points: Tensor, coarse: Tensor, fine: Tensor) -> Tensor:
    """The centroids that a coarse cell's points have among their nearest, and those that lie in it. (L, K) bool"""
    import torch

    listed = torch.zeros(len(coarse), len(fine), dtype=torch.bool)
    cells, among = ready(coarse), ready(fine)

    def near(block: Tensor) -> tuple[Tensor, Tensor]:
        return _nearest(cells, block), scores(block, among).topk(min(LISTED, len(fine))).indices.cpu()

    for cell, some in parallel(near, blocks(points, BLOCK)):
        listed[cell[:, None], some] = True
    listed[_nearest(cells, among.quick), torch.arange(len(fine))] = True
    return listed


def _listed_all(mean: Tensor, fine: Tensor) -> Centroids:
    import torch

    everything = torch.ones(1, len(fine), dtype=torch.bool)
    return Centroids(mean, torch.zeros(1, fine.shape[1]), fine, everything, _spacing(fine))


def _spacing(fine: Tensor) -> Tensor:
    import torch

    with one_thread():
        apart = torch.cdist(fine[:512], fine)
        return apart.topk(min(NEIGHBOURS + 1, len(fine)), largest=False).values[:, 1:].mean().nan_to_num()
