"""Who is removed for a picture that went itself: rules for keeping one of a group, on planted chains.

    python -m tests.benchmarks.planted_chains

Each chain is a row of edits, every picture near to the one before it and the far ones not near to each other. All rules
get the same near pairs, found exactly. An orphan is a removed sample without a kept one within the threshold.

    SemDeDup      a sample goes where one before it in the cluster, kept or not, is near (Abbas et al. 2023, section 3);
                  within a cluster the samples stand by their distance from its centroid; K = √n clusters
    components    one of each connected component stays
    ours          a sample goes where one that stays is near
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tasks.duplicates.candidates import Search, find
from tasks.duplicates.clustering import parallel
from tasks.duplicates.stored import stored
from tasks.duplicates.survivors import settle
from tasks.duplicates.widening import Ask, find_wider
from tests.benchmarks.near_duplicates import vectors as natural

STEP = 0.97  # cosine of neighbours in a chain


def chained(n: int, length: int, d: int = 128, seed: int = 0) -> NDArray[np.float16]:
    """n vectors, half of them in chains of that length, the others natural. (n, d) unit norm, in random order"""
    rng = np.random.default_rng(seed)
    chains = n // 2 // length
    row = natural(n - chains * length, d, seed=seed).astype(np.float32)
    link = row[rng.choice(len(row), chains, replace=False)]
    found = [row]
    towards = rng.normal(size=link.shape).astype(np.float32)
    for _ in range(length):
        towards = _unit(towards - (towards * link).sum(1, keepdims=True) * link)
        link = _unit(STEP * link + (1 - STEP**2) ** 0.5 * towards)
        found.append(link)
    return rng.permutation(np.concatenate(found)).astype(np.float16)


def semdedup(vectors: NDArray[np.float16], pairs: NDArray[np.int64], seed: int = 0) -> NDArray[np.bool_]:
    """Who stays by SemDeDup's rule. (n,)"""
    rows = vectors.astype(np.float32)
    rng = np.random.default_rng(seed)
    centroids = rows[rng.choice(len(rows), round(len(rows) ** 0.5), replace=False)]
    for _ in range(10):
        label = (rows @ centroids.T).argmax(1)
        sums = np.zeros_like(centroids)
        np.add.at(sums, label, rows)
        centroids = np.where(np.bincount(label, minlength=len(centroids))[:, None] > 0, _unit(sums), centroids)
    place = np.empty(len(rows), np.int64)
    place[np.argsort((rows * centroids[label]).sum(1), kind="stable")] = np.arange(len(rows))  # the farthest first
    together = pairs[label[pairs[:, 0]] == label[pairs[:, 1]]]
    later = np.where(place[together[:, 0]] > place[together[:, 1]], together[:, 0], together[:, 1])
    stays = np.ones(len(rows), np.bool_)
    stays[later] = False
    return stays


def one_a_component(n: int, pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Who stays where the first of each connected component does. (n,)"""
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    label = connected_components(graph, directed=False)[1]
    stays = np.zeros(n, np.bool_)
    stays[np.unique(label, return_index=True)[1]] = True
    return stays


def ours(vectors: NDArray[np.float16], threshold: float) -> NDArray[np.bool_]:
    """Who stays by our rule, from the pairs of the default search. (n,)"""
    rows, number = stored([vectors]), np.arange(len(vectors))
    with TemporaryDirectory() as folder:
        found, _ = find_wider(rows, Ask("probes", Search(threshold)), Path(folder), parallel)
    settled = settle(rows, found[:3], number, threshold)
    return settled.survivor == number


def orphans(stays: NDArray[np.bool_], pairs: NDArray[np.int64]) -> int:
    """Removed samples without a kept one among those near to them."""
    held = stays.copy()
    for one, other in ((0, 1), (1, 0)):
        held[pairs[stays[pairs[:, other]], one]] = True
    return int((~held).sum())


def near_survivors(stays: NDArray[np.bool_], pairs: NDArray[np.int64]) -> int:
    """Near pairs of which both stay."""
    return int((stays[pairs[:, 0]] & stays[pairs[:, 1]]).sum())


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--threshold", type=float, default=0.95, help="cosine")
    asked = parser.parse_args()
    print("chain | rule | removed | orphans | near pairs that both stay")
    for length in (2, 5, 20):
        vectors = chained(asked.samples, length)
        pairs = find(vectors, "exact", Search(asked.threshold)).pairs
        rules = {
            "SemDeDup": semdedup(vectors, pairs),
            "components": one_a_component(len(vectors), pairs),
            "ours": ours(vectors, asked.threshold),
        }
        for name, stays in rules.items():
            left = near_survivors(stays, pairs)
            print(f"{length} | {name} | {(~stays).sum():,} | {orphans(stays, pairs):,} | {left:,}", flush=True)


if __name__ == "__main__":
    main()
