"""Seconds, memory and recall of searching generated images among a million vectors: exact, Annoy's index, an IVF.

    python -m tests.benchmarks.bench_search --vectors 1000000 --dim 512

Half of the queries are near-copies of a vector (0.05 to 0.35 away), half are new (two mixed). The clock begins when
the vectors are in the page cache and the index is opened; it includes verification. Beside it stands the time of the
bare float32 products that exact search replaces. Recall is that of the nearest and of the five nearest, as exact search
finds them. The IVF is no part of Sluice: spherical k-means on 50,000 vectors, vectors copied in the order of their
clusters, the nearest clusters of each query compared; it says what another index would reach.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from tasks.searching import search_exact, search_index
from tasks.searching.search_exact import Nearest, blocks
from tests.benchmarks import near_duplicates

PART = 10_000  # vectors of a part
NEAREST = 5


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def queries(vectors: np.ndarray, count: int) -> np.ndarray:
    """(count, d) near-copies first, then new ones."""
    rng = np.random.default_rng(3)
    some = [vectors[np.sort(rng.integers(0, len(vectors), count // 2))].astype(np.float32) for _ in range(3)]
    noise = unit(rng.standard_normal(some[0].shape)) * rng.uniform(0.05, 0.35, (count // 2, 1))
    return np.concatenate([unit(some[0] + noise), unit(some[1] + 0.7 * rng.permutation(some[2]))])


def timed(work: Callable[[], Nearest], runs: int) -> tuple[Nearest, str]:
    """What the last run found; the median seconds, and those of all processors: on a shared machine they say more."""
    seconds, processor = [], []
    for _ in range(runs):
        begun, busy = time.perf_counter(), time.process_time()
        found = work()
        seconds.append(time.perf_counter() - begun)
        processor.append(time.process_time() - busy)
    return found, f"{statistics.median(seconds):8.2f} {statistics.median(processor):8.2f}"


def bare(parts: list[np.ndarray], asked: np.ndarray) -> Nearest:
    """The products alone."""
    right = torch.from_numpy(asked).T
    for _, block in blocks(parts):
        torch.from_numpy(block) @ right
    return Nearest(np.empty((0, 0), np.int64), np.empty((0, 0)))


def recalls(found: Nearest, exact: Nearest) -> str:
    """Of near-copies and of new ones: recall at 1 and at 5."""
    hit = (exact.rows[:, :, None] == found.rows[:, None, :]).any(axis=2)
    half = len(hit) // 2
    return "  ".join(f"{hit[rows, 0].mean():.4f} {hit[rows].mean():.4f}" for rows in (slice(half), slice(half, None)))


class Ivf(NamedTuple):
    """Vectors in the order of their clusters."""

    centroids: torch.Tensor  # (K, d) bfloat16
    mean: np.ndarray  # (d,)
    starts: np.ndarray  # (K + 1,)
    rows: np.ndarray  # (n,)
    vectors: np.ndarray  # (n, d) float16


def build_ivf(parts: list[np.ndarray], clusters: int, folder: Path) -> Ivf:
    rng, n = np.random.default_rng(0), sum(map(len, parts))
    everything = np.concatenate([np.sort(rng.choice(len(p), len(p) * min(n, 50_000) // n, replace=False)) + i * PART
                                 for i, p in enumerate(parts)])  # fmt: skip
    sample = np.concatenate([parts[i][everything[everything // PART == i] % PART] for i in range(len(parts))])
    mean = sample.astype(np.float32).mean(axis=0)
    points = torch.nn.functional.normalize(torch.from_numpy(sample.astype(np.float32) - mean))
    centroids = points[torch.from_numpy(rng.choice(len(points), clusters, replace=False))]
    for _ in range(6):
        nearest = torch.cat([(p.bfloat16() @ centroids.bfloat16().T).argmax(dim=1) for p in points.split(4096)])
        sums = torch.zeros_like(centroids).index_add_(0, nearest, points)
        centroids = torch.nn.functional.normalize(torch.where(sums.any(dim=1, keepdim=True), sums, centroids))
    small = centroids.bfloat16()
    owner = np.concatenate(
        [(torch.from_numpy(block - mean).bfloat16() @ small.T).argmax(dim=1).numpy() for _, block in blocks(parts)]
    )
    order = np.argsort(owner, kind="stable")
    vectors = np.lib.format.open_memmap(folder / "ivf.npy", "w+", np.float16, (n, len(mean)))
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    for i, part in enumerate(parts):
        vectors[place[i * PART : i * PART + len(part)]] = part
    return Ivf(small, mean, np.searchsorted(owner[order], np.arange(clusters + 1)), order, vectors)


def search_ivf(ivf: Ivf, asked: np.ndarray, probes: int) -> Nearest:
    """The nearest among the vectors of each query's nearest clusters, in float32."""
    queries = torch.from_numpy(asked)
    near = (torch.from_numpy(asked - ivf.mean).bfloat16() @ ivf.centroids.T).topk(probes, dim=1).indices.numpy()
    order = np.argsort(near, axis=None, kind="stable")
    owner, cluster = order // probes, near.flatten()[order]
    best, rows = np.full((len(asked), probes * NEAREST), -2.0), np.full((len(asked), probes * NEAREST), -1)
    ends = np.searchsorted(cluster, np.arange(len(ivf.starts)))
    for one in np.unique(cluster):
        first, last = ivf.starts[one], ivf.starts[one + 1]
        if first == last:
            continue
        mine, slot = owner[ends[one] : ends[one + 1]], order[ends[one] : ends[one + 1]] % probes
        block = torch.from_numpy(np.asarray(ivf.vectors[first:last], np.float32))
        value, place = (queries[mine] @ block.T).topk(min(NEAREST, int(last - first)), dim=1)
        columns = slot[:, None] * NEAREST + np.arange(value.shape[1])
        best[mine[:, None], columns] = value.numpy()
        rows[mine[:, None], columns] = ivf.rows[first + place.numpy()]
    chosen = np.argsort(-best, axis=1)[:, :NEAREST]
    return Nearest(np.take_along_axis(rows, chosen, 1), np.take_along_axis(best, chosen, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5, help="the median is printed")
    parser.add_argument("--clusters", type=int, default=2048, help="of the IVF")
    parser.add_argument("--folder", type=Path, help="keeps the vectors and the index for another run")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as aside:
        compare(args, args.folder or Path(aside))


def compare(args: argparse.Namespace, folder: Path) -> None:
    path = folder / f"pool-{args.vectors}-{args.dim}.npy"
    if not path.exists():
        near_duplicates.write(path, args.vectors, args.dim)
    vectors = np.load(path, mmap_mode="r")
    parts = [vectors[start : start + PART] for start in range(0, len(vectors), PART)]
    asked = queries(vectors, args.queries)
    print(f"{len(asked):,} queries, {len(vectors):,} × {args.dim}; {torch.get_num_threads()} threads\n", flush=True)
    print(f"{'':22}  seconds      CPU  recall of near-copies and new ones, at 1 and at 5")
    search_exact.rough_type()
    for _ in range(2):  # the first fills the page cache
        _, products = timed(lambda: bare(parts, asked), 1)
    exact, seconds = timed(lambda: search_exact.nearest(parts, asked, NEAREST), args.runs)
    print(f"{'bare float32 products':22} {products}")
    print(f"{'exact':22} {seconds}  {recalls(exact, exact)}", flush=True)
    with_annoy(args, folder, parts, asked, exact)
    begun = time.perf_counter()
    ivf = build_ivf(parts, args.clusters, folder)
    print(f"IVF, {args.clusters} clusters: built in {time.perf_counter() - begun:.0f} s")
    for probes in (4, 16, 64):
        found, seconds = timed(lambda probes=probes: search_ivf(ivf, asked, probes), args.runs)  # type: ignore[misc]
        print(f"{f'IVF, {probes} probes':22} {seconds}  {recalls(found, exact)}", flush=True)
    (folder / "ivf.npy").unlink()
    print(f"peak memory of the process, mapped files included: {_peak():.1f} GiB")


def with_annoy(
    args: argparse.Namespace, folder: Path, parts: list[np.ndarray], asked: np.ndarray, exact: Nearest
) -> None:
    home, sources = folder / f"index-{args.vectors}-{args.dim}", {"embedding": "bench", "parts": [args.vectors]}
    if not (home / search_index.FACTS).exists():
        home.mkdir(exist_ok=True)
        begun = time.perf_counter()
        search_index.build(parts, home, sources)
        print(f"Annoy, {search_index.TREES} trees: built in {time.perf_counter() - begun:.0f} s")
    begun = time.perf_counter()
    index = search_index.open_index(home, sources)
    size = (home / search_index.FOREST).stat().st_size / 1e9
    print(f"Annoy: {size:.2f} GB, digests checked and opened in {time.perf_counter() - begun:.1f} s")
    for nodes in (500, 1000, 2000, 4000):
        search_index.nearest(index, parts, asked, NEAREST, nodes)  # reads what it touches into memory
        found, seconds = timed(lambda nodes=nodes: search_index.nearest(index, parts, asked, NEAREST, nodes), args.runs)  # type: ignore[misc]
        print(f"{f'Annoy, {nodes} nodes':22} {seconds}  {recalls(found, exact)}", flush=True)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
