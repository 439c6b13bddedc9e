"""Looking a query up in an index: only the vectors of the cells nearest to it are compared, each of them exactly.

A cell is read once for all the queries that probe it. What is found is then ordered by `verified`, as in exact search;
a vector is missed only where its cell is not among those probed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.duplicates.clustering import parallel
from tasks.searching.search_exact import BLOCK, SPARE, Nearest, Parts, searched

if TYPE_CHECKING:
    from torch import Tensor

PROBES: Final = 32  # cells that a query sees; for many queries more cost little, since each cell is read once anyway


class Index(NamedTuple):
    """n vectors, cell after cell. No cell is empty."""

    mean: NDArray[np.float32]  # (d,)
    centroids: NDArray[np.float32]  # (K, d), seen from the mean
    starts: NDArray[np.int64]  # (K + 1,) where each cell begins, and n
    rows: NDArray[np.int64]  # (n,) the version's row of each vector
    vectors: NDArray[np.floating]  # (n, d) as stored


def nearest(index: Index, parts: Parts, queries: NDArray[np.floating], k: int, probes: int = PROBES) -> Nearest:
    """The k nearest of (q, d) queries of unit norm in the cells that they probe; verified by exact cosine.

    `parts` are the vectors of which the index was made. EncoderError: another d.
    """
    return searched(parts, queries, k, lambda chunk: _candidates(index, chunk, k + SPARE, probes))


def _candidates(index: Index, queries: NDArray[np.floating], k: int, probes: int) -> NDArray[np.int64]:
    """(q, k) rows of the highest similarities in the probed cells, -1 where there are fewer."""
    import torch

    asked = torch.from_numpy(np.asarray(queries, np.float32))
    probed = _nearest_cells(index, asked, probes)
    width = probed.shape[1]
    order = probed.flatten().argsort(stable=True)
    visits = torch.split(order, torch.bincount(probed.flatten(), minlength=len(index.centroids)).tolist())
    value = torch.full((len(asked) * width, k), -torch.inf)
    place = torch.full((len(asked) * width, k), -1)

    def visit(cell: int) -> None:
        mine = visits[cell]
        value[mine], place[mine] = _best(index, cell, asked[mine // width], k)

    parallel(visit, [cell for cell, mine in enumerate(visits) if len(mine)])
    chosen = value.view(len(asked), -1).topk(k, dim=1).indices
    found = place.view(len(asked), -1).gather(1, chosen).numpy()
    return np.where(found < 0, -1, index.rows[found])


def _nearest_cells(index: Index, asked: Tensor, probes: int) -> Tensor:
    """(q, probes) cells, or all where there are fewer."""
    import torch

    centroids = torch.from_numpy(index.centroids)
    score = (asked - torch.from_numpy(index.mean)) @ centroids.T - (centroids * centroids).sum(dim=1) / 2
    return score.topk(min(probes, len(centroids)), dim=1).indices


def _best(index: Index, cell: int, asked: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k highest similarities to (m, d) queries in a cell, and their places in the index; -inf and -1 fill up."""
    import torch

    first, last = int(index.starts[cell]), int(index.starts[cell + 1])
    value, place = torch.full((len(asked), k), -torch.inf), torch.full((len(asked), k), -1)
    for start in range(first, last, BLOCK):
        block = torch.from_numpy(index.vectors[start : min(start + BLOCK, last)]).float()
        cosine = asked @ block.T / torch.linalg.vector_norm(block, dim=1)
        value, chosen = torch.cat([value, cosine], dim=1).topk(k, dim=1)
        known = place.gather(1, chosen.clamp(max=k - 1))
        place = torch.where(chosen < k, known, start + chosen - k)
    return value, place
