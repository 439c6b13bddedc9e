"""What a higher threshold of deduplication would remove: every group decided anew from the pairs that are known.

Below the version's own threshold no pairs were kept; `sluice dedup-preview` compares all images for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from infra.dashboard.lake_sql import ask
from tasks.duplicates.pair_files import COPY_STEP
from tasks.duplicates.preferred import NOBODY, preference
from tasks.duplicates.survivors import greedy
from tasks.files import read_table
from tasks.samples import DUPLICATE, KEPT

if TYPE_CHECKING:
    from tasks.lake import Version

THRESHOLDS: Final = (0.8, 0.85, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995, 1.0)

Rows = NDArray[np.int64]


class Removal(NamedTuple):
    """What one threshold would remove."""

    threshold: float
    removed: int  # samples
    share: float  # of what the filter kept


class Removals(NamedTuple):
    rows: tuple[Removal, ...]  # by rising threshold, the version's own first
    cut: bool  # whether the search stopped at the most pairs of a sample, so that some are not known
    cap: int  # samples that stay of a group; counted is as if one stayed


class Kinds(NamedTuple):
    """Samples that are near to others; copies of one image are one kind."""

    pairs: Rows  # (m, 2), near kinds
    similarity: NDArray[np.float64]  # (m,)
    rank: Rows  # (kinds,), of its most preferred sample that the filter kept; NOBODY where there is none
    candidates: int  # samples of the kinds that the filter kept


def removals(version: Version) -> Removals:
    """By dedup's rule: in order of preference, each image that no survivor is near to survives."""
    settings, counts = version.config["dedup"], version.manifest["counts"]
    kinds, kept = _kinds(version), counts[KEPT] + counts[DUPLICATE]
    own = float(settings["threshold"])
    found = []
    for threshold in (own, *(one for one in THRESHOLDS if one > own)):
        alive = greedy(kinds.pairs[kinds.similarity >= threshold], kinds.rank)
        removed = kinds.candidates - int(alive.sum())
        found.append(Removal(threshold, removed, removed / max(kept, 1)))
    cut = len(read_table(version.artifact_file("pairs", "saturated.parquet"))) > 0
    return Removals(tuple(found), cut, int(settings["cap"]))


def _kinds(version: Version) -> Kinds:
    path = version.artifact_file("pairs", "pairs.parquet")
    pairs = read_table(path)
    samples = ask(version, "dashboard/duplicates_near", pairs=path)
    row = np.asarray(samples["row"]).astype(np.int64)
    both = np.searchsorted(row, np.column_stack([np.asarray(pairs["i"]), np.asarray(pairs["j"])]))
    copies = np.asarray(pairs["step"]) == COPY_STEP
    kind = _joined(both[copies], len(row))
    rank = np.full(int(kind.max(initial=-1)) + 1, NOBODY, np.int64)
    order = preference(samples, row, version.config["dedup"]["prefer"])
    candidate = np.asarray(samples["candidate"])
    preferred = order[candidate[order]][::-1]
    place = np.empty(len(row), np.int64)
    place[order] = np.arange(len(row))
    rank[kind[preferred]] = place[preferred]  # the last assignment stands: the most preferred
    near = kind[both[~copies]]
    return Kinds(near, np.asarray(pairs["similarity"])[~copies], rank, int(candidate.sum()))


def _joined(pairs: Rows, n: int) -> Rows:
    """The number of the connected component of each of n nodes. (n,)"""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)
