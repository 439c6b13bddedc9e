"""The flow against the sum of the bare stage functions, on drawn samples with the shipped encoder.

Bare: the same functions on the same number of processes, handed their parts by a process pool; no Prefect, no Dask, no
gates, no lock, no record. The flow: as `sluice curate` runs it, its server's start included. Run: make bench
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil

from flows.config import CurateConfig, read_config
from flows.stages import STAGES, Work, audited
from tasks.lake import Version, open_lake
from tasks.reading.pools import list_shards, shard_digest
from tests.drawn_pool import draw_pool

CONFIG = """
[[filter.category]]
name = "redcross"
labels = "labels.csv"
recall = 0.9
[dedup]
threshold = 0.99
[audit]
keywords = ["woman", "man", "child"]
[gates]
max_filtered = 0.9
max_duplicates = 0.95
min_effective_sample_share = 0.01
"""


class Peak:
    """The largest memory while the block runs, resident: of this process and its children, and of any one worker.

    `private` is that of a worker, `own` that of this process, without the files that it has mapped, which the kernel
    takes back when it wants to.
    """

    def __enter__(self) -> Peak:
        self.total = self.worker = self.private = self.own = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def _watch(self) -> None:
        here = psutil.Process()
        while not self.stop.wait(0.2):
            mine = here.memory_info()
            total, self.own = mine.rss, max(self.own, mine.rss - mine.shared)
            for process in here.children(recursive=True):
                try:
                    memory, command = process.memory_info(), " ".join(process.cmdline())
                except psutil.Error:
                    continue  # it ended between the two calls
                total += memory.rss
                if "spawn_main" in command:
                    self.worker = max(self.worker, memory.rss)
                    self.private = max(self.private, memory.rss - memory.shared)
            self.total = max(self.total, total)

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()


def bare(pool: Path, root: Path, config: CurateConfig, workers: int) -> list[tuple[str, float, int]]:
    """Seconds of each stage with its audit, and the samples that went into it."""
    source, shards = list_shards(str(pool))
    lake = open_lake(root, "bare", str(source))
    told: list[tuple[str, float, int]] = []
    with ProcessPoolExecutor(workers, get_context("spawn")) as processes:

        def map_parts(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
            return list(processes.map(function, items))

        start = time.perf_counter()
        work = Work(config, [(shard, shard_digest(shard, lake.digest)) for shard in shards], map_parts)
        told.append(("digest of the shards", time.perf_counter() - start, 0))
        version = Version(lake)
        for stage in STAGES:
            start = time.perf_counter()
            version = stage.run(version, work)
            if stage.audited:
                version = audited(version, work)
            told.append((stage.name, time.perf_counter() - start, version.rows))
    return told


def flow(pool: Path, root: Path, workers: int) -> float:
    """Seconds of `sluice curate`, from the command to its end."""
    command = [sys.executable, "-m", "flows.cli", "curate", str(pool), "--lake", str(root), "--json"]
    start = time.perf_counter()
    subprocess.run(
        [*command, "--config", str(pool / "sluice.toml"), "--workers", str(workers)], check=True, capture_output=True
    )
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--shard-rows", type=int, default=5_000)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="sluice-bench-"))
    try:
        pool = folder / "pool"
        draw_pool(pool, arguments.samples, shard_rows=arguments.shard_rows)
        (pool / "sluice.toml").write_text(CONFIG)
        with Peak() as bare_peak:
            told = bare(pool, folder / "bare", read_config(pool / "sluice.toml"), arguments.workers)
        with Peak() as flow_peak:
            seconds = flow(pool, folder / "flow", arguments.workers)
            again = flow(pool, folder / "flow", arguments.workers)
    finally:
        shutil.rmtree(folder)
    total = sum(row[1] for row in told)
    print(f"{arguments.samples:,} samples in parts of {arguments.shard_rows:,}, {arguments.workers} workers")
    for name, taken, rows in told:
        print(f"  {name:24} {taken:8.1f} s" + (f" {rows / taken:12,.0f} samples/s" if rows else ""))
    print(f"  {'sum of the bare stages':24} {total:8.1f} s")
    print(f"  {'flow':24} {seconds:8.1f} s   {seconds / total - 1:+.1%} against the sum")
    print(f"  {'rerun, nothing new':24} {again:8.1f} s")
    for name, peak in (("bare", bare_peak), ("flow", flow_peak)):
        print(f"  peak memory, {name}: {peak.total >> 20:,} MiB in all, {peak.worker >> 20:,} MiB in a worker")


if __name__ == "__main__":
    main()
