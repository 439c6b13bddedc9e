"""What new shards cost the stage that removes near-duplicates, beside deciding all of the pool anew.

    python -m tests.benchmarks.bench_increment                        200,000 × 512 known; 1,000, 10,000, 50,000 new
    python -m tests.benchmarks.bench_increment --known 1000000 --new 10000

The whole stage, from a version's files to its decision: reading, search, recall by exact queries, who stays, the check
of every removal. On two threads of one process, warm; the vectors as in bench_dedup, in parts of 10,000.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from tasks import dedup
from tasks.duplicates.clustering import parallel
from tasks.files import read_table, write_array, write_table
from tasks.lake import Lake, Part, Version, open_lake
from tasks.samples import DUPLICATE, KEPT
from tests.benchmarks.near_duplicates import write
from tests.tasks.small_version import decision_table, samples_table

ROWS = 10_000  # of a part


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--known", type=int, default=200_000)
    parser.add_argument("--new", type=int, nargs="+", default=[1_000, 10_000, 50_000])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--threshold", type=float, default=0.95)
    args = parser.parse_args()
    config = dedup.Config(threshold=args.threshold, prefer=("uid",))
    with tempfile.TemporaryDirectory() as folder:
        lake = open_lake(Path(folder) / "lake", "pool", "drawn")
        vectors = Path(folder) / "vectors.npy"
        write(vectors, args.known + max(args.new), args.dim)
        known = parts_of(lake, np.load(vectors, mmap_mode="r"), 0, args.known)
        before, seconds, cpu = timed(lambda: dedup.run(draft(lake, known), config, parallel))
        print(f"{args.known:,} × {args.dim}: {seconds:.2f} s, {cpu:.2f} s of CPU, {told(before)}", flush=True)
        for count in args.new:
            new = parts_of(lake, np.load(vectors, mmap_mode="r"), args.known, args.known + count)
            every = draft(lake, [*known, *new])
            more, seconds, cpu = timed(lambda every=every: dedup.run(every, config, parallel, before))
            anew, all_seconds, all_cpu = timed(lambda every=every: dedup.run(every, config, parallel))
            print(f"{count:>9,} more: {seconds:.2f} s, {cpu:.2f} s of CPU, {told(more)}")
            print(
                f"      all anew: {all_seconds:.2f} s, {all_cpu:.2f} s of CPU, {told(anew)}; {common(more, anew)}",
                flush=True,
            )


def parts_of(lake: Lake, vectors: np.ndarray, start: int, end: int) -> list[Part]:
    """Parts with the files of those samples, all kept by the filter."""
    found = []
    for first in range(start, end, ROWS):
        rows = min(ROWS, end - first)
        part = Part(f"{first:08x}{rows:08x}", f"{first:09d}.tar", f"{first:032x}{rows:032x}", rows)
        facts = samples_table(["a caption"] * rows, first)
        place = facts.schema.get_field_index("sha256")
        facts = facts.set_column(place, facts.schema.field(place), [[f"{first + row:064x}" for row in range(rows)]])
        write_table(lake.column_path("samples", "s", part.part), facts)
        write_table(lake.column_path("decision", "f", part.part), decision_table([KEPT] * rows))
        write_array(lake.column_path("embedding", "e", part.part), vectors[first : first + rows])
        found.append(part)
    return found


def draft(lake: Lake, parts: list[Part]) -> Version:
    return Version(lake, "filter", tuple(parts), {"samples": "s", "decision": "f", "embedding": "e"})


def timed(work: Callable[[], Version]) -> tuple[Version, float, float]:
    start, cpu = time.perf_counter(), time.process_time()
    made = work()
    return made, time.perf_counter() - start, time.process_time() - cpu


def told(version: Version) -> str:
    facts = version.summary["dedup"]
    low, high = facts["recall"]["lower"], facts["recall"]["upper"]
    return (
        f"{facts['compared']:,} compared, {facts['pairs']:,} pairs, recall {low:.4f} to {high:.4f}, "
        f"{facts['removed']:,} removed, {facts['orphans']} orphans"
    )


def common(one: Version, other: Version) -> str:
    """How many of the pairs and of the removed samples of the other the one has."""
    pairs = []
    for version in (one, other):
        table = read_table(version.artifact("pairs") / "pairs.parquet", ["i", "j"])
        ends = np.sort(np.column_stack([table["i"].to_numpy(), table["j"].to_numpy()]), axis=1)
        pairs.append(ends[:, 0] * version.rows + ends[:, 1])
    gone = [np.asarray(pc.equal(v.table("decision", ["verdict"])["verdict"], DUPLICATE)) for v in (one, other)]
    found, away = np.isin(pairs[1], pairs[0]).mean(), (gone[0] & gone[1]).sum() / max(gone[1].sum(), 1)
    return f"{found:.2%} of its pairs and {away:.2%} of its removals are found by the increment"


if __name__ == "__main__":
    main()
