"""FAISS and usearch on the vectors of bench_dedup, in an environment of their own.

    pip install faiss-cpu usearch numpy

    PYTHON tests/benchmarks/dedup_peers.py vectors.npy truth.npy faiss 0.95 0.999

Prints one JSON object: the first setting that reaches the recall, or the last, its seconds (training, adding and
searching; deciding who stays is left out, in their favour) and the recall. Runs without this project.
"""

import json
import sys
import time

import numpy as np


def clock():
    """Seconds of wall time, and of CPU time of all threads."""
    return np.array([time.perf_counter(), time.process_time()])


def recall(left, right, n, truth):
    """Of pairs (row, other row), in any order and repeated."""
    codes = np.minimum(left, right) * n + np.maximum(left, right)
    return float(np.isin(truth, codes[left != right]).mean())


def faiss_ivf(rows, truth, threshold):
    """An inverted file of 1024 lists and a range search; training and adding count once."""
    import faiss

    start = clock()
    index = faiss.index_factory(rows.shape[1], "IVF1024,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(rows[np.random.default_rng(0).choice(len(rows), min(len(rows), 50_000), replace=False)])
    index.add(rows)
    built = clock() - start
    for probes in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32):
        index.nprobe = probes
        start = clock()
        limits, _, ids = index.range_search(rows, threshold)
        seconds = built + clock() - start
        left = np.repeat(np.arange(len(rows)), np.diff(limits.astype(np.int64)))
        yield f"nprobe {probes}", seconds, recall(left, ids, len(rows), truth)


def usearch_hnsw(rows, truth, threshold):
    """A graph of half-precision vectors; the 32 nearest of each are asked for."""
    from usearch.index import Index

    start = clock()
    index = Index(ndim=rows.shape[1], metric="ip", dtype="f16")
    index.add(np.arange(len(rows)), rows, threads=2)
    built = clock() - start
    for expansion in (64, 128, 256):
        index.expansion_search = expansion
        start = clock()
        found = index.search(rows, 32, threads=2)
        seconds = built + clock() - start
        near = found.distances <= 1 - threshold
        left = np.broadcast_to(np.arange(len(rows))[:, None], near.shape)[near]
        yield f"expansion {expansion}", seconds, recall(left, found.keys[near].astype(np.int64), len(rows), truth)


def main():
    file, truth, name, threshold, target = sys.argv[1:]
    rows = np.load(file).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    search = {"faiss": faiss_ivf, "usearch": usearch_hnsw}[name]
    found = search(rows, np.load(truth), float(threshold))
    for tried in found:
        setting, seconds, reached = tried
        if reached >= float(target):
            break
    print(json.dumps({"setting": setting, "seconds": seconds[0], "cpu": seconds[1], "recall": reached}))


if __name__ == "__main__":
    main()
