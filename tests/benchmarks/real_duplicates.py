"""Deduplication of real pools against exact ground truth, at several thresholds; and what went, judged by pixels.

    python -m tests.benchmarks.real_duplicates POOL… [--clusters K] [--sheets FOLDER]

Pools lie as `sluice curate` reads them; they are embedded with the shipped encoder. `removed` is by the default method,
which compares all with all in pools of this size unless a number of clusters is given; `rule` by the same rule on all
pairs. `recall` leaves out rows with more near rows than a search keeps; `near survivors`
are those that another survivor is near to. Each removed picture but for copies of a file is compared with the one that
stays for it (looking/templates.py): the same picture (fewer than LEAST pixels of 64 × 64 differ), one that differs in a
region, or another one. Sheets show such pictures beside what stays for them, for a person to judge.
"""

from __future__ import annotations

import argparse
import html
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks import dedup
from tasks.duplicates.near_pairs import PAIRS_PER_SAMPLE
from tasks.duplicates.preferred import Pool, read_pool
from tasks.duplicates.verdicts import NEAR
from tasks.files import read_table
from tasks.lake import Version
from tasks.looking.similarity import cosines, survey
from tasks.looking.templates import LEAST, compare, square
from tasks.reporting.pictures import images, thumbnails
from tasks.samples import KEPT, OK
from tests.benchmarks.real_pools import embedded, serial

THRESHOLDS = (0.90, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995, 0.998)
CASES = ("gramastar", "clock12", "clock face", "card\\. card", "flag", "skin tone", "roadsign")  # in captions
JUDGED = 1_500  # removed pictures that are compared with what stays, at random
SHEET = 120  # pairs of a sheet


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("pools", nargs="+", type=Path)
    parser.add_argument("--clusters", type=int)
    parser.add_argument("--sheets", type=Path)
    asked = parser.parse_args()
    for pool in asked.pools:
        with tempfile.TemporaryDirectory() as home:
            version, _ = embedded(pool, Path(home))
            measure(version, asked.clusters, asked.sheets)


def measure(version: Version, clusters: int | None, sheets: Path | None) -> None:
    pool = read_pool(version)
    vectors = pool.vectors
    may_stay = np.bincount(pool.kind, weights=pool.kept, minlength=len(vectors)) > 0
    rule = survey(vectors, may_stay, THRESHOLDS)
    squares = {row: square(image) for row, image in images(version, pool.sample)}
    filed = np.asarray(pc.value_counts(pool.table["sha256"].combine_chunks()).field("counts"))
    print(f"\n{version.lake.pool}: {len(pool.sample):,} usable samples, {len(filed):,} different files,", end=" ")
    print(f"{(filed > 1).sum():,} of them more than once, {len(vectors):,} different vectors;", end=" ")
    print("clusters:", clusters or "as many as the search chooses")
    heads = "threshold | pairs | recall | missed | near survivors | removed | copies | rule | groups | seconds"
    print(heads, "| judged: same | region | other | survivors of", " | ".join(CASES))
    for number, threshold in enumerate(THRESHOLDS):
        start = time.perf_counter()
        done = dedup.run(version, dedup.Config(threshold=threshold, clusters=clusters), serial)
        seconds = time.perf_counter() - start
        truth = all_pairs(vectors, threshold)
        found = found_pairs(done, pool)
        wanted = int(pool.kept.sum() - rule.survives[number].sum())
        told = done.summary["dedup"]
        recall, missed = pair_recall(truth, found, len(vectors))
        judged = judge(done, squares)
        print(
            f"{threshold:g} | {len(truth):,} | {recall:.5f} | {missed:,} | "
            f"{near_survivors(truth, done, pool):.2%} | {told['removed']:,} | {told['removed_exact']:,} | {wanted:,} | "
            f"{told['groups']:,} | {seconds:.1f} | {' | '.join(f'{share:.1%}' for share in judged)} | "
            f"{' | '.join(survivors_of(done, case) for case in CASES)}",
            flush=True,
        )
        if sheets is not None:
            sheet(done, sheets / f"{version.lake.pool}-{threshold:g}.html")


def all_pairs(vectors: np.ndarray, threshold: float, block: int = 2048) -> np.ndarray:
    """Every pair of rows whose cosine, rounded, reaches the threshold, the lower row first. (m, 2)"""
    rows = vectors.astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = []
    for start in range(0, len(rows), block):
        low, high = (rows[start : start + block] @ rows[start:].T >= threshold - 1e-5).nonzero()
        low, high = low[high > low] + start, high[high > low] + start
        found.append(np.column_stack([low, high])[cosines(vectors, low, high) >= threshold])
    return np.concatenate(found)


def found_pairs(done: Version, pool: Pool) -> np.ndarray:
    """The pairs of distinct vectors that dedup verified, the lower row first. (m, 2)"""
    table = read_table(done.artifact("pairs") / "pairs.parquet", ["i", "j"])
    row = np.full(done.rows, -1)
    row[pool.sample] = pool.kind
    pairs = np.sort(np.column_stack([row[np.asarray(table["i"])], row[np.asarray(table["j"])]]), axis=1)
    return np.unique(pairs[pairs[:, 0] < pairs[:, 1]], axis=0)


def pair_recall(truth: np.ndarray, found: np.ndarray, n: int) -> tuple[float, int]:
    """Share of the true pairs that were found, and how many were not, without the rows that have more preferred near
    rows than a search keeps."""
    crowded = np.bincount(truth[:, 1], minlength=n) >= PAIRS_PER_SAMPLE
    wanted = truth[~crowded[truth[:, 1]]]
    known = np.isin(wanted[:, 0] * n + wanted[:, 1], found[:, 0] * n + found[:, 1])
    return float(known.mean()) if len(known) else 1.0, int((~known).sum())


def near_survivors(truth: np.ndarray, done: Version, pool: Pool) -> float:
    """Share of the surviving vectors that another one is near to: what the search missed."""
    verdict = np.asarray(done.table("decision", ["verdict"])["verdict"])[pool.sample]
    alive = np.zeros(pool.kinds, bool)
    alive[pool.kind[verdict == KEPT]] = True
    return len(np.unique(truth[alive[truth].all(axis=1)])) / max(int(alive.sum()), 1)


def removed_pairs(done: Version) -> list[tuple[int, int]]:
    """Rows of the removed samples, copies of a file left out, and of what stays for them; in random order."""
    uids = done.table("samples", ["uid", "status"])
    usable = np.asarray(pc.equal(uids["status"], OK))
    place = {uid: row for row, uid in enumerate(uids["uid"].to_pylist()) if usable[row]}
    decision = done.table("decision", ["reason", "duplicate_of"])
    rows = np.flatnonzero(np.asarray(pc.fill_null(pc.equal(decision["reason"], NEAR), False)))
    stays = decision["duplicate_of"].take(pa.array(rows)).to_pylist()
    pairs = [(int(row), place[uid]) for row, uid in zip(rows, stays, strict=True)]
    return [pairs[i] for i in np.random.default_rng(0).permutation(len(pairs))]


def judge(done: Version, squares: dict[int, Any]) -> tuple[float, float, float]:
    """Shares of removed pictures that are the same as what stays, differ in a region, or otherwise."""
    counts = np.zeros(3)
    for row, stays in removed_pairs(done)[:JUDGED]:
        if row in squares and stays in squares:
            found = compare(squares[stays], squares[row])
            counts[0 if found.changed < LEAST else 1 if found.local else 2] += 1
    shares = counts / max(counts.sum(), 1)
    return float(shares[0]), float(shares[1]), float(shares[2])


def survivors_of(done: Version, case: str) -> str:
    captions = done.table("samples", ["caption"])["caption"].to_pylist()
    verdicts = done.table("decision", ["verdict"])["verdict"].to_pylist()
    here = [v for c, v in zip(captions, verdicts, strict=True) if c and re.search(case, c, re.IGNORECASE)]
    return f"{here.count(KEPT)} of {len(here)}"


def sheet(done: Version, path: Path) -> None:
    """Removed pictures, each left of what stays for it."""
    pairs = removed_pairs(done)[:SHEET]
    pictures = thumbnails(done, {row for pair in pairs for row in pair}, 128)
    cells: Sequence[str] = [
        "<p>" + "".join(f'<img src="{html.escape(pictures[row] or "")}">' for row in pair) for pair in pairs
    ]
    style = (
        "body{display:grid;grid-template-columns:repeat(8,1fr);gap:8px}img{width:76px;height:76px;object-fit:contain}"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<!doctype html><meta charset=utf-8><style>{style}</style>{''.join(cells)}", "utf-8")


if __name__ == "__main__":
    main()
