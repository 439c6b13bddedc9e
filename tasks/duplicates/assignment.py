"""The cluster of each vector, and the clusters that it visits because it lies near to their boundary.

Each vector is at home in the cluster of its nearest centroid, and is compared with the vectors at home in each cluster
that it visits. Two vectors δ apart that are parted by a boundary lie together at most δ from it, so one of them is
within δ/2: were all clusters visited whose boundary is that near, no pair would be lost. Few edits point straight at a
boundary: a seventh of δ was measured to lose less than a thousandth. METHODS.md, section 3.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.duplicates import centroids
from tasks.duplicates.centroids import Centroids, Ready
from tasks.duplicates.products import directions, filled, space, space_again
from tasks.duplicates.stored import CHUNK, MapParts, Piece, Stored, gather_again, opened, pieces

if TYPE_CHECKING:
    from torch import Tensor

COARSE = 2  # coarse cells whose centroids are looked at, at most
WIDER = 2.0  # times the distance to a cluster's boundary: to that of a coarse cell whose centroids are looked at too
MANY = 65_536  # vectors of a piece where there are coarse cells: with fewer, too few share a cell's product
ROWS = 2_048  # of one product: its scores stay in the cache
APART = 16.0  # more than two scores of unit vectors differ by
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
    """Homes and visits of all vectors, piece by piece, from the centroids of that file."""
    cells = len(centroids.load(trained).coarse)
    work = pieces(vectors, CHUNK if cells == 1 else MANY)
    done = map_parts(partial(assign_piece, trained, reach), work)
    n = len(vectors.number)
    home, gap = np.empty(n, np.int32), np.empty(n, np.float32)
    for piece, part in zip(work, done, strict=True):
        home[piece.rows], gap[piece.rows] = part.home, part.gap
    visitor = np.concatenate([piece.rows[part.visitor] for piece, part in zip(work, done, strict=True)])
    visited, step = (np.concatenate([part[i] for part in done]) for i in (2, 3))
    order = np.argsort(visitor, kind="stable")
    order = order[by_label(visited[order])]
    return Assigned(home, visitor[order], visited[order], step[order], gap)


def by_label(label: NDArray[np.int32]) -> NDArray[np.int64]:
    """Places by label (n,), those of one label in their order. (n,)"""
    short = label.astype(np.uint16) if label.max(initial=0) <= np.iinfo(np.uint16).max else label
    return np.argsort(short, kind="stable")  # numpy sorts numbers of 16 bits by radix


def ranks(label: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of the same label stand before each, where labels (n,) ascend. (n,)"""
    count = np.bincount(label)
    return np.arange(len(label)) - (count.cumsum() - count)[label]


def assign_piece(trained: Path, reach: Reach, piece: Piece) -> Assigned:
    """The same of one piece; visitors are numbered within it."""
    known, n = centroids.load(trained), len(piece.rows)
    vectors, fine = opened(piece.vectors), centroids.ready(known.fine)
    spacing = max(float(known.spacing), 1e-6)
    home, gap = np.empty(n, np.int32), np.full(n, PROBED_ALL, np.float32)
    visits: list[tuple[NDArray[Any], ...]] = [(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int8))]
    step = ROWS if len(known.coarse) == 1 else max(n, 1)
    for first in range(0, n, step):
        points = _points(vectors, np.arange(first, min(first + step, n)), known.mean)
        for rows, listed in _by_cells(points, known, reach.distance):
            among = Ready(_taken(fine.quick, listed), fine.bias.index_select(0, listed.to(fine.bias.device)))
            score = centroids.scores(_taken(points, rows), among)[: len(rows)].cpu()
            row, column, visit, lead = _nearest(score, reach.distance * spacing, reach.probes)
            where, cluster = rows.numpy() + first, listed.numpy().astype(np.int32)
            gap[where] = np.minimum(lead / spacing, PROBED_ALL)  # exact where two centroids lie that far apart
            home[where[row[visit == 0]]] = cluster[column[visit == 0]]
            seen = visit > 0
            visits.append((where[row[seen]], cluster[column[seen]], visit[seen]))
    visitor, visited, steps = (np.concatenate(field) for field in zip(*visits, strict=True))
    return Assigned(home, visitor, visited, steps, gap)


def _points(vectors: Stored, rows: NDArray[np.int64], mean: Tensor) -> Tensor:
    """Those vectors, seen from the mean, ready for products; a few until this thread asks again. (rows, d)"""
    points = (space_again if len(rows) <= ROWS else space)(len(rows), vectors.dim)
    for start in range(0, len(rows), ROWS):
        some = slice(start, start + ROWS)
        directions(gather_again(vectors, rows[some]), mean, out=points[some])
    return points


def _taken(points: Tensor, rows: Tensor) -> Tensor:
    """Those rows, which ascend, and some that fill them up; a view where they lie beside each other."""
    import torch

    first, count = int(rows[0]), len(rows)
    if int(rows[-1]) - first == count - 1:
        return points[first : first + filled(count)]
    chosen = torch.cat([rows, rows[-1:].expand(filled(count) - count)])
    return points.index_select(0, chosen.to(points.device))


def _nearest(score: Tensor, behind: float, most: int) -> tuple[NDArray[Any], ...]:
    """(row, column, step) of the columns at most `behind` the best of their row, at most so many a row, the best being
    step 0; and how far behind the best of the others is (rows,). The scores (rows, columns) are used up.

    Few columns of a row are that near: finding them by passes over all takes far less time than sorting them.
    """
    import torch

    best = score.amax(1)
    place = (score.numpy() >= (best - behind).numpy()[:, None]).ravel().nonzero()[0]  # far faster than in torch
    flat = score.view(-1)
    value = flat[torch.from_numpy(place)].numpy()
    row, column = np.divmod(place, score.shape[1])
    order = np.argsort(APART * row - value, kind="stable")  # of equals the first column
    row, column, value, place = row[order], column[order], value[order], place[order]
    step = ranks(row)
    taken = step < most
    flat[torch.from_numpy(place[taken])] = -np.inf
    lead = (best - score.amax(1)).numpy()
    return row[taken], column[taken], step[taken].astype(np.int8), lead


def _by_cells(points: Tensor, known: Centroids, distance: float) -> list[tuple[Tensor, Tensor]]:
    """(rows, the centroids listed for their coarse cell, or for two where they lie near to the boundary)."""
    import torch

    cells = len(known.coarse)
    if cells == 1:
        every = torch.arange(known.listed.shape[1])
        return [(block, every) for block in torch.split(torch.arange(len(points)), ROWS)]
    score = centroids.scores(points, centroids.ready(known.coarse)).cpu()
    best = score.topk(min(COARSE, cells), dim=1)
    first, last = best.indices[:, 0], best.indices[:, -1]
    apart = torch.cdist(known.coarse, known.coarse)[first, last]
    last = last.where(best.values[:, 0] - best.values[:, -1] <= WIDER * distance * apart, first)
    key = torch.minimum(first, last) * cells + torch.maximum(first, last)
    kinds, label, count = torch.unique(key, return_inverse=True, return_counts=True)
    rows = torch.split(label.argsort(stable=True), count.tolist())
    listed = [(known.listed[k // cells] | known.listed[k % cells]).nonzero()[:, 0] for k in kinds.tolist()]
    return [(block, some) for those, some in zip(rows, listed, strict=True) for block in torch.split(those, ROWS)]
