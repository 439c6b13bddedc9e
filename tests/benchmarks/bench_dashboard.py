"""The dashboard on a lake of 1,000,000 samples: each page's first and later answers, and ten people while a run writes.

The clock is a session's: from the question to the last byte of the answer, without the browser's drawing. Run:
python -m tests.benchmarks.bench_dashboard [--samples N] [--users N] [--clicks N]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np

from tasks.lake import Version, find_pool
from tests.benchmarks.dashboard_users import visit
from tests.benchmarks.large_lake import CATEGORY, RUNS, committed, made_lake
from tests.infra.browsing import Server, serving

Question = tuple[str, dict[str, str]]
PAGES = ("", "samples", "filter", "bias", "duplicates", "compare", "lineage")


def questions(version: Version, seed: int) -> Iterator[Question]:
    """What somebody asks one after another; hardly ever what another has asked."""
    rng = np.random.default_rng(seed)
    uids = version.table("samples", ["uid"])["uid"].take(rng.integers(0, version.rows, 200)).to_pylist()
    words = version.table("samples", ["caption"])["caption"].take(rng.integers(0, version.rows, 200)).to_pylist()
    for uid, words_ in zip(uids, words, strict=True):
        word, low = str(words_).split()[-1], f"{rng.uniform(0.05, 0.5):.3f}"
        kinds: list[Question] = [
            ("samples", {"caption": word}),
            ("samples", {"category": CATEGORY, "score_from": low, "order": "highest score"}),
            ("samples", {"verdict": "filtered", "shard": f"{rng.integers(0, 99):05d}"}),
            ("samples", {"why": uid}),
            ("compare", {"before": str(rng.integers(1, 3))}),
            ("compare", {"before": "2", "term": word[:3]}),
            ("", {"version": str(rng.integers(1, 4))}),
            ("lineage", {}),
            (str(rng.choice(PAGES)), {}),
        ]
        yield kinds[rng.integers(len(kinds))]


def one_by_one(server: Server, version: Version) -> dict[str, list[float]]:
    """Seconds that each page takes: when nobody asked before, again, and of new questions."""
    user = visit(server)
    taken = {page: [user.ask(page), user.ask(page)] for page in PAGES}
    for page, address in questions(version, 0):
        taken[page].append(user.ask(page, **address))
    assert not user.errors, user.errors[:3]
    return taken


def together(server: Server, version: Version, users: int, clicks: int) -> tuple[np.ndarray, list[str]]:
    """Seconds of each answer, and what went wrong, while all ask at once, each a second after the last answer."""

    def work(seed: int) -> tuple[list[float], list[str]]:
        user, pause = visit(server), threading.Event()
        taken = []
        for (page, address), _ in zip(questions(version, seed), range(clicks), strict=False):
            taken.append(user.ask(page, **address))
            pause.wait(1.0)
        return taken, user.errors

    with ThreadPoolExecutor(users) as pool:
        found = list(pool.map(work, range(1, users + 1)))
    return np.array([seconds for taken, _ in found for seconds in taken]), [e for _, errors in found for e in errors]


@contextmanager
def writing(version: Version) -> Iterator[None]:
    """A process beside that commits a version every five seconds, as often as no run does."""
    spawn = get_context("spawn")
    ended = spawn.Event()
    process = spawn.Process(target=_write, args=(version.lake.root, version.number, ended))
    process.start()
    try:
        yield
    finally:
        ended.set()
        process.join()


def _write(root: Path, number: int, ended: Event) -> None:
    version, turn = find_pool(root, None).version(number), 0
    while not ended.wait(5.0):
        committed(version.derive("reweight", config={"turn": turn}), RUNS[1], complete=True)
        turn += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=10)
    parser.add_argument("--clicks", type=int, default=20, help="of each user")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="sluice-bench-"))
    try:
        version = made_lake(folder, arguments.samples)
        print(f"{version.rows:,} samples in {len(version.parts)} parts")
        with serving(version.lake.root) as server:
            for page, taken in one_by_one(server, version).items():
                later = np.array(taken[1:])
                told = f"then {np.median(later):.2f} s, at most {later.max():.2f} s"
                print(f"{page or 'overview':10} first {taken[0]:.2f} s, {told} of {len(later)}")
            before = len(version.lake.numbers())
            with writing(version):
                taken, errors = together(server, version, arguments.users, arguments.clicks)
        median, p95 = np.quantile(taken, [0.5, 0.95])
        made = len(version.lake.numbers()) - before
        print(f"{arguments.users} at once, {len(taken)} answers beside {made} commits: median {median:.2f} s, ", end="")
        print(f"p95 {p95:.2f} s, at most {taken.max():.2f} s; errors: {len(errors)} {errors[:3]}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
