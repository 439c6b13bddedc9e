"""Seconds, recall and memory of each way to find near-duplicates, on the same vectors, in turn.

    python -m tests.benchmarks.bench_dedup                                       200,000 × 512, ours and the article's
    python -m tests.benchmarks.bench_dedup --peers PYTHON      and FAISS and usearch
    python -m tests.benchmarks.bench_dedup --growth 100000 300000 1000000        how the default grows
    python -m tests.benchmarks.bench_dedup --growth 10000000 --once              ten million: 15 GB of disk and memory
    python -m tests.benchmarks.bench_dedup --skewed                              nine tenths of the samples in one topic
    python -m tests.benchmarks.bench_dedup --workers 2 [--skewed]                memory of a Dask worker; also 100,000
                                                                                 identical vectors

Every run has a process of its own. Seconds include training, assignment, comparison, verification and who stays; not
the start of Python, the making of the vectors and their way from the disk (peers have them in memory). CPU seconds say
more where others use the machine. Recall is that of all pairs where an exact search is run (--truth), else of the pairs
of 2,000 random queries answered exactly.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from flows.runtime import Runtime
from tasks.duplicates import assignment, centroids, near_pairs, products, survivors
from tasks.duplicates.candidates import Found, Search, find
from tasks.duplicates.clustering import parallel
from tasks.duplicates.exact_queries import near_to
from tasks.duplicates.stored import stored
from tests.benchmarks.bench_flow import Peak
from tests.benchmarks.near_duplicates import Shape, write
from tests.memory import peak_memory

METHODS = ("probes", "clusters ×5", "clusters ×1", "annoy")
ARTICLE = 1024  # its clusters
QUERIES = 2_000
STAGES = (
    (centroids, "train", "train"),
    (assignment, "assign_piece", "assign"),
    (near_pairs, "compare_task", "compare"),
    (survivors, "settle", "decide"),
)
HERE = [sys.executable, "-m", "tests.benchmarks.bench_dedup"]


def run_one(name: str, file: Path, threshold: float, out: Path, only_once: bool) -> dict[str, Any]:
    """One method in this process: its seconds, those of each stage, its peak memory, and its pairs in a file; unless
    `only_once`, the seconds of its products alone, and all of it once more."""
    method, _, times = name.partition(" ×")
    search = Search(threshold, ARTICLE if method == "clusters" else None, int(times or 1))
    spent, shapes = watch()
    vectors = stored([file])
    imported()
    cached(file)

    def once() -> tuple[Found, survivors.Settled, float, float]:
        start, cpu = time.perf_counter(), time.process_time()
        found = find(vectors, method, search)
        settled = survivors.settle(vectors, found[:3], np.arange(len(vectors.number)), threshold)
        return found, settled, time.perf_counter() - start, time.process_time() - cpu

    with Peak() as memory:
        found, settled, seconds, cpu = once()
    np.save(out, found.pairs)
    facts = {
        "seconds": seconds, "cpu": cpu, "stages": spent.copy(), "peak": peak_memory() / 1e9, "own": memory.own / 1e9,
        "kept": int((settled.survivor == np.arange(len(vectors.number))).sum()),
        "pairs": len(found.pairs), "gains": np.bincount(found.step).tolist(),
        "comparisons": sum(rows * columns for rows, columns in shapes),
    }  # fmt: skip
    if only_once:
        return facts
    facts["bare"], facts["bare again"] = bare(shapes.copy(), vectors.dim)
    return {**facts, "again": once()[2]}


def imported() -> None:
    """Libraries that are loaded when first needed, and torch's threads, are here: a peer's are too."""
    import scipy.sparse.csgraph  # noqa: F401

    products.fast(torch.randn(512, 64)) @ products.fast(torch.randn(512, 64)).T


def cached(file: Path) -> None:
    """The file's pages are in memory."""
    with file.open("rb") as opened:
        while opened.read(1 << 20):
            pass


def watch() -> tuple[dict[str, float], list[tuple[int, int]]]:
    """From now on: seconds a stage (of one thread where it is shared), and the shape of each product."""
    spent: dict[str, float] = {stage: 0.0 for _, _, stage in STAGES}
    shapes: list[tuple[int, int]] = []

    def timed(function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            start = time.perf_counter()
            result = function(*args, **named)
            spent[stage] += time.perf_counter() - start
            return result

        return call

    for module, function, stage in STAGES:
        setattr(module, function, timed(getattr(module, function), stage))
    product = products.product

    def seen(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        shapes.append((len(left), len(right)))
        return product(left, right)

    for module in (products, centroids):
        module.product = seen
    return spent, shapes


def bare(shapes: list[tuple[int, int]], dim: int) -> tuple[float, float]:
    """Seconds that products of these shapes take alone, on all threads, in a process of their own; and once more."""
    sizes = [tuple(map(products.filled, shape)) for shape in shapes]
    done = subprocess.run(
        [*HERE, "--products"], input=json.dumps([dim, sizes]), check=True, capture_output=True, text=True
    )
    first, again = json.loads(done.stdout)
    return first, again


def products_alone() -> None:
    """Prints the seconds of the products that standard input tells, of the first time and of the median of three."""
    dim, sizes = json.load(sys.stdin)
    imported()
    rows, taken = products.fast(torch.randn(max(map(max, sizes)), dim)), []
    for _ in range(4):
        start = time.perf_counter()
        parallel(lambda size: products.product(rows[: size[0]], rows[: size[1]]).shape, sizes)
        taken.append(time.perf_counter() - start)
    print(json.dumps([taken[0], statistics.median(taken[1:])]))


def child(name: str, file: Path, threshold: float, only_once: bool = False) -> tuple[dict[str, Any], np.ndarray]:
    """The same in a process of its own, and its pairs."""
    out, once = file.with_name("pairs.npy"), ["--once"] if only_once else []
    done = subprocess.run(
        [*HERE, "--only", name, "--file", str(file), "--threshold", str(threshold), *once],
        check=True,
        capture_output=True,
    )
    return json.loads(done.stdout), np.load(out)


def known_pairs(file: Path, threshold: float, every: bool) -> np.ndarray:
    """Codes of the pairs that recall is a share of."""
    vectors = stored([file])
    n = len(vectors.number)
    if every:
        return codes(find(vectors, "exact", Search(threshold)).pairs, n)
    asked = np.sort(np.random.default_rng(1).choice(n, min(n, QUERIES), replace=False))
    return np.unique(codes(np.sort(near_to(vectors, asked, threshold, parallel)[0], axis=1), n))


def codes(pairs: np.ndarray, n: int) -> np.ndarray:
    return pairs[:, 0] * n + pairs[:, 1]


def compare(args: argparse.Namespace, folder: Path) -> None:
    """All contenders in turn, as often as asked; medians."""
    file = args.file or made(args.vectors, args, folder)
    n = len(np.load(file, mmap_mode="r"))
    truth = known_pairs(file, args.threshold, args.truth)
    np.save(folder / "truth.npy", truth)
    print(f"{n:,} vectors, threshold {args.threshold}, {len(truth):,} known pairs, {torch.get_num_threads()} threads")
    told: dict[str, list[dict[str, Any]]] = {}
    for turn in range(args.runs):
        for name in args.methods:
            facts, pairs = child(name, file, args.threshold)
            told.setdefault(name, []).append({**facts, "recall": np.isin(truth, codes(pairs, n)).mean()})
        for name, target in (("faiss", told[args.methods[0]][turn]["recall"]), ("usearch", 0.98)) if args.peers else ():
            command = [args.peers, "tests/benchmarks/dedup_peers.py", str(file), str(folder / "truth.npy"), name]
            done = subprocess.run([*command, str(args.threshold), str(target)], check=True, capture_output=True)
            told.setdefault(name, []).append(json.loads(done.stdout))
    first = median_of(told[args.methods[0]], "seconds")
    print(f"{'method':<12} {'seconds':>8} {'of ours':>8} {'CPU s':>8} {'recall':>8} {'peak GB':>8} {'pairs':>9}")
    for name, runs in told.items():
        last, seconds = runs[-1], median_of(runs, "seconds")
        peak, pairs = f"{last.get('peak', math.nan):8.2f}", f"{last.get('pairs', 0):9,}"
        cpu = median_of(runs, "cpu")
        line = f"{name:<12} {seconds:8.2f} {seconds / first:8.2f} {cpu:8.2f} {last['recall']:8.5f} {peak} {pairs}"
        print(line, last.get("setting", ""), flush=True)
    for name in args.methods:
        print_stages(name, told[name][-1])
        fresh, again, strict = (
            median_of(told[name], all_of) / median_of(told[name], alone)
            for all_of, alone in (("seconds", "bare"), ("again", "bare again"), ("seconds", "bare again"))
        )
        print(f"{name}: {fresh:.2f} times its products alone, both fresh; {again:.2f} both once more;", end=" ")
        print(f"{strict:.2f} fresh beside products once more; medians of {args.runs} runs")


def median_of(runs: list[dict[str, Any]], what: str) -> float:
    return statistics.median(run[what] for run in runs)


def print_stages(name: str, facts: dict[str, Any]) -> None:
    stages = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in facts["stages"].items())
    print(f"{name}: {stages} s (of all threads together); pairs by step {facts['gains']}")
    cosines = f"{facts['comparisons']:,} cosines, with each other or with centroids"
    if "bare" not in facts:
        print(f"{name}: {cosines}")
        return
    alone = f"{facts['bare']:.2f} s alone in a process of their own, {facts['bare again']:.2f} s once more"
    print(f"{name}: {cosines}; their products {alone}; all {facts['seconds']:.2f} s, {facts['again']:.2f} s once more")


def growth(args: argparse.Namespace, folder: Path) -> None:
    """The first method at several sizes, and the exponent that fits."""
    seconds = []
    for n in args.growth:
        file = made(n, args, folder)
        facts, pairs = child(args.methods[0], file, args.threshold, args.once)
        truth = known_pairs(file, args.threshold, every=False)
        seconds.append(facts["cpu"])
        recall = np.isin(truth, codes(pairs, n)).mean()
        spent = f"{facts['seconds']:7.2f} s, {facts['cpu']:.2f} s of CPU"
        memory = f"peak {facts['peak']:.2f} GB, {facts['own']:.2f} without mapped files"
        print(f"{n:>9,}: {spent}, {memory}, recall {recall:.5f} of {len(truth):,}", flush=True)
        print_stages(args.methods[0], facts)
        file.unlink()
    if len(args.growth) < 2:
        return
    power, factor = np.polyfit(np.log(args.growth), np.log(seconds), 1)
    print(f"CPU seconds grow as n^{power:.2f}; ten million: {math.exp(factor + power * math.log(1e7)):,.0f} s of CPU")


def workers(args: argparse.Namespace, folder: Path) -> None:
    """The largest memory of a worker of its own, mapped files left out, with the first method; the seconds."""
    identical = folder / "identical.npy"
    np.save(identical, np.repeat(np.load(made(1_000, args, folder))[:1], 100_000, axis=0))
    for n, file in ((args.vectors, made(args.vectors, args, folder)), (100_000, identical)):
        with Runtime(None, args.workers) as runtime, Peak() as peak:
            start = time.perf_counter()
            found = find(stored([file]), args.methods[0], Search(args.threshold), None, runtime.map_parts)
            seconds = time.perf_counter() - start
        told = f"{len(found.pairs):,} pairs, {seconds:.1f} s, largest worker {peak.private / 1e6:,.0f} MB"
        print(f"{n:,} vectors, {'identical' if file is identical else 'drawn'}: {told}", flush=True)


def made(n: int, args: argparse.Namespace, folder: Path) -> Path:
    file = folder / f"vectors-{n}.npy"
    write(file, n, args.dim, Shape(one_topic=0.9) if args.skewed else Shape())
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--file", type=Path, help="vectors of one's own, (n, d) float16 .npy")
    parser.add_argument("--threshold", type=float, default=0.95, help="cosine")
    parser.add_argument("--runs", type=int, default=3, help="medians are printed")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS[:2])
    parser.add_argument("--truth", action="store_true", help="recall of all pairs: minutes")
    parser.add_argument("--peers", help="a Python that has faiss-cpu and usearch")
    parser.add_argument("--growth", type=int, nargs="+", help="sizes")
    parser.add_argument("--once", action="store_true", help="of growth: not once more, and not the products alone")
    parser.add_argument("--skewed", action="store_true")
    parser.add_argument("--workers", type=int, help="Dask workers: tells their memory")
    parser.add_argument("--only", choices=METHODS, help=argparse.SUPPRESS)
    parser.add_argument("--products", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.products:
        products_alone()
        return
    if args.only:
        print(json.dumps(run_one(args.only, args.file, args.threshold, args.file.with_name("pairs.npy"), args.once)))
        return
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        task = workers if args.workers else growth if args.growth else compare
        task(args, Path(folder))


if __name__ == "__main__":
    main()
