"""What weights repair where the right ones are known, and how long they take.

Simulated filters (tests/benchmarks/simulated_filters.py): for each method the weights' error against the oracle's, and
the change of words and pairs that nothing was chosen by. Then the seconds of propensity and of targets on many samples.
Run: python -m tests.benchmarks.bench_weights [--seeds 20] [--samples 10000] [--speed 1000000] [--only filters|speed]
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np
from scipy.sparse import csc_array

from tasks import balancing, features, keep_model, probe, propensity
from tasks.balance import Limits, capped, effective_sample_size
from tasks.entropy_balancing import balance_to
from tasks.entropy_dual import Share
from tasks.features import Pool, Terms
from tasks.threads import one_thread
from tests.benchmarks.filter_speed import clustered, met
from tests.benchmarks.simulated_filters import FILTERS, OVERLAP, Simulated, simulate

CAP, FLOOR, FOLDS, COMPONENTS = 10.0, 0.5, 5, 32
TARGETS = 5  # most frequent shown words that `propensity + targets` restores exactly
SKLEARN_ROWS = 100_000
SKLEARN_TOLERANCES = (1e-4, 1e-6)  # its default, and one at which its loss is as low as ours
METHODS = ("none", "probe", "balance", "propensity", "propensity + targets")
Result = TypeVar("Result")


class Ready(NamedTuple):
    """Features that are made already, in the shape in which `keep_model` asks for them."""

    x: np.ndarray  # (n, 1 + p)
    scale: np.ndarray  # (1 + p,)

    def block(self, at: tuple[int, int, int]) -> tuple[slice, np.ndarray]:
        rows = slice(at[2], at[2] + features.ROWS)
        return slice(at[2], min(rows.stop, len(self.x))), self.x[rows]

    def blocks(self) -> list[tuple[int, int, int]]:
        return [(0, first, first) for first in range(0, len(self.x), features.ROWS)]


class Run(NamedTuple):
    """What one method's weights do in two draws of a filter on one pool."""

    bias: float  # mean over terms of the product of the two draws' Δ, whose noise is independent: the squared bias
    error: float  # mean squared error of weights, against the oracle's
    beats: float  # share of draws in which mean |Δ| is below that of no weights
    mean: float  # |Δ| of words and pairs that nothing was chosen by
    worst: float
    ess: float  # share of the kept samples
    weighed: float  # whether the weights are not all 1


def methods(drawn: Simulated) -> dict[str, np.ndarray]:
    """(m,) weights of each method, the oracle's last."""
    pool, parts = drawn.pool, [drawn.embedding]
    found = features.components_of([features.moments(part, pool.usable) for part in parts], COMPONENTS)
    no_terms = Terms((), csc_array((len(pool.kept), 0)))
    words = balancing.judged_words(pool, drawn.shown, no_terms)
    fold = probe.folds_of(pool, FOLDS, 0)
    with one_thread():
        raw = probe.weigh(parts, probe.train(parts, pool, fold, FOLDS), fold)[pool.kept]
        limits = Limits(CAP, FLOOR)
        balanced = balancing.balance_pool(pool, no_terms, drawn.shown, features.project(parts, found), limits, FOLDS)
    estimated = propensity.weigh(parts, found, pool, words, propensity.Settings(CAP, FOLDS, 0)).weights
    return {
        "none": np.ones(len(raw)),
        "probe": capped(raw, CAP),
        "balance": balanced.weights,
        "propensity": estimated,
        "propensity + targets": balance_to(restored(pool, words), estimated, limits).weights,
        "oracle": drawn.oracle,
    }


def restored(pool: Pool, words: Terms) -> list[Share]:
    has = words.has[:, :TARGETS].toarray() > 0
    return [Share(one[pool.kept], None, float(one.mean())) for one in has.T]


def measure(drawn: tuple[Simulated, Simulated], weights: list[np.ndarray]) -> Run:
    change = np.array([changes(one, w) for one, w in zip(drawn, weights, strict=True)])
    bare = np.array([changes(one, np.ones(len(w))) for one, w in zip(drawn, weights, strict=True)])
    size = np.abs(change)
    error = np.mean([np.mean((w - one.oracle) ** 2) for one, w in zip(drawn, weights, strict=True)])
    ess = np.mean([effective_sample_size(w) / len(w) for w in weights])
    beats = np.mean(size.mean(axis=1) < np.abs(bare).mean(axis=1))
    weighed = np.mean([np.ptp(w) > 1e-9 for w in weights])
    rest = float(size.mean()), float(size.max(axis=1).mean()), float(ess), float(weighed)
    return Run(float((change[0] * change[1]).mean()), float(error), float(beats), *rest)


def changes(drawn: Simulated, weights: np.ndarray) -> np.ndarray:
    """(t,) Δ of words and pairs that nothing was chosen by."""
    kept, reference = drawn.hidden.tocsr()[drawn.pool.kept], np.asarray(drawn.hidden.mean(axis=0)).ravel()
    return kept.T @ weights / weights.sum() / reference - 1


def filter_lines(seeds: int, samples: int) -> Iterator[str]:
    """One table a filter. The oracle's |Δ| is the noise of a draw; what is left of Δ over two draws is bias."""
    over_all: dict[str, list[float]] = {name: [] for name in METHODS}
    for shape in FILTERS:
        runs: dict[str, list[Run]] = {name: [] for name in (*METHODS, "oracle")}
        for seed in range(seeds):
            drawn = simulate(seed, shape, samples, 0), simulate(seed, shape, samples, 1)
            made = [methods(one) for one in drawn]
            for name in runs:
                runs[name].append(measure(drawn, [one[name] for one in made]))
        mean = {name: Run(*np.mean(found, axis=0)) for name, found in runs.items()}
        yield f"filter {shape}, {samples:,} samples, {seeds} seeds, 2 draws each"
        columns = "weight RMSE  mean |change|  over oracle  worst  bias (RMS)    ESS  weighs  beats none"
        yield f"  {'method':<20}  {columns}"
        for name, one in mean.items():
            yield f"  {name:<20}  {_row(one, mean['oracle'])}"
        yield from goal_lines(shape, mean)
        for name, found in over_all.items():
            found.append(mean[name].mean - mean["none"].mean)
    for name in METHODS[2:]:
        more = float(np.mean(over_all[name]))
        yield f"{name}: over all filters mean |change| {more:+.2%} against none, not worse: {met(more <= 0)}"


def _row(one: Run, oracle: Run) -> str:
    figures = f"{np.sqrt(one.error):11.3f}  {one.mean:13.2%}  {one.mean - oracle.mean:+11.2%}  {one.worst:5.1%}"
    return f"{figures}  {rms(one):10.2%}  {one.ess:5.1%}  {one.weighed:6.0%}  {one.beats:10.0%}"


def rms(run: Run) -> float:
    """Noise-corrected root mean squared Δ: what weights leave besides the draw's noise; the oracle's is about 0."""
    return float(np.sqrt(max(run.bias, 0)))


def goal_lines(shape: str, mean: dict[str, Run]) -> Iterator[str]:
    """The excess is what is left without the draw's noise: of that the oracle weights leave nothing by definition.

    What is printed for them is the noise of this estimate: they are the heaviest, and so the noisiest, of all.
    """
    excess = {name: rms(one) for name, one in mean.items()}
    for name in METHODS[2:]:
        if shape in OVERLAP:
            half = met(excess[name] <= excess["probe"] / 2)
            yield f"  {name}: excess {excess[name]:.2%} at most half of the probe's {excess['probe']:.2%}: {half}"
    best = min(METHODS, key=lambda name: mean[name].mean)
    yield f"  best by mean |change|: {best}"


def speed_lines(samples: int) -> Iterator[str]:
    """Propensity from embeddings on, beside scikit-learn's logistic regression of the same features and penalty."""
    parts = [clustered(min(samples, 50_000), seed) for seed in range(max(1, samples // 50_000))]
    n = sum(map(len, parts))
    rng = np.random.default_rng(0)
    direction = rng.standard_normal(parts[0].shape[1])
    score = np.concatenate([part.astype(np.float32) @ direction for part in parts])
    has = rng.random((n, 64), dtype=np.float32) < np.geomspace(0.2, 0.005, 64)
    harm = (score - score.mean()) / score.std() + has[:, 0] + has[:, 5] - 2.5
    pool = Pool(rng.random(n) > 1 / (1 + np.exp(-harm)), np.ones(n, dtype=bool), np.arange(n), np.ones(n))
    words = Terms(tuple(f"word {i}" for i in range(64)), csc_array(has.astype(np.float64)))
    taken, found = timed(
        lambda: features.components_of(
            [features.moments(part, np.ones(len(part), dtype=bool)) for part in parts], COMPONENTS
        )
    )
    settings = propensity.Settings(CAP, FOLDS, 0)
    seconds, _ = timed(lambda: propensity.weigh(parts, found, pool, words, settings))
    yield f"propensity, {n:,} x {parts[0].shape[1]}, {FOLDS} folds: components {taken:.1f} s, weights {seconds:.1f} s, "
    yield f"  judging words included; peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB"
    yield f"  goal: at most 45 s: {met(taken + seconds <= 45)} ({taken + seconds:.1f} s)"
    yield from sklearn_lines(parts, found, pool, words)


def sklearn_lines(parts: list[np.ndarray], found: features.Components, pool: Pool, words: Terms) -> Iterator[str]:
    """The fits alone, of all folds, on the first SKLEARN_ROWS samples; features are ready made for both."""
    rows = min(len(pool.kept), SKLEARN_ROWS)
    some = [part[: max(0, rows - start)] for start, part in zip(np.cumsum([0, *map(len, parts)]), parts, strict=False)]
    small = Pool(*(values[:rows] for values in pool))
    target, fold = keep_model.target_of(small), probe.folds_of(small, FOLDS, 0)
    coarse = keep_model.coarse_of(some, found, words.has[:rows], target)
    used = np.ones((1, len(coarse.scale) - 1), dtype=bool)
    ready = Ready(np.vstack([coarse.block(at)[1] for at in coarse.blocks()]), coarse.scale)
    x = ready.x[:, 1:]
    with one_thread():
        ours, models = timed(lambda: keep_model.train(ready, target, fold, used))
    for tolerance in SKLEARN_TOLERANCES:
        yield from compared(x, small, fold, (ours, models), tolerance)


def compared(
    x: np.ndarray, pool: Pool, fold: np.ndarray, mine: tuple[float, keep_model.Models], tolerance: float
) -> Iterator[str]:
    """Our fits beside scikit-learn's at one of its tolerances: seconds, and the objective that both minimise."""
    from sklearn.linear_model import LogisticRegression

    taken, losses = 0.0, []
    for held in range(FOLDS):
        seen = fold != held
        model = LogisticRegression(C=1 / keep_model.RIDGE, max_iter=1000, tol=tolerance)
        taken += timed(lambda m=model, s=seen: m.fit(x[s], pool.kept[s]))[0]  # type: ignore[misc]
        logits, label = model.decision_function(x[seen]), pool.kept[seen]
        penalty = keep_model.RIDGE / 2 * float((model.coef_**2).sum())
        losses.append((float(np.sum(np.logaddexp(0, logits) - label * logits)) + penalty) / seen.sum())
    ours, models = mine
    worst = float(np.max(models.loss - losses))
    same = met(taken >= 4 * ours and worst <= 1e-8)
    yield f"  {FOLDS} fits on {len(x):,} x {x.shape[1]}: {ours:.2f} s, scikit-learn (tol {tolerance:g}) {taken:.2f} s"
    yield f"  mean losses {np.mean(models.loss):.9f} and {np.mean(losses):.9f}, ours above by {worst:.1g} at most"
    yield f"  goal: 4 times faster at the same loss: {same} ({taken / ours:.1f} times)"


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
    seconds, found = timed(lambda: balance_to(shares, base, Limits(CAP, FLOOR)))
    off = max(abs(share.wanted - value) for share, value in zip(shares, found.met, strict=True))
    ess = effective_sample_size(found.weights) / samples
    yield f"targets, {samples:,} x {count}: {seconds:.1f} s, off by {off:.1g} at most, ESS {ess:.1%}, "
    yield f"  {sum(reason is not None for reason in found.reasons)} not met; goal: 1e-6: {met(off <= 1e-6)}"


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--speed", type=int, default=1_000_000)
    parser.add_argument("--only", choices=("filters", "speed"))
    options = parser.parse_args()
    lines: list[Iterator[str]] = []
    if options.only != "speed":
        lines.append(filter_lines(options.seeds, options.samples))
    if options.only != "filters":
        lines += [speed_lines(options.speed), target_lines(options.speed)]
    for some in lines:
        for line in some:
            print(line, flush=True)


if __name__ == "__main__":
    main()
