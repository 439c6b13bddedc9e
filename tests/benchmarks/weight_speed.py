"""How long weights of many samples take, what memory, and how that compares with scikit-learn's logistic regression."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from scipy.sparse import csc_array

from tasks.threads import one_thread
from tasks.weights import balancing, coarse, features, keep_model, probe, propensity
from tasks.weights.balance import Limits, effective_sample_size
from tasks.weights.entropy_balancing import balance_to
from tasks.weights.entropy_dual import Share
from tasks.weights.features import Components, Pool, Terms
from tests.benchmarks.filter_speed import D, clustered, met

LIMITS, FOLDS, COMPONENTS = Limits(cap=10.0, ess_floor=0.5), 5, 32
WORDS, TRAITS = 64, 8  # words of captions, and directions of the embedding that they lean on
PART, WORKERS = 50_000, 2  # samples a part; parts at a time where a run would hand them to workers
GOAL = 45.0  # seconds
SKLEARN_ROWS = 100_000
SKLEARN_TOLERANCES = (1e-4, 1e-6)  # its default, and one at which its loss is as low as ours
ROUNDS = 3  # the contenders take turns
METHODS = ("propensity", "balance")
Result = TypeVar("Result")


class Input(NamedTuple):
    """A pool that a filter went over which looks at one of the traits and at two words."""

    parts: list[np.ndarray]
    pool: Pool
    words: Terms


def drawn(samples: int) -> Input:
    parts = [clustered(min(samples, PART), seed) for seed in range(max(1, samples // PART))]
    n, rng = sum(map(len, parts)), np.random.default_rng(0)
    directions = rng.standard_normal((D, TRAITS), dtype=np.float32)
    traits = np.concatenate([part.astype(np.float32) @ directions for part in parts])
    traits = (traits - traits.mean(axis=0)) / traits.std(axis=0)
    leaning = rng.standard_normal((TRAITS, WORDS), dtype=np.float32) / 2
    frequency = np.geomspace(0.2, 0.005, WORDS, dtype=np.float32)
    has = np.empty((n, WORDS), dtype=bool)
    for rows in np.array_split(np.arange(n), len(parts)):
        level = traits[rows] @ leaning + np.log(frequency)
        has[rows] = rng.random(level.shape, dtype=np.float32) < 1 / (1 + np.exp(-level))
    harm = traits[:, 0] + has[:, 0] + has[:, 5] - 2.5
    kept = rng.random(n) > 1 / (1 + np.exp(-harm))
    places = np.nonzero(has.T)
    table = csc_array((np.ones(len(places[0])), places[::-1]), shape=has.shape)
    pool = Pool(kept, np.ones(n, dtype=bool), np.arange(n), np.ones(n))
    return Input(parts, pool, Terms(tuple(f"word{i}" for i in range(WORDS)), table))


def components(given: Input) -> Components:
    """As a run does it: parts apart, by workers."""

    def part(values: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
        return features.moments(values, np.ones(len(values), dtype=bool))

    with ThreadPoolExecutor(WORKERS) as workers:
        return features.components_of(list(workers.map(part, given.parts)), COMPONENTS)


def weighed(method: str, given: Input, found: Components) -> np.ndarray:
    if method == "propensity":
        settings = propensity.Settings(LIMITS.cap, FOLDS, 0)
        return propensity.weigh(given.parts, found, given.pool, given.words, settings).weights
    nothing = Terms((), csc_array((len(given.pool.kept), 0)))
    images = balancing.Images(given.parts, found)
    with one_thread():
        return balancing.balance_parts(images, given.pool, (nothing, given.words), LIMITS, FOLDS).weights


def speed_lines(samples: int) -> Iterator[str]:
    """Seconds from embeddings to weights, beside those of the products that no method can do without."""
    given = drawn(samples)
    n, seconds, used = len(given.pool.kept), {one: [] for one in METHODS}, {one: [] for one in METHODS}
    start = time.process_time()
    taken, found = timed(lambda: components(given))
    first = time.process_time() - start
    bare = products(given)
    rounds = ROUNDS if n <= 250_000 else 1
    for _ in range(rounds):
        for method in METHODS:
            start = time.process_time()
            seconds[method].append(timed(lambda method=method: weighed(method, given, found))[0])
            used[method].append(time.process_time() - start)
    yield f"{n:,} x {D}, {FOLDS} folds, {WORKERS} cores; best of {rounds}"
    yield f"  components of all, in parts by workers: {taken:.1f} s, {first:.1f} CPU seconds"
    yield f"  bare products: covariance {bare[0]:.1f} s, one projection on {COMPONENTS} components {bare[1]:.1f} s"
    for method in METHODS:
        total = taken + min(seconds[method])
        ratio = f"{total / sum(bare):.1f} times the bare products"
        yield f"  {method}: {min(seconds[method]):.1f} s, with components {total:.1f} s, {ratio}"
        yield f"    CPU seconds: {min(used[method]):.1f}, with components {first + min(used[method]):.1f}"
        yield f"    goal: at most {GOAL:.0f} s for 1,000,000: {met(total <= GOAL)}"


def products(given: Input) -> tuple[float, float]:
    """Seconds, on all cores, of the embeddings' products with themselves (float64, as components need) and with 32."""
    basis = torch.randn(D, COMPONENTS)

    def each(work: Callable[[torch.Tensor], torch.Tensor]) -> None:
        for part in given.parts:
            for start in range(0, len(part), features.ROWS):
                work(torch.from_numpy(part[start : start + features.ROWS]).float())

    def squared(x: torch.Tensor) -> torch.Tensor:
        x = x.double()
        return x.T @ x

    return timed(lambda: each(squared))[0], timed(lambda: each(lambda x: x @ basis))[0]


def sklearn_lines(rows: int) -> Iterator[str]:
    """The fits alone, of all folds; features are ready made for both, and both begin at nothing."""
    given = drawn(rows)
    found, pool = components(given), given.pool
    target, fold = keep_model.target_of(pool), probe.folds_of(pool, FOLDS, 0)
    x = coarse.gather(coarse.linear(given.parts, found, given.words.has), np.arange(len(fold))).x
    x[:, 1:] /= coarse.spread(x[:, 1:], target.mass)
    used, ours = np.ones((1, x.shape[1] - 1), dtype=bool), []
    theirs: dict[float, list[float]] = {tolerance: [] for tolerance in SKLEARN_TOLERANCES}
    for _ in range(ROUNDS):
        with one_thread():
            taken, models = timed(lambda: keep_model.train(coarse.Gathered(x), target, fold, used))
        ours.append(taken)
        losses = {}
        for tolerance in SKLEARN_TOLERANCES:
            taken, losses[tolerance] = sklearn_fits(x[:, 1:], pool, fold, tolerance)
            theirs[tolerance].append(taken)
    yield f"{FOLDS} fits on {len(x):,} x {x.shape[1] - 1}, median of {ROUNDS} in turns: {np.median(ours):.2f} s"
    for tolerance, taken_all in theirs.items():
        ratio = np.array(taken_all) / np.array(ours)
        above = float(np.max(models.loss - losses[tolerance]))
        yield f"  scikit-learn (lbfgs, tol {tolerance:g}): {np.median(taken_all):.2f} s, {np.median(ratio):.1f} times"
        yield f"    ({ratio.min():.1f} to {ratio.max():.1f}); our loss is above its by {above:.1g} at most"
        yield f"    goal: 4 times faster at the same loss: {met(np.median(ratio) >= 4 and above <= 1e-8)}"


def sklearn_fits(x: np.ndarray, pool: Pool, fold: np.ndarray, tolerance: float) -> tuple[float, list[float]]:
    """Seconds of all folds, and the objective that both minimise at what it finds."""
    from sklearn.linear_model import LogisticRegression

    taken, losses = 0.0, []
    for held in range(FOLDS):
        seen = fold != held
        model = LogisticRegression(C=1 / keep_model.RIDGE, max_iter=1000, tol=tolerance)
        rows, label = x[seen], pool.kept[seen]
        taken += timed(lambda m=model, r=rows, k=label: m.fit(r, k))[0]  # type: ignore[misc]
        logits = model.decision_function(rows)
        penalty = keep_model.RIDGE / 2 * float((model.coef_**2).sum())
        losses.append((float(np.sum(np.logaddexp(0, logits) - label * logits)) + penalty) / seen.sum())
    return taken, losses


def memory_lines(sizes: tuple[int, int]) -> Iterator[str]:
    """Peaks of memory beyond the input's, each in a process of its own."""
    for method in METHODS:
        command = [sys.executable, "-m", "tests.benchmarks.weight_speed", method]
        told = [
            subprocess.run([*command, str(size)], check=True, capture_output=True, text=True).stdout for size in sizes
        ]
        small, large = (float(text) for text in told)
        more = (large - small) / (sizes[1] - sizes[0]) * 2**20
        yield f"{method}: peak beyond the embeddings, verdicts and words {small:.0f} MiB of {sizes[0]:,} samples,"
        yield f"  {large:.0f} MiB of {sizes[1]:,}: {more:.0f} bytes a sample, where an embedding has {2 * D:,}"


class Peak:
    """The most memory that is no file's, in MiB, while the block runs."""

    def __enter__(self) -> Peak:
        self.most, self.stop = anonymous(), threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def _watch(self) -> None:
        while not self.stop.wait(0.02):
            self.most = max(self.most, anonymous())

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()


def anonymous() -> float:
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def target_lines(samples: int, count: int = 200) -> Iterator[str]:
    """Targets on as many sparse groups."""
    rng = np.random.default_rng(0)
    traits = rng.standard_normal((samples, 4), dtype=np.float32)
    shares = []
    for frequency in np.geomspace(0.001, 0.15, count):
        level = traits @ (0.5 * rng.standard_normal(4, dtype=np.float32)) + rng.standard_normal(
            samples, dtype=np.float32
        )
        group = level > np.quantile(level[:20_000], 1 - frequency)
        shares.append(Share(group, None, float(group.mean() * np.exp(0.15 * rng.standard_normal()))))
    base = rng.lognormal(0, 0.3, samples)
    seconds, found = timed(lambda: balance_to(shares, base, LIMITS))
    off = max(abs(share.wanted - value) for share, value in zip(shares, found.met, strict=True))
    ess = effective_sample_size(found.weights) / samples
    yield f"targets, {samples:,} x {count}: {seconds:.1f} s, off by {off:.1g} at most, ESS {ess:.1%}, "
    yield f"  {sum(reason is not None for reason in found.reasons)} not met; goal: 1e-6: {met(off <= 1e-6)}"


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def main() -> None:
    method, samples = sys.argv[1], int(sys.argv[2])
    given = drawn(samples)
    found, before = components(given), anonymous()
    with Peak() as peak:
        weighed(method, given, found)
    print(peak.most - before)


if __name__ == "__main__":
    main()
