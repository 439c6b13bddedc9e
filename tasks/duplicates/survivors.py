"""Which of a group of near-duplicates stay, and which go.

Connected components remove an image because of another that was itself removed, at any distance. Here a sample is
removed only if a kept one lies within the threshold: samples are visited in order of preference, and each that no
survivor is near to survives (a greedy maximal independent set). What was filtered never survives and removes nothing.
With a cap of n, each survivor's group keeps up to n − 1 variants more, those least like what the group keeps already.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.duplicates.clustering import parallel
from tasks.duplicates.exact_queries import PAIRS, cosines_of, near_to
from tasks.duplicates.preferred import NOBODY
from tasks.duplicates.stored import MapParts, Stored

ASKED = 512  # saturated survivors that are compared with all survivors at a time
ROUNDS = 64  # of deciding all rows at once; a chain that is longer is followed row by row


class Settled(NamedTuple):
    """What became of n distinct vectors."""

    pairs: NDArray[np.int64]  # (m, 2), every verified pair, the lower row first
    leader: NDArray[np.int64]  # (n,), the survivor whose group the row is in, itself where it leads, or NOBODY
    survivor: NDArray[np.int64]  # (n,), the row itself where it survives, else the nearest survivor, or NOBODY
    similarity: NDArray[np.float64]  # (n,), cosine to that survivor, NaN where there is none


def greedy(pairs: NDArray[np.int64], rank: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The survivors: visited by ascending `rank` (n,), NOBODY where a row may not survive. (n,)

    Rows that no preferred row is near to survive, all at once, and what is near to them goes; then again.
    """
    alive = rank != NOBODY
    left = pairs[alive[pairs].all(axis=1)]
    left = np.where((rank[left[:, 0]] < rank[left[:, 1]])[:, None], left, left[:, ::-1])  # the preferred row first
    for _ in range(ROUNDS):
        if len(left) == 0:
            return alive
        waits = np.zeros(len(rank), np.bool_)
        waits[left[:, 1]] = True
        alive[left[~waits[left[:, 0]], 1]] = False
        left = left[alive[left].all(axis=1) & waits[left[:, 0]]]
    return _one_by_one(left, rank, alive)


def _one_by_one(pairs: NDArray[np.int64], rank: NDArray[np.int64], alive: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The same row by row, from pairs with the preferred row first."""
    order = np.argsort(rank[pairs[:, 0]], kind="stable")
    start = np.unique(rank[pairs[order, 0]], return_index=True)[1]
    for first, last in zip(start, [*start[1:], len(order)], strict=True):
        if alive[pairs[order[first], 0]]:
            alive[pairs[order[first:last], 1]] = False
    return alive


def nearest_survivor(
    pairs: NDArray[np.int64], similarity: NDArray[np.float64], rank: NDArray[np.int64], alive: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Of each row the most similar survivor that is near to it, of equals the preferred one, and the cosine. (n,)"""
    survivor = np.where(alive, np.arange(len(alive)), NOBODY)
    cosine = np.where(alive, 1.0, np.nan)
    both = np.concatenate([pairs, pairs[:, ::-1]])
    values = np.concatenate([similarity, similarity])
    links = np.flatnonzero(alive[both[:, 0]] & ~alive[both[:, 1]])
    best = links[np.lexsort((rank[both[links, 0]], -values[links], both[links, 1]))]
    row, first = np.unique(both[best, 1], return_index=True)
    survivor[row] = both[best[first], 0]
    cosine[row] = values[best[first]]
    return survivor, cosine


def settle(
    vectors: Stored,
    found: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]],
    rank: NDArray[np.int64],
    threshold: float,
    cap: int = 1,
    map_parts: MapParts = parallel,
    earlier: int = 0,
) -> Settled:
    """Survivors among n distinct vectors, from the pairs, similarities and saturated rows that were found.

    The list of a saturated row was cut short, so it may survive though another survivor is near. Such rows are compared
    with all survivors, the preferred ones first, until none is left; each round decides anew, so that nobody is removed
    for a removed one. Ranks below `earlier` are those of earlier survivors: no new variant takes their place.
    """
    pairs, similarity, saturated = found
    unsure = saturated.copy()
    while True:
        alive = greedy(pairs, rank)
        rows = np.flatnonzero(alive & unsure)
        if len(rows) == 0:
            break
        rows = rows[np.argsort(rank[rows])[:ASKED]]
        rows = rows[_stay(vectors, rows, rank, threshold, map_parts)]
        more, cosine = near_to(vectors, rows, threshold, map_parts, alive)
        unsure[rows] = False
        pairs, first = np.unique(np.concatenate([pairs, np.sort(more, axis=1)]), axis=0, return_index=True)
        similarity = np.concatenate([similarity, cosine])[first]
    leader, cosine = nearest_survivor(pairs, similarity, rank, alive)
    survivor = leader
    if cap > 1:
        alive = alive | variants(vectors, leader, rank, cap, earlier)
        survivor, cosine = nearest_survivor(pairs, similarity, rank, alive)
    return Settled(pairs, leader, survivor, cosine)


def _stay(
    vectors: Stored, rows: NDArray[np.int64], rank: NDArray[np.int64], threshold: float, map_parts: MapParts
) -> NDArray[np.bool_]:
    """Which of those rows survive among themselves: of a crowd of which all seem to survive, one need be compared."""
    among = np.zeros(len(rank), np.bool_)
    among[rows] = True
    pairs, _ = near_to(vectors, rows, threshold, map_parts, among)
    return greedy(pairs, np.where(among, rank, NOBODY))[rows]


def variants(
    vectors: Stored, leader: NDArray[np.int64], rank: NDArray[np.int64], cap: int, earlier: int = 0
) -> NDArray[np.bool_]:
    """Which rows stay besides their leader: in each group the one least like those kept so far, cap − 1 times. (n,)

    Farthest-first traversal (Gonzalez 1985): copies of one variant do not take each other's places. Those of a rank
    below `earlier` come before all others.
    """
    member = np.flatnonzero((leader != NOBODY) & (leader != np.arange(len(leader))) & (rank != NOBODY))
    member = member[np.lexsort((rank[member], leader[member]))]
    chosen = np.zeros(len(leader), np.bool_)
    likeness = cosines_of(vectors, np.column_stack([leader[member], member]))
    for _ in range(cap - 1):
        open_ = np.flatnonzero(~chosen[member])
        late = rank[member[open_]] >= earlier
        order = open_[np.lexsort((rank[member[open_]], likeness[open_], late, leader[member[open_]]))]
        group, first = np.unique(leader[member[order]], return_index=True)
        if len(group) == 0:
            break
        new = member[order[first]]
        chosen[new] = True
        latest = new[np.searchsorted(group, leader[member]).clip(max=len(group) - 1)]
        touched = np.flatnonzero(~chosen[member] & (leader[latest] == leader[member]))
        fresh = cosines_of(vectors, np.column_stack([latest[touched], member[touched]]))
        likeness[touched] = np.maximum(likeness[touched], fresh)
    return chosen


def check_survivors(
    vectors: Stored, settled: Settled, rank: NDArray[np.int64], threshold: float, cap: int = 1
) -> dict[str, int]:
    """What must not be: `orphans`, removed rows without a survivor within the threshold, by a cosine computed anew;
    `survivor_pairs`, verified pairs of two leaders; `overfull_groups`, which have more than `cap` survivors."""
    here = np.arange(len(rank))
    alive = settled.survivor == here
    removed = here[(rank != NOBODY) & ~alive]
    claims = np.column_stack([settled.survivor[removed], removed])
    claims = claims[claims[:, 0] != NOBODY]
    claims = claims[alive[claims[:, 0]] & (rank[claims[:, 0]] != NOBODY)]
    cosines = parallel(partial(cosines_of, vectors), np.array_split(claims, 1 + len(claims) // PAIRS))
    upheld = sum(int((some >= threshold).sum()) for some in cosines)
    leads = settled.leader == here
    kept = np.bincount(settled.leader[alive & (settled.leader != NOBODY)], minlength=len(rank))
    return {
        "orphans": len(removed) - upheld,
        "survivor_pairs": int(leads[settled.pairs].all(axis=1).sum()),
        "overfull_groups": int((kept > cap).sum()),
    }


def groups(settled: Settled) -> NDArray[np.int64]:
    """The row that stands for each of n rows, itself where it stands alone: the leader near to it. (n,)

    Filtered rows that no survivor is near to are grouped in the same way among themselves, the preferred ones first.
    Every member is within the threshold of the row that it is grouped under: no chains, so a group looks alike.
    """
    alone = settled.leader == NOBODY
    row = np.arange(len(alone))
    leads = greedy(settled.pairs, np.where(alone, row, NOBODY))
    both = np.concatenate([settled.pairs, settled.pairs[:, ::-1]])
    links = both[leads[both[:, 0]] & (alone & ~leads)[both[:, 1]]]
    links = links[np.argsort(-links[:, 0], kind="stable")]
    group = np.where(alone, row, settled.leader)
    group[links[:, 1]] = links[:, 0]  # the last assignment stands: the most preferred
    return group
