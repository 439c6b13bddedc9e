"""Seconds, memory and recall of searching generated images among a million vectors: exact, by the index, by Annoy.

    python -m tests.benchmarks.bench_search --vectors 1000000 --dim 512

Half of the queries are near-copies of a vector (0.05 to 0.35 away), half are new (two mixed). The clock begins when
the vectors are in the page cache and the index is opened; it includes verification. Beside it stands the time of the
bare float32 products that exact search replaces. Recall is that of the nearest and of the five nearest, as exact search
finds them. Annoy's forest is no part of the search: it is built here, in memory, and what it finds is verified alike.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from tasks import neighbors
from tasks.searching import search_cells, search_exact, search_index
from tasks.searching.search_exact import SPARE, Nearest, blocks, verified
from tests.benchmarks import near_duplicates
from tests.memory import peak_memory

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5, help="the median is printed")
    parser.add_argument("--trees", type=int, default=10, help="of Annoy; 0 leaves it out")
    parser.add_argument("--folder", type=Path, help="keeps the vectors for another run")
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
    with_index(folder, parts, asked, exact, args.runs)
    print(f"peak memory of the process, mapped files included: {peak_memory() / 2**30:.1f} GiB", flush=True)
    if args.trees:
        with_annoy(args, parts, asked, exact)


def with_index(folder: Path, parts: list[np.ndarray], asked: np.ndarray, exact: Nearest, runs: int) -> None:
    home, sources = folder / "index", {"embedding": "bench", "parts": [len(part) for part in parts]}
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    begun = time.perf_counter()
    search_index.build(parts, home, sources)
    built, begun = time.perf_counter() - begun, time.perf_counter()
    index = search_index.open_index(home, sources)
    opened = time.perf_counter() - begun  # digests included
    size = sum(file.stat().st_size for file in home.iterdir()) / 1e9
    print(f"index, {len(index.centroids):,} cells: built in {built:.0f} s; {size:.2f} GB, opened in {opened:.1f} s")
    for probes in (4, 16, search_cells.PROBES, 64):
        search = partial(search_cells.nearest, index, parts, asked, NEAREST, probes)
        search()  # reads what it touches into memory
        found, seconds = timed(search, runs)
        print(f"{f'index, {probes} probes':22} {seconds}  {recalls(found, exact)}", flush=True)


def with_annoy(args: argparse.Namespace, parts: list[np.ndarray], asked: np.ndarray, exact: Nearest) -> None:
    begun = time.perf_counter()
    forest = neighbors.build(np.concatenate(parts), args.trees)
    print(f"Annoy, {args.trees} trees: built in {time.perf_counter() - begun:.0f} s")

    def search(nodes: int) -> Nearest:
        return verified(parts, asked, neighbors.nearest(forest, asked, NEAREST + SPARE, nodes).ids, NEAREST)

    for nodes in (500, 1000, 2000, 4000):
        found, seconds = timed(partial(search, nodes), args.runs)
        print(f"{f'Annoy, {nodes} nodes':22} {seconds}  {recalls(found, exact)}", flush=True)


if __name__ == "__main__":
    main()
