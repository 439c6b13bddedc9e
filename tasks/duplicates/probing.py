"""The default search: one clustering of many small clusters, and visits to those beyond a near boundary."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tasks.duplicates import centroids
from tasks.duplicates.assignment import Assigned, Reach, assign
from tasks.duplicates.centroids import Plan
from tasks.duplicates.stored import MapParts, Stored

CLUSTER = 250  # vectors; 200 and 350 were as fast at 200,000 × 512
ALL_TO_ALL = 4_096  # up to so many vectors make one cluster: comparing them all takes less than a second
PROBES = 8  # clusters that a vector visits, at most
CENTROIDS = "centroids.npz"
REACH = 0.15  # of the largest distance of a pair; a half would lose none, 0.12 lost one pair in 20,000


def clusters_for(n: int, given: int | None = None) -> int:
    """K in proportion to n: comparisons then grow as n, and two levels keep assignment from growing as n²."""
    return given or (1 if n <= ALL_TO_ALL else round(n / CLUSTER))


def assigned(
    vectors: Stored, threshold: float, clusters: int | None, seed: int, folder: Path, map_parts: MapParts
) -> Assigned:
    """Homes and visits; the centroids stay in the folder, so that later vectors can be assigned to them."""
    k = clusters_for(len(vectors.number), clusters)
    plan = Plan(k, min(20 * k, centroids.SAMPLE), 4, levels=2, join=threshold)
    trained = centroids.train(vectors, plan, np.random.default_rng(seed))
    centroids.save(trained, folder / CENTROIDS)
    return assign(vectors, folder / CENTROIDS, reach(threshold), map_parts)


def reach(threshold: float) -> Reach:
    """How far a vector visits, where pairs of that cosine are searched."""
    return Reach(PROBES, REACH * (2 - 2 * threshold) ** 0.5)
