"""Pairs of near-duplicates, found by one of several searches behind one interface, each pair verified exactly.

The article compares images only within the K clusters of a clustering: one found 85% of its pairs, the union over
five clusterings of different random subsets 97%. `clusters` does that. `probes` uses one clustering and compares a
point also in the next-nearest clusters when it lies near a boundary: better recall at a fraction of the cost.
`annoy` asks a forest, `exact` compares all.

A row's number is its rank: lower rows are preferred. A row keeps at most PAIRS_PER_SAMPLE near rows below it, the
lowest ones, and is then `saturated`; comparing it ends there, so that a crowd of n near copies costs time and memory
in proportion to n.

Results do not depend on the number of threads: products are made in blocks of a fixed size, each on one thread, and
every pair is decided by a cosine in float64 from the stored vectors, rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks import clustering
from tasks.clustering import parallel, unit

if TYPE_CHECKING:
    from torch import Tensor

PAIRS_PER_SAMPLE = 128
SLACK = 1e-5  # cosine; far above the rounding error of float32 products, about 1e-6
DECIMALS = 6  # of a similarity
ROWS, COLUMNS, VERIFIED = 512, 4096, 1024  # fixed sizes of blocks: results must not depend on the machine
ALL_TO_ALL = 4096  # up to so many vectors make one cluster: comparing them all takes less than a second
PROBES = 4  # clusters that a point is compared in, at most; 3 loses a thousandth of the pairs


@dataclass(frozen=True)
class Search:
    """What to search for, and how hard."""

    threshold: float  # cosine
    clusters: int | None = None  # K; None: √n
    clusterings: int = 5  # of method `clusters`
    seed: int = 0


class Found(NamedTuple):
    """Verified pairs of n vectors, each once, sorted."""

    pairs: NDArray[np.int64]  # (m, 2), the lower row first
    similarity: NDArray[np.float64]  # (m,), cosine, rounded
    saturated: NDArray[np.bool_]  # (n,), the rows that have more near rows below them than were kept
    gap: NDArray[np.float32] | None = None  # (n,), cosine from the best centroid to the first one not probed


class Candidates(NamedTuple):
    """What a method proposes: pairs whose cosine in float32 is not below the threshold by more than SLACK."""

    pairs: list[NDArray[np.int64]]  # of (k, 2), may repeat
    cut: NDArray[np.bool_] | None = None  # (n,), rows whose list of neighbours was cut short
    gap: NDArray[np.float32] | None = None


def find(vectors: NDArray[np.floating], method: str, search: Search) -> Found:
    """Near-duplicates among distinct (n, d) float16 or float32 vectors of about unit norm, the preferred first.

    `method` is one of METHODS. Memory: the vectors, and 16 bytes a pair. METHODS.md, section 3.
    """
    import torch

    n = len(vectors)
    if n < 2:
        return Found(np.empty((0, 2), np.int64), np.empty(0), np.zeros(n, np.bool_))
    rows = torch.from_numpy(np.ascontiguousarray(vectors))
    candidates = METHODS[method](rows, search)
    pairs, similarity = _lowest(*verify(rows, _unique(candidates.pairs, n), search.threshold))
    saturated = np.bincount(pairs[:, 1], minlength=n) >= PAIRS_PER_SAMPLE
    if candidates.cut is not None:
        saturated |= candidates.cut
    return Found(pairs, similarity, saturated, candidates.gap)


def exact(vectors: Tensor, search: Search) -> Candidates:
    """All rows with all rows: n²/2 comparisons."""
    return Candidates(_compare(vectors, [np.arange(len(vectors))], search.threshold))


def clusters(vectors: Tensor, search: Search) -> Candidates:
    """The article's: the union over `clusterings` of different random subsets, compared within clusters only."""
    pairs = []
    for number in range(search.clusterings):
        rng = np.random.default_rng([search.seed, number])
        parted = clustering.train(vectors, _clusters_for(len(vectors), search), 50_000, 10, rng)
        pairs += _compare_within(vectors, parted, clustering.assign(vectors, parted, 1, 0.0), search.threshold)
    return Candidates(pairs)


def probes(vectors: Tensor, search: Search) -> Candidates:
    """One clustering; a point within a margin of a boundary is compared in up to PROBES clusters.

    Two vectors at the threshold are √(2 − 2·threshold) apart, and their similarities to a centroid may differ by that
    over their distance from the mean. A third of it was measured to be a good width of the margin. A crowd of near
    copies that k-means cut into pieces is put together again: no number of probes would reach all of its pieces.
    """
    k = _clusters_for(len(vectors), search)
    parted = clustering.train(vectors, k, 20 * k, 4, np.random.default_rng(search.seed))
    parted = clustering.merge(parted, search.threshold)
    radius = float(1 - parted.mean.square().sum()) ** 0.5  # root of the mean squared distance from the mean
    margin = ((2 - 2 * search.threshold) / 10) ** 0.5 / max(radius, SLACK)
    assigned = clustering.assign(vectors, parted, PROBES, margin)
    return Candidates(_compare_within(vectors, parted, assigned, search.threshold), gap=assigned.gap)


def annoy(vectors: Tensor, search: Search) -> Candidates:
    """The nearest rows in a forest, twice as many for a row all of whose neighbours are near, up to a limit."""
    from tasks import neighbors

    rows = unit(vectors).numpy()
    index = neighbors.build(rows, seed=search.seed)
    reach = np.sqrt(2 - 2 * (search.threshold - SLACK))
    asked, k, pairs = np.arange(len(rows)), 16, []
    while True:
        found = neighbors.nearest(index, rows[asked], k, search_k=max(400, 4 * k))
        near = (found.distances <= reach) & (found.ids != asked[:, None])
        here, rank = near.nonzero()
        pairs.append(np.sort(np.column_stack([asked[here], found.ids[here, rank]]), axis=1))
        asked = asked[found.distances[:, -1] <= reach]
        if len(asked) == 0 or k >= 2 * PAIRS_PER_SAMPLE:
            break
        k *= 2
    cut = np.zeros(len(rows), np.bool_)
    cut[asked] = True
    return Candidates(pairs, cut=cut)


METHODS: dict[str, Callable[[Tensor, Search], Candidates]] = {
    "clusters": clusters,
    "probes": probes,
    "annoy": annoy,
    "exact": exact,
}


def verify(
    vectors: Tensor, pairs: NDArray[np.int64], threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The pairs whose cosine in float64 from the (n, d) vectors as stored, rounded, reaches the threshold; and it."""
    import torch

    similarity = np.empty(len(pairs))
    rows = torch.from_numpy(pairs)

    def cosine(
        start: int,
    ) -> None:  # into one array: results left between large temporaries keep their memory from reuse
        block = rows[start : start + VERIFIED]
        left, right = vectors[block[:, 0]].double(), vectors[block[:, 1]].double()
        similarity[start : start + VERIFIED] = torch.nn.functional.cosine_similarity(left, right, dim=1).numpy()

    parallel(cosine, range(0, len(pairs), VERIFIED))
    similarity = similarity.round(DECIMALS)
    near = similarity >= threshold
    return pairs[near], similarity[near].clip(max=1.0)


def near_block(vectors: Tensor, members: Tensor, first: int, threshold: float) -> NDArray[np.int64]:
    """Candidate pairs whose higher row is one of the ROWS members from `first` on, the lower one any member. (k, 2)

    Members ascend. A row that has found PAIRS_PER_SAMPLE certain ones is compared no further.
    """
    import torch

    high = members[first : first + ROWS]
    end = first + len(high)
    rows, room, found = unit(vectors[high]), torch.full((len(high),), PAIRS_PER_SAMPLE), []
    for start in range(0, end, COLUMNS):
        low = members[start : min(start + COLUMNS, end)]
        similarity = rows @ unit(vectors[low]).T  # (rows, columns)
        near = similarity >= threshold - SLACK
        if start + len(low) > first:
            near &= low < high[:, None]
        if not near.any():
            continue
        near, room = _within(near, near & (similarity >= threshold + SLACK), room)
        row, column = near.nonzero(as_tuple=True)
        found.append(torch.stack([low[column], high[row]], dim=1))
        open_rows = room > 0
        high, rows, room = high[open_rows], rows[open_rows], room[open_rows]
        if len(high) == 0:
            break
    return torch.cat(found).numpy() if found else np.empty((0, 2), np.int64)


def _within(near: Tensor, certain: Tensor, room: Tensor) -> tuple[Tensor, Tensor]:
    """`near` (rows, columns) without what comes after a row's `room` of certain ones; and the room that is left."""
    counts = certain.sum(1)
    if bool((counts > room).any()):
        near = near & (certain.cumsum(1) - certain.long() < room[:, None])
    return near, (room - counts).clamp(min=0)


def _compare(vectors: Tensor, lists: Sequence[NDArray[np.int64]], threshold: float) -> list[NDArray[np.int64]]:
    """Candidate pairs within each list of rows. A list of any length is compared block by block."""
    import torch

    tensors = [torch.from_numpy(members) for members in lists]
    work = [(members, first) for members in tensors for first in range(0, len(members), ROWS)]
    return parallel(lambda item: near_block(vectors, *item, threshold), work)


def _compare_within(
    vectors: Tensor, parted: clustering.Clustering, assigned: clustering.Assignment, threshold: float
) -> list[NDArray[np.int64]]:
    return _compare(vectors, clustering.members(assigned.labels, len(parted.centroids)), threshold)


def _unique(pairs: list[NDArray[np.int64]], n: int) -> NDArray[np.int64]:
    """Each pair once, sorted. (m, 2)"""
    codes = [block[:, 0] * n + block[:, 1] for block in pairs if len(block)]
    if not codes:
        return np.empty((0, 2), np.int64)
    return np.column_stack(np.divmod(np.unique(np.concatenate(codes)), n))


def _lowest(pairs: NDArray[np.int64], similarity: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The pairs with the PAIRS_PER_SAMPLE lowest partners of each higher row, in the order that they have."""
    order = np.lexsort((pairs[:, 0], pairs[:, 1]))
    high = pairs[order, 1]
    rank = np.arange(len(high)) - np.searchsorted(high, high)
    chosen = np.sort(order[rank < PAIRS_PER_SAMPLE])
    return pairs[chosen], similarity[chosen]


def _clusters_for(n: int, search: Search) -> int:
    """K ~ √n balances assigning, n·K products, and comparing, up to (PROBES·n)²/2K; 2√n was the faster of two tried."""
    return search.clusters or (1 if n <= ALL_TO_ALL else round(2 * n**0.5))
