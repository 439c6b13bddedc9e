"""Which of a group of near-duplicates stays, and which go.

Connected components remove an image because of another that was itself removed, at any distance. Here a sample is
removed only if a kept one lies within the threshold: samples are visited in order of preference, and each that no
survivor is near to survives (a greedy maximal independent set). What was filtered never survives and removes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.candidates import Search, find, verify
from tasks.preferred import NOBODY


class Settled(NamedTuple):
    """What became of n distinct vectors."""

    pairs: NDArray[np.int64]  # (m, 2), every verified pair, the lower row first
    survivor: NDArray[np.int64]  # (n,), the row itself where it survives, else the nearest survivor, or NOBODY
    similarity: NDArray[np.float64]  # (n,), cosine to that survivor, NaN where there is none


def greedy(pairs: NDArray[np.int64], rank: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The survivors: visited by ascending `rank` (n,), NOBODY where a row may not survive. (n,)"""
    n = len(rank)
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = both[(rank[both] != NOBODY).all(axis=1)]
    both = both[np.argsort(both[:, 0], kind="stable")]
    start = np.searchsorted(both[:, 0], np.arange(n + 1))
    alive = rank != NOBODY
    crowded = np.unique(both[:, 0])
    for row in crowded[np.argsort(rank[crowded])]:
        if alive[row]:
            alive[both[start[row] : start[row + 1], 1]] = False
    return alive


def nearest_survivor(
    pairs: NDArray[np.int64], similarity: NDArray[np.float64], rank: NDArray[np.int64], alive: NDArray[np.bool_]
) -> Settled:
    """Each removed or filtered row with the most similar survivor that is near to it; of equals the preferred one."""
    survivor = np.where(alive, np.arange(len(alive)), NOBODY)
    cosine = np.where(alive, 1.0, np.nan)
    both = np.concatenate([pairs, pairs[:, ::-1]])
    values = np.concatenate([similarity, similarity])
    links = np.flatnonzero(alive[both[:, 0]] & ~alive[both[:, 1]])
    best = links[np.lexsort((rank[both[links, 0]], -values[links], both[links, 1]))]
    row, first = np.unique(both[best, 1], return_index=True)
    survivor[row] = both[best[first], 0]
    cosine[row] = values[best[first]]
    return Settled(pairs, survivor, cosine)


def settle(
    vectors: NDArray[np.floating],
    found: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]],
    rank: NDArray[np.int64],
    method: str,
    search: Search,
) -> Settled:
    """Survivors among n distinct (n, d) vectors, from the pairs, similarities and saturated rows that were found.

    The list of a saturated row was cut short, so two survivors may still be near. They are searched again among the
    survivors alone, until no such pair is left; each round decides anew, so that nobody is removed for a removed one.
    """
    pairs, similarity, saturated = found
    while True:
        alive = greedy(pairs, rank)
        rows = np.flatnonzero(alive)
        if not saturated[rows].any():
            break
        again = find(vectors[rows], method, search)
        if len(again.pairs) == 0:
            break
        pairs = np.concatenate([pairs, rows[again.pairs]])
        similarity = np.concatenate([similarity, again.similarity])
        saturated = saturated.copy()
        saturated[rows] |= again.saturated
    return nearest_survivor(pairs, similarity, rank, alive)


def check_survivors(
    vectors: NDArray[np.floating], settled: Settled, rank: NDArray[np.int64], threshold: float
) -> dict[str, int]:
    """What must not be: `orphans`, removed rows without a survivor within the threshold, by a cosine computed anew;
    and `survivor_pairs`, verified pairs of which both survive."""
    import torch

    here = np.arange(len(rank))
    alive = settled.survivor == here
    removed = here[(rank != NOBODY) & ~alive]
    claims = np.column_stack([settled.survivor[removed], removed])
    claims = claims[claims[:, 0] != NOBODY]
    claims = claims[alive[claims[:, 0]] & (rank[claims[:, 0]] != NOBODY)]
    upheld, _ = verify(torch.from_numpy(np.ascontiguousarray(vectors)), claims, threshold)
    both = alive[settled.pairs].all(axis=1)
    return {"orphans": len(removed) - len(upheld), "survivor_pairs": int(both.sum())}


def groups(settled: Settled) -> NDArray[np.int64]:
    """The row that stands for each of n rows, itself where it stands alone: the survivor near to it. (n,)

    Filtered rows that no survivor is near to are grouped in the same way among themselves, the preferred ones first.
    Every member is within the threshold of the row that it is grouped under: no chains, so a group looks alike.
    """
    alone = settled.survivor == NOBODY
    row = np.arange(len(alone))
    leads = greedy(settled.pairs, np.where(alone, row, NOBODY))
    both = np.concatenate([settled.pairs, settled.pairs[:, ::-1]])
    links = both[leads[both[:, 0]] & (alone & ~leads)[both[:, 1]]]
    links = links[np.argsort(-links[:, 0], kind="stable")]
    group = np.where(alone, row, settled.survivor)
    group[links[:, 1]] = links[:, 0]  # the last assignment stands: the most preferred
    return group
