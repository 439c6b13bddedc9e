"""Recall, pairs and seconds of each way to search near-duplicates, on the same synthetic vectors, one after the other.

    python -m tests.benchmarks.bench_dedup --vectors 100000 --dim 128

The vectors sit in a cone around 200 topics of very different sizes; a fifth are planted copies up to 0.36 away from
another, so that some lie beyond the threshold. Seconds include training, assignment, comparison and verification.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time

import numpy as np
import torch

from tasks.candidates import Search, find

METHODS = ("exact", "probes", "clusters ×1", "clusters ×5", "annoy")


def synthetic(n: int, d: int, seed: int = 0) -> np.ndarray:
    """(n, d) float16 unit vectors."""
    rng = np.random.default_rng(seed)
    own = round(0.8 * n)
    topics = rng.normal(size=(200, d)).astype(np.float32)
    rows = _unit(0.8 * topics[rng.zipf(1.3, own) % 200] + rng.standard_normal((own, d), dtype=np.float32))
    noise = _unit(rng.standard_normal((n - own, d), dtype=np.float32))
    copies = rows[rng.integers(0, own, n - own)] + noise * rng.uniform(0.02, 0.36, (n - own, 1)).astype(np.float32)
    cone = _unit(rng.standard_normal((1, d), dtype=np.float32))
    return _unit(np.concatenate([rows, copies]) + cone)[rng.permutation(n)].astype(np.float16)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def measure(vectors: np.ndarray, name: str, threshold: float, runs: int) -> tuple[np.ndarray, list[float]]:
    """The pairs as one number each, and the seconds of each run."""
    method, _, clusterings = name.partition(" ×")
    search = Search(threshold, clusterings=int(clusterings or 1))
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        found = find(vectors, method, search)
        seconds.append(time.perf_counter() - start)
    return found.pairs[:, 0] * len(vectors) + found.pairs[:, 1], seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--threshold", type=float, default=0.95, help="cosine")
    parser.add_argument("--runs", type=int, default=1, help="the median is printed")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    args = parser.parse_args()
    vectors = synthetic(args.vectors, args.dim)
    print(f"{args.vectors:,} × {args.dim}, threshold {args.threshold}, {torch.get_num_threads()} threads")
    print(f"{'method':<12} {'recall':>8} {'pairs':>10} {'seconds':>8} {'peak GB so far':>15}")
    truth, seconds = measure(vectors, "exact", args.threshold, args.runs if "exact" in args.methods else 1)
    for name in args.methods:
        codes = truth
        if name != "exact":
            codes, seconds = measure(vectors, name, args.threshold, args.runs)
        recall = np.isin(truth, codes).mean() if len(truth) else 1.0
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"{name:<12} {recall:8.5f} {len(codes):10,} {statistics.median(seconds):8.2f} {peak:15.2f}", flush=True)


if __name__ == "__main__":
    main()
