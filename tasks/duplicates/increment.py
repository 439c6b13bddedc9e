"""New vectors added to an earlier search: compared with the known ones and each other, as the known ones were before.

The new ones are assigned to the earlier centroids and visit twice as far as in a search of all, where both vectors of a
pair visit: so the known ones need not visit, and each is read once at most, in its own cluster. Costs grow with the new
vectors times the size of a cluster.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.duplicates import near_pairs, probing
from tasks.duplicates.assignment import Assigned, assign
from tasks.duplicates.candidates import Candidates, Found, Search, each_once
from tasks.duplicates.near_pairs import Near
from tasks.duplicates.pair_files import Known
from tasks.duplicates.stored import MapParts, Stored
from tasks.duplicates.widening import Ask, find_wider

WIDER = 2  # times the reach of a search of all, and so its probes
GROWN = 2  # times as many clusters due as were trained, from which on centroids are trained anew


class Searched(NamedTuple):
    """What was found, and at what cost."""

    found: Found
    new: NDArray[np.int64]  # (k,), rows that were compared with those near to them: the new ones, or all
    trained: int  # vectors that there were when the centroids were trained
    reach: float  # at which all were searched then


def search(vectors: Stored, known: Known | None, ask: Ask, folder: Path, map_parts: MapParts) -> Searched:
    """All near pairs of n distinct vectors, the preferred first. The centroids stay in the folder."""
    n = len(vectors.number)
    more = find_more(vectors, known, ask.search, folder, map_parts) if known is not None else None
    if known is None or more is None:
        found, reach = find_wider(vectors, ask, folder, map_parts)
        return Searched(found, np.arange(n), n, reach)
    if _clustered(known):
        shutil.copyfile(known.folder / probing.CENTROIDS, folder / probing.CENTROIDS)
    return Searched(more, _new(n, known), known.trained, known.reach)


def find_more(vectors: Stored, known: Known, search: Search, folder: Path, map_parts: MapParts) -> Found | None:
    """All near pairs of n distinct vectors, those between known ones as they were found.

    None where a search of all is due: nothing is known, or so much is new that clusters would be too large.
    """
    n = len(vectors.number)
    new = _new(n, known)
    if len(known.row) == 0 or _outgrown(n, known, search):
        return None
    every = _joined(n, known, new, _assigned(vectors, new, known, search, map_parts))
    halves = split(every, new)
    if _clustered(known) and comparisons(halves, new) > n * probing.CLUSTER * probing.PROBES:
        return None
    near = near_pairs.compare(vectors, halves, search.threshold, map_parts) if len(new) else []
    before = Near(known.pairs, known.similarity, known.step, known.saturated)
    gap = every.gap if _clustered(known) else None
    return each_once(Candidates([before, *near], gap, every), n)


def _new(n: int, known: Known) -> NDArray[np.int64]:
    """The rows that are not known, ascending."""
    unknown = np.ones(n, np.bool_)
    unknown[known.row] = False
    return np.flatnonzero(unknown)


def _clustered(known: Known) -> bool:
    return (known.folder / probing.CENTROIDS).exists()


def _outgrown(n: int, known: Known, search: Search) -> bool:
    now, then = (probing.clusters_for(count, search.clusters) for count in (n, known.trained))
    return _clustered(known) and now > GROWN * then


def _assigned(vectors: Stored, new: NDArray[np.int64], known: Known, search: Search, map_parts: MapParts) -> Assigned:
    """Homes and visits of the new vectors, numbered among themselves."""
    if _clustered(known) and len(new):
        some = vectors._replace(number=vectors.number[new])
        wider = probing.visits(search.threshold, WIDER * known.reach)
        return assign(some, known.folder / probing.CENTROIDS, wider, map_parts)
    nobody = np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int8)
    return Assigned(np.zeros(len(new), np.int32), *nobody, np.zeros(len(new), np.float32))


def _joined(n: int, known: Known, new: NDArray[np.int64], assigned: Assigned) -> Assigned:
    """Homes of all n vectors, and visits of the new ones."""
    home, gap = np.empty(n, np.int32), np.empty(n, np.float32)
    home[known.row], gap[known.row] = known.home, known.gap
    home[new], gap[new] = assigned.home, assigned.gap
    return assigned._replace(home=home, visitor=new[assigned.visitor], gap=gap)


def split(every: Assigned, new: NDArray[np.int64]) -> Assigned:
    """Each of K clusters in two: the known ones at home in k, then the new ones at home in K + k.

    New vectors visit the known half of their own cluster and both halves of the others. What the known ones have with
    each other is left out.
    """
    k = int(max(every.home.max(initial=-1), every.visited.max(initial=-1))) + 1
    visitor = np.concatenate([new, every.visitor, every.visitor])
    visited = np.concatenate([every.home[new], every.visited, every.visited + k])
    step = np.concatenate([np.zeros(len(new), np.int8), every.step, every.step])
    order = np.lexsort((visitor, visited))
    home = every.home.copy()
    home[new] += k
    return Assigned(home, visitor[order], visited[order].astype(np.int32), step[order], every.gap, compared=k)


def comparisons(halves: Assigned, new: NDArray[np.int64]) -> int:
    """How many pairs of vectors are looked at, at most."""
    sizes = np.bincount(halves.home, minlength=int(halves.visited.max(initial=0)) + 1)
    own = np.bincount(halves.home[new])
    return int(sizes[halves.visited].sum() + (own * (own - 1) // 2).sum())
