"""The cluster of each vector, and the clusters that it visits because it lies near to their boundary.

Each vector is at home in the cluster of its nearest centroid, and is compared with the vectors at home in each cluster
that it visits. Two vectors δ apart that are parted by a boundary lie together at most δ from it, so one of them is
within δ/2: were all clusters visited whose boundary is that near, no pair would be lost. Few edits point straight at a
boundary: a seventh of δ was measured to lose less than a thousandth. METHODS.md, section 3.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.duplicates import centroids
from tasks.duplicates.centroids import Centroids
from tasks.duplicates.products import directions, fast, product
from tasks.duplicates.stored import Chunk, MapParts, Stored, chunks, read

if TYPE_CHECKING:
    from torch import Tensor

COARSE = 2  # coarse cells whose centroids are looked at, at most
WIDER = 2.0  # times the distance to a cluster's boundary: to that of a coarse cell whose centroids are looked at too
ROWS = 2_048  # of one product: its scores stay in the cache
PROBED_ALL = 2.0  # a distance that no boundary is at


class Reach(NamedTuple):
    """How far a vector visits."""

    probes: int  # clusters, at most, its home included
    distance: float  # to the boundary with another cluster, at which it is still visited


class Assigned(NamedTuple):
    """The clusters of n vectors."""

    home: NDArray[np.int32]  # (n,)
    visitor: NDArray[np.int64]  # (m,), row of the vector, by cluster and row
    visited: NDArray[np.int32]  # (m,), cluster
    step: NDArray[np.int8]  # (m,), 1 for the nearest visited, 2 for the next, …
    gap: NDArray[np.float32]  # (n,), about the distance to the boundary with the first cluster not visited
    compared: int = 0  # clusters below this number have had those at home compared with each other


def assign(vectors: Stored, trained: Path, reach: Reach, map_parts: MapParts) -> Assigned:
    """Homes and visits of all vectors, chunk by chunk, from the centroids of that file."""
    work = chunks(vectors)
    done = map_parts(partial(assign_chunk, trained, reach), work)
    n = len(vectors.number)
    home, gap = np.empty(n, np.int32), np.empty(n, np.float32)
    for chunk, part in zip(work, done, strict=True):
        home[chunk.rows], gap[chunk.rows] = part.home, part.gap
    visitor = np.concatenate([chunk.rows[part.visitor] for chunk, part in zip(work, done, strict=True)])
    visited, step = (np.concatenate([part[i] for part in done]) for i in (2, 3))
    order = np.lexsort((visitor, visited))
    return Assigned(home, visitor[order], visited[order], step[order], gap)


def assign_chunk(trained: Path, reach: Reach, chunk: Chunk) -> Assigned:
    """The same of one chunk; visitors are numbered within it."""
    import torch

    known = centroids.load(trained)
    points = directions(torch.from_numpy(read(chunk)), known.mean)
    near = torch.full((len(points), reach.probes + 1), -1)
    score = torch.full((len(points), reach.probes + 1), -torch.inf)
    fine, bias = fast(known.fine), (known.fine * known.fine).sum(1).to(points.device) / 2
    for rows, listed in _by_cells(points, known, reach.distance):
        found = product(points[rows], fine[listed]).float() - bias[listed]
        best = found.topk(min(reach.probes + 1, len(listed)), dim=1)
        width = best.values.shape[1]
        near[rows, :width], score[rows, :width] = listed[best.indices.cpu()], best.values.cpu()
    behind = (score[:, :1] - score) / known.spacing.clamp(min=1e-6)  # exact where two centroids lie that far apart
    used = behind[:, 1:-1] <= reach.distance
    row, place = used.nonzero(as_tuple=True)
    gap = behind.gather(1, used.sum(1, keepdim=True) + 1)[:, 0].clamp(max=PROBED_ALL)
    visits = row.numpy(), near[row, place + 1].int().numpy(), (place + 1).to(torch.int8).numpy()
    return Assigned(near[:, 0].int().numpy(), *visits, gap.numpy())


def _by_cells(points: Tensor, known: Centroids, distance: float) -> list[tuple[Tensor, Tensor]]:
    """(rows, the centroids listed for their coarse cell, or for two where they lie near to the boundary)."""
    import torch

    cells = len(known.coarse)
    score = product(points, fast(known.coarse)).float().cpu() - (known.coarse * known.coarse).sum(1) / 2
    best = score.topk(min(COARSE, cells), dim=1)
    first, last = best.indices[:, 0], best.indices[:, -1]
    apart = torch.cdist(known.coarse, known.coarse)[first, last]
    last = last.where(best.values[:, 0] - best.values[:, -1] <= WIDER * distance * apart, first)
    key = torch.minimum(first, last) * cells + torch.maximum(first, last)
    kinds, label, count = torch.unique(key, return_inverse=True, return_counts=True)
    rows = torch.split(label.argsort(stable=True), count.tolist())
    listed = [(known.listed[k // cells] | known.listed[k % cells]).nonzero()[:, 0] for k in kinds.tolist()]
    return [(block, some) for those, some in zip(rows, listed, strict=True) for block in torch.split(those, ROWS)]
