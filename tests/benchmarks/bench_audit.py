"""Seconds and memory of the caption audit on synthetic captions, from raw captions to intervals, beside its peers.

Ten words a caption from 50,000, most of them rare; a filter takes 5%, near-duplicates are 25%. First the whole
vocabulary's counts from the captions' Parquet files, by turns with the peers, each warm; then what is stored once; then
audits. All on the process's CPUs, memory as the process's peak.
Run: python -m tests.benchmarks.bench_audit [--peers PYTHON] [--captions N]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.audit import Config, audit
from tasks.files import write_table
from tasks.groups.membership import members_by_terms
from tasks.lake import Lake, Part, Version
from tasks.words import audit_pool, cutting, phrases, tokens
from tasks.words.counting import count_sets
from tests.memory import peak_memory
from tests.tasks.captioned import map_here

PART_ROWS, WORDS, VOCABULARY = 10_000, 10, 50_000
CUT, WAITING = 5, 10  # parts that are cut together; results that wait to be merged
PEERS = ("polars, at spaces", "polars, by a pattern", "spark")
GOALS = {"polars": 1.5, "spark": 1.0}  # times the peer's seconds, at most
AUDIT, KEYWORDS, MEMORY = 1.0, 0.3, 1024  # seconds of an audit, of 1,000 keywords; MiB


def uids(start: int, stop: int) -> pa.Array:
    """32 hexadecimal digits a sample."""
    digits = (np.arange(start, stop)[:, None] >> np.arange(124, -4, -4).clip(max=60)) & 15
    digits[:, :16] = 0
    letters = np.frombuffer(b"0123456789abcdef", np.uint8)[digits]
    return pa.array(letters.view("S32").ravel().astype("U32"))


def synthetic(root: Path, rows: int, weighted: bool) -> Version:
    """A version of this many samples; (rows,) captions of WORDS words."""
    rng, lake, parts = np.random.default_rng(0), Lake(root, "pool"), []
    words = np.array([f"word{i}" for i in range(VOCABULARY)])
    for start in range(0, rows, PART_ROWS):
        count = min(PART_ROWS, rows - start)
        chosen = words[np.minimum(rng.pareto(0.8, (count, WORDS)) * 30, VOCABULARY - 1).astype(int)]
        parts.append(Part(f"{start:016x}", f"{start}", "0" * 64, count))
        columns = {"uid": uids(start, start + count), "caption": [" ".join(row) for row in chosen]}
        write_table(lake.column_path("samples", "s", parts[-1].part), pa.table(columns))
    luck = rng.random(rows)
    twins = np.flatnonzero(luck < 0.25)
    with lake.new_artifact("groups", "g") as folder:
        pieces = np.split(twins % PART_ROWS, np.searchsorted(twins, np.arange(PART_ROWS, rows, PART_ROWS)))
        firsts = range(0, rows, PART_ROWS)
        names = [uids(start, start + PART_ROWS).take(piece) for start, piece in zip(firsts, pieces, strict=True)]
        write_table(
            folder / "groups.parquet", pa.table({"group": np.arange(len(twins)) // 3, "uid": pa.concat_arrays(names)})
        )
    version = Version(lake, "dedup", tuple(parts), {"samples": "s", "decision": "plain"}, {"groups": "g"})
    verdict = np.where(luck < 0.05, "filtered", np.where(luck < 0.2, "duplicate", "kept"))
    weight = np.where(verdict == "kept", rng.lognormal(0, 0.3, rows), np.nan)
    version.write_decision(_decision(verdict, np.full(rows, np.nan)), "plain")
    version.write_decision(_decision(verdict, weight), "weighted")
    return version.derive("dedup", columns={"decision": "weighted" if weighted else "plain"})


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


def told(name: str, taken: list[float], goal: float | None = None) -> None:
    median, peak = statistics.median(taken), peak_memory() / 2**20
    reached = "" if goal is None else f"; goal {goal:g} s: {'met' if median <= goal else 'NOT met'}"
    spread = f" (median of {len(taken)}: {min(taken):.2f} to {max(taken):.2f})" if len(taken) > 1 else ""
    print(f"  {name}: {median:.2f} s{spread}{reached}; peak memory {peak:,.0f} MiB", flush=True)


def count_words(files: list[Path]) -> tokens.Merged:
    """From captions to the number of captions with each word, on two threads; nothing is written."""

    def one(some: list[Path]) -> tokens.PartTerms:
        tables = [pq.read_table(file, columns=["caption"], use_threads=False) for file in some]
        return tokens.part_terms(cutting.token_lists(pa.concat_tables(tables)["caption"]))

    merged, pieces = tokens.Merged(), [files[i : i + CUT] for i in range(0, len(files), CUT)]
    with ThreadPoolExecutor(2) as threads:
        for start in range(0, len(pieces), WAITING):
            for _ in merged.add(list(threads.map(one, pieces[start : start + WAITING]))):
                pass
    return merged


class Peer:
    """A process of another Python that counts once for each line it is sent."""

    def __init__(self, python: str, engine: str, files: str) -> None:
        script = str(Path(__file__).with_name("caption_counts.py"))
        command = [python, script, engine, files]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self) -> dict[str, float]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(
                f"{self.process.args}: an answer was expected, the process ended; see its messages above"
            )
        found: dict[str, float] = json.loads(answer)
        return found

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def compare_counts(version: Version, python: str | None, runs: int) -> None:
    """Whole vocabulary from raw captions, ours and the peers' by turns."""
    files = [version.column_path("samples", part) for part in version.parts]
    peers = {name: Peer(python, name, str(files[0].parent / "*.parquet")) for name in PEERS} if python else {}
    ours = count_words(files)
    for name, peer in peers.items():
        warm = peer.run()
        assert (warm["words"], warm["total"]) == (len(ours.vocabulary), ours.captions.sum()), (name, warm)
    taken: dict[str, list[float]] = {name: [] for name in ("ours", *peers)}
    for _ in range(runs):
        taken["ours"].append(seconds(lambda: count_words(files)))
        for name, peer in peers.items():
            taken[name].append(peer.run()["seconds"])
    told("from captions to counts of all words", taken["ours"])
    for name, peer in peers.items():
        peer.close()
        ratio = statistics.median(one / other for one, other in zip(taken["ours"], taken[name], strict=True))
        goal = GOALS[name.split(",")[0]]
        print(
            f"    {name}: {statistics.median(taken[name]):.2f} s; ours takes {ratio:.2f} times as long; goal {goal:g}: "
            f"{'met' if ratio <= goal else 'NOT met'}"
        )


def keywords_of(version: Version, count: int) -> dict[str, tuple[str, ...]]:
    """Words of the vocabulary, each a set of its own, picked by chance."""
    vocabulary = tokens.read_words(version).vocabulary
    picked = np.random.default_rng(1).permutation(len(vocabulary))[:count]
    return {word: (word,) for word in vocabulary.take(pa.array(picked)).to_pylist()}


def measure(plain: Version, runs: int) -> None:
    """What is stored once, and audits of what is stored."""
    weighted = plain.derive("dedup", columns={"decision": "weighted"})
    told("tokens of all parts, written by one process", [seconds(lambda: tokens.write_tokens(plain, map_here))])
    told("one vocabulary, written once", [seconds(lambda: tokens.read_words(plain))])
    words = tokens.read_words(plain)
    told(
        "frequent phrases of up to 3 words, written once",
        [seconds(lambda: phrases.frequent_phrases(plain, words, 20, 3))],
    )
    told("near-duplicates placed, written once", [seconds(lambda: audit_pool.near_duplicates(plain))])
    for name, version in (("unweighted", plain), ("weighted", weighted)):
        for longest, what in ((1, "all words"), (3, "all words and phrases")):
            config = Config(phrases=longest)
            rows = len(audit(version, config, map_here)[0]["words"])
            taken = [seconds(lambda: audit(version, config, map_here)) for _ in range(runs)]  # noqa: B023
            told(f"audit of {what}, {rows:,} terms, {name}", taken, AUDIT)
    asked = keywords_of(weighted, 1000)

    def count() -> None:
        found = members_by_terms(weighted, asked)
        count_sets(found.names, found.table, audit_pool.pool_of(weighted))

    told("1,000 keywords, members and counts, weighted", [seconds(count) for _ in range(runs)], KEYWORDS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captions", type=int, default=3_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--peers", help="a Python that has polars and pyspark")
    parser.add_argument("--folder", type=Path, help="where the pool is written; default a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as root:
        print(f"{options.captions:,} captions of {WORDS} words", flush=True)
        with ProcessPoolExecutor(1, get_context("spawn")) as process:  # so that our peak is not that of making captions
            version = process.submit(synthetic, Path(root), options.captions, False).result()
        compare_counts(version, options.peers, options.runs)
        measure(version, options.runs)
    print(f"  goal {MEMORY:,} MiB at 3,000,000 captions: {'met' if peak_memory() / 2**20 <= MEMORY else 'NOT met'}")


if __name__ == "__main__":
    main()
