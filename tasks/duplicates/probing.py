"""The default search: one clustering of many small clusters, and visits to those beyond a near boundary."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tasks.duplicates import centroids
from tasks.duplicates.assignment import Assigned, Reach, assign
from tasks.duplicates.centroids import Plan
from tasks.duplicates.stored import MapParts, Stored

if TYPE_CHECKING:
    from tasks.duplicates.candidates import Search

CLUSTER = 500  # vectors, in pools of LARGE or more: with fewer, pairs are lost there
LARGE, SMALL = 1_000_000, 130_000  # between these a cluster grows with the fourth root, from 300 vectors
ALL_TO_ALL = 16_384  # up to so many vectors make one cluster: comparing them all takes about a second
PROBES = 16  # clusters that a vector visits, at most, at the first reach
CENTROIDS = "centroids.npz"
# Distance to a boundary at which the cluster behind it is visited, in terms of the largest distance of a pair. A half
# loses no pair; 0.15 lost one in 1,000 of 1,000,000 vectors, 0.18 none of 3,247 there and one in 100 of flat drawings.
REACHES = (0.18, 0.36, 0.5)


def clusters_for(n: int, given: int | None = None) -> int:
    """K nearly in proportion to n: comparisons then grow as n, and two levels keep assignment from growing as n²."""
    size = CLUSTER * (min(max(n, SMALL), LARGE) / LARGE) ** 0.25
    return given or (1 if n <= ALL_TO_ALL else round(n / size))


def assigned(vectors: Stored, search: Search, folder: Path, map_parts: MapParts) -> Assigned:
    """Homes and visits; the centroids stay in the folder, so that later vectors can be assigned to them."""
    k = clusters_for(len(vectors.number), search.clusters)
    plan = Plan(k, min(20 * k, centroids.SAMPLE), 4, levels=2, join=search.threshold)
    trained = centroids.train(vectors, plan, np.random.default_rng(search.seed))
    centroids.save(trained, folder / CENTROIDS)
    return assign(vectors, folder / CENTROIDS, visits(search.threshold, search.reach), map_parts)


def visits(threshold: float, reach: float) -> Reach:
    """How far a vector visits, where pairs of that cosine are searched; `reach` as in REACHES."""
    return Reach(round(PROBES * reach / REACHES[0]), reach * (2 - 2 * threshold) ** 0.5)
