"""Seconds of the caption audit on synthetic captions: cutting tokens once, then one audit of the whole vocabulary.

Ten words a caption from 50,000, most of them rare; a filter takes 5%, near-duplicates are 25%. The clock covers reading
and writing the files; one process cuts tokens, DuckDB uses all threads. Run: python -m tests.benchmarks.bench_audit
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from tasks import tokens
from tasks.audit import Config, audit
from tasks.files import write_table
from tasks.lake import Lake, Part, Version
from tests.tasks.captioned import map_here, uid

PART_ROWS, WORDS, VOCABULARY = 10_000, 10, 50_000


def synthetic(root: Path, rows: int, weighted: bool) -> Version:
    """A version of this many samples; (rows,) captions of WORDS words."""
    rng, lake, parts = np.random.default_rng(0), Lake(root, "pool"), []
    words = np.array([f"word{i}" for i in range(VOCABULARY)])
    for start in range(0, rows, PART_ROWS):
        chosen = words[
            np.minimum(rng.pareto(0.8, (min(PART_ROWS, rows - start), WORDS)) * 30, VOCABULARY - 1).astype(int)
        ]
        parts.append(Part(f"{start:016x}", f"{start}", "0" * 64, len(chosen)))
        columns = {"uid": [uid(start + i) for i in range(len(chosen))], "caption": [" ".join(row) for row in chosen]}
        write_table(lake.column_path("samples", "s", parts[-1].part), pa.table(columns))
    luck = rng.random(rows)
    verdict = np.where(luck < 0.05, "filtered", np.where(luck < 0.2, "duplicate", "kept"))
    weight = np.where((verdict == "kept") & weighted, rng.lognormal(0, 0.3, rows), np.nan)
    twins = np.flatnonzero(luck < 0.25)
    with lake.new_artifact("groups", "g") as folder:
        table = {"group": np.arange(len(twins)) // 3, "uid": [uid(int(i)) for i in twins]}
        write_table(folder / "groups.parquet", pa.table(table))
    version = Version(lake, "dedup", tuple(parts), {"samples": "s", "decision": "d"}, {"groups": "g"})
    version.write_decision(_decision(verdict, weight), "d")
    return version


def _decision(verdict: np.ndarray, weight: np.ndarray) -> pa.Table:
    nothing = pa.nulls(len(verdict), pa.string())
    columns = {
        "stage": nothing,
        "reason": nothing,
        "duplicate_of": nothing,
        "duplicate_similarity": nothing.cast("float"),
    }
    return pa.table({"verdict": verdict, **columns, "weight": pa.array(weight, from_pandas=True)})


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captions", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    for weighted in (False, True):
        with tempfile.TemporaryDirectory() as root:
            version = synthetic(Path(root), options.captions, weighted)
            cutting = seconds(lambda: tokens.write_tokens(version, map_here))  # noqa: B023
            audits = [seconds(lambda: audit(version, Config(), map_here)) for _ in range(options.runs)]  # noqa: B023
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{options.captions:,} captions, {'weighted' if weighted else 'unweighted'}: tokens {cutting:.1f} s "
            f"({options.captions / cutting:,.0f} captions a second), one audit {statistics.median(audits):.1f} s "
            f"(median of {options.runs}, {min(audits):.1f} to {max(audits):.1f}), peak memory {peak:,.0f} MiB"
        )


if __name__ == "__main__":
    main()
