"""What orchestration costs: `sluice curate` with a Prefect server against the same flow as plain functions.

Plain: run_curate with stages called as the functions that they are, on the same Dask workers, in a process of its own.
With a server: one that runs already (PREFECT_API_URL, as a deployed flow has it), and the embedded one of a terminal.
What is fixed is measured on a pool of one small shard, where next to nothing is done. Run: make bench-overhead
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from prefect.settings import PREFECT_API_URL

from flows.serving.server import _free_port, full
from tests.benchmarks.bench_flow import CONFIG
from tests.drawn_pool import draw_pool

LIMITS = (0.10, 15.0)  # share, and seconds that are fixed


def seconds(command: list[str], pool: Path, lake: Path, workers: int) -> float:
    """From the command to its end, on an empty lake."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", *command, *arguments(pool, lake, workers)], check=True, capture_output=True)
    shutil.rmtree(lake)
    return time.perf_counter() - start


def arguments(pool: Path, lake: Path, workers: int) -> list[str]:
    return [str(pool), "--lake", str(lake), "--config", str(pool / "sluice.toml"), "--workers", str(workers)]


def plain(pool: str, lake: Path, config: Path, workers: int) -> None:
    """The flow without Prefect, in this process."""
    from flows.config import read_config
    from flows.runtime import Runtime
    from tests.flows.runs import curated

    curated(Path(pool), lake, read_config(config), Runtime(workers=workers))


def measured(pool: Path, folder: Path, workers: int) -> dict[str, float]:
    """How it was called → seconds."""
    found = {"plain functions": seconds(["tests.benchmarks.bench_overhead", "plain"], pool, folder / "plain", workers)}
    found["embedded server"] = seconds(["flows.cli", "curate"], pool, folder / "embedded", workers)
    with full(_free_port()):
        os.environ["PREFECT_API_URL"] = str(PREFECT_API_URL.value())
        found["server that runs"] = seconds(["flows.cli", "curate"], pool, folder / "server", workers)
        del os.environ["PREFECT_API_URL"]
    return found


def bench(samples: int, shard_rows: int, workers: int) -> dict[str, float]:
    folder = Path(tempfile.mkdtemp(prefix="sluice-bench-"))
    try:
        draw_pool(folder / "pool", samples, shard_rows=shard_rows)
        (folder / "pool" / "sluice.toml").write_text(CONFIG)
        return measured(folder / "pool", folder, workers)
    finally:
        shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--shard-rows", type=int, default=5_000)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    small = bench(120, 60, given.workers)
    large = bench(given.samples, given.shard_rows, given.workers)
    print(f"{given.samples:,} samples in parts of {given.shard_rows:,}, {given.workers} workers; 120 samples")
    for name, taken in large.items():
        share, fixed = taken / large["plain functions"] - 1, small[name] - small["plain functions"]
        print(f"  {name:18} {taken:8.1f} s {share:+8.1%}   {small[name]:6.1f} s {fixed:+6.1f} s")
    print(f"  allowed: {LIMITS[0]:+.0%}, {LIMITS[1]:+.0f} s")


if __name__ == "__main__":
    if sys.argv[1:2] == ["plain"]:
        pool, _, lake, _, config, _, workers = sys.argv[2:]
        plain(pool, Path(lake), Path(config), int(workers))
    else:
        main()
