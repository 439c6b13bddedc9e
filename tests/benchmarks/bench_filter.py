"""What labels buy: the filter's learning curves by each way to choose what to label, and the speed of its heavy steps.

Pools whose truth is known: planted rare classes, and with --pools two real ones under the shipped encoder (a folder
with clipart/, emoji-noto/ and <pool>-labels.csv), nine tenths of them for each seed. All strategies have the same
classifier and the same wrong answers; the article's two arms are tried from their own start and from ours. "Removed" is
the number of benign images above the highest threshold that reaches that recall of all positives: standing, where
labels override the score, and alone, where the score decides of every image.
Run: python -m tests.benchmarks.bench_filter
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.benchmarks import active_simulation as simulation
from tests.benchmarks import real_pools
from tests.benchmarks.active_simulation import RECALLS, Plan, Point, World
from tests.benchmarks.filter_speed import batch_lines, fits_lines

ENOUGH = 100  # positives, for a recall of 99% to be less than all of them
MORE = (1_200, 3_600, 7_200)  # random labels beyond the budget
OURS, RANDOM, BASELINES = "ours", "random", ("article", "article, our start")
PART = 0.9  # of a real pool, for each seed
HALF, THIRD = 1 / 2, 1 / 3


@dataclass(frozen=True)
class Setting:
    """A pool and how it is labelled."""

    name: str
    pool: tuple[int, float, float] | Path  # planted: samples, prevalence, share isolated; or embeddings on disk
    plan: Plan
    shown: tuple[int, ...]  # numbers of labels


class Curve(NamedTuple):
    """A strategy's points by number of labels, one a seed."""

    points: Mapping[int, list[Point]]

    def median(self, labels: int, kind: str, recall: int) -> float:
        return float(simulation.quartiles([getattr(point, kind)[recall] for point in self.points[labels]])[1])


def settings(pools: Path | None, folder: Path, quick: bool) -> Iterator[Setting]:
    """The planted pools, the real ones, the planted ones with wrong answers."""
    plan, shown = (Plan(60, 60, 300), (120, 300)) if quick else (Plan(60, 60, 600), (120, 180, 240, 300, 420, 600))
    planted = {"0.1%": (30_000, 0.001, 0.0), "1%": (20_000, 0.01, 0.0), "1%, a fifth isolated": (20_000, 0.01, 0.2)}
    if quick:
        planted = {"1%, a fifth isolated": (10_000, 0.01, 0.2)}
    for name, drawn in planted.items():
        yield Setting(f"planted {name}", drawn, plan, shown)
    if pools is not None:
        yield Setting("clip-art, weapon", real_pools.save(pools, "clipart", folder), plan, shown)
        short = Plan(20, 20, 160)
        yield Setting("emoji, romance", real_pools.save(pools, "emoji-noto", folder), short, (40, 60, 80, 120, 160))
    for noise in (0.1,) if quick else (0.05, 0.1):
        for name, drawn in planted.items():
            yield Setting(f"planted {name}, {noise:.0%} wrong answers", drawn, replace(plan, noise=noise), shown)


def drawn_from(path: Path, seed: int) -> World:
    """A real pool less a tenth at random, another for each seed: our arms leave little else to chance."""
    saved = np.load(path)
    kept = np.random.default_rng([seed, 3]).random(len(saved["truth"])) < PART
    return simulation.world(saved["embeddings"][kept], saved["truth"][kept], saved["prompt"][kept])


def one_seed(setting: Setting, seed: int) -> dict[str, list[Point]]:
    """Every strategy's curve, and random sampling's with more labels."""
    planted = not isinstance(setting.pool, Path)
    world = simulation.planted(seed, *setting.pool) if planted else drawn_from(setting.pool, seed)
    strategies = simulation.strategies(setting.plan.noise)
    curves = {name: simulation.simulate(world, one, setting.plan, seed) for name, one in strategies.items()}
    budgets = [n for n in (*setting.shown, *MORE) if n <= len(world.truth) // 2]
    return {RANDOM: simulation.random_curve(world, budgets, setting.plan.noise, seed), **curves}


def curves_of(setting: Setting, seeds: int, pool: ProcessPoolExecutor) -> dict[str, Curve]:
    """One point a seed for each number of labels."""
    found = list(pool.map(one_seed, [setting] * seeds, range(seeds)))
    by_labels: dict[str, dict[int, list[Point]]] = {name: {} for name in found[0]}
    for run in found:
        for name, points in run.items():
            for point in points:
                by_labels[name].setdefault(point.labels, []).append(point)
    return {name: Curve(points) for name, points in by_labels.items()}


def table(setting: Setting, curves: Mapping[str, Curve]) -> Iterator[str]:
    head = "".join(f"{f'{kind} {recall:.2f}':>24}" for kind in ("standing", "alone") for recall in RECALLS)
    yield f"{'strategy':<20}{'labels':>7}{'found':>6}{head}"
    for name, curve in curves.items():
        for labels in setting.shown if name != RANDOM else sorted(curve.points):
            points = curve.points[labels]
            cells = [cell([p.standing[i] for p in points]) for i in range(len(RECALLS))]
            cells += [cell([p.alone[i] for p in points]) for i in range(len(RECALLS))]
            found = np.median([point.found for point in points])
            yield f"{name:<20}{labels:>7,}{found:>6.0f}" + "".join(f"{one:>24}" for one in cells)


def cell(values: Sequence[float]) -> str:
    low, middle, high = simulation.quartiles(values)
    return f"{middle:,.0f} [{low:,.0f}, {high:,.0f}]"


def goals(setting: Setting, curves: Mapping[str, Curve], positives: int) -> Iterator[str]:
    """Both ratios at every number of labels, of medians over seeds."""
    for i, recall in enumerate(RECALLS):
        if recall < 0.95 or (recall > 0.95 and positives < ENOUGH):
            continue
        for kind in ("standing", "alone"):
            for other in BASELINES:
                ratios = [benign_ratio(curves, other, labels, kind, i) for labels in setting.shown]
                yield goal_line(f"benign at recall {recall}, {kind}, to {other}", setting.shown, ratios, HALF)
            shares = [labels_ratio(curves, labels, kind, i) for labels in setting.shown]
            yield goal_line(f"labels at recall {recall}, {kind}, to random", setting.shown, shares, THIRD)


def benign_ratio(curves: Mapping[str, Curve], other: str, labels: int, kind: str, recall: int) -> float:
    """NaN where neither removes any, or neither reaches the recall."""
    ours, theirs = (curves[name].median(labels, kind, recall) for name in (OURS, other))
    if ours == theirs and ours in (0, np.inf):
        return np.nan
    return ours / theirs if theirs else np.inf


def labels_ratio(curves: Mapping[str, Curve], labels: int, kind: str, recall: int) -> float:
    """Our labels to those with which random sampling removes no more; its most where even those do not do."""
    target = curves[OURS].median(labels, kind, recall)
    if target == np.inf:
        return np.inf
    budgets = sorted(curves[RANDOM].points)
    removed = [curves[RANDOM].median(n, kind, recall) for n in budgets]
    reached = next((k for k, value in enumerate(removed) if value <= target), None)
    if reached is None:
        return labels / budgets[-1]
    if reached == 0 or removed[reached - 1] == np.inf:
        return labels / budgets[reached]
    before, after = (np.log1p(removed[k]) for k in (reached - 1, reached))  # interpolated between the two
    part = (before - np.log1p(target)) / (before - after)
    return labels / float(np.exp(np.interp(part, (0, 1), np.log(budgets[reached - 1 : reached + 1]))))


def goal_line(what: str, shown: Sequence[int], ratios: Sequence[float], goal: float) -> str:
    judged = [ratio for ratio in ratios if not np.isnan(ratio)]
    reached = sum(ratio <= goal for ratio in judged)
    verdict = "nothing to judge" if not judged else "met" if reached == len(judged) else f"met {reached}/{len(judged)}"
    each = "  ".join(f"{n}: {'-' if np.isnan(r) else f'{r:.2f}'}" for n, r in zip(shown, ratios, strict=True))
    return f"  {what:<55}{each:<72}at most {goal:.2f}: {verdict}"


def write_csv(path: Path, every: Mapping[str, Mapping[str, Curve]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        columns = [f"{kind}_{recall:.2f}" for kind in ("standing", "alone") for recall in RECALLS]
        rows.writerow(("setting", "strategy", "labels", "seed", "found", *columns))
        for setting, curves in every.items():
            for name, curve in curves.items():
                for labels, points in sorted(curve.points.items()):
                    for seed, point in enumerate(points):
                        rows.writerow((setting, name, labels, seed, point.found, *point.standing, *point.alone))


def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def learning(arguments: argparse.Namespace) -> None:
    """Print a table and the goals for each setting; write the curves."""
    every: dict[str, dict[str, Curve]] = {}
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # of the processes that are begun from here
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(arguments.processes, get_context("spawn"), one_thread) as pool,
    ):
        for setting in settings(arguments.pools, Path(folder), arguments.quick):
            start = time.perf_counter()
            curves = every[setting.name] = curves_of(setting, arguments.seeds, pool)
            positives = positives_of(setting)
            print(f"\n{setting.name}: {positives} positives, {arguments.seeds} seeds: median [quartiles] removed")
            print("\n".join([*table(setting, curves), *goals(setting, curves, positives)]))
            print(f"  {time.perf_counter() - start:.0f} s", flush=True)
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        write_csv(arguments.out / "learning_curves.csv", every)


def positives_of(setting: Setting) -> int:
    if isinstance(setting.pool, Path):
        return int(np.load(setting.pool)["truth"].sum())
    samples, prevalence, _ = setting.pool
    return round(samples * prevalence)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pools", type=Path, help="folder of the real pools; without it they are left out")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, help="folder for learning_curves.csv")
    parser.add_argument("--samples", type=int, default=1_000_000, help="to choose a batch from; 0 leaves the speed out")
    parser.add_argument("--quick", action="store_true", help="2 seeds, small pools, 50,000 samples")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seeds, arguments.samples = min(arguments.seeds, 2), min(arguments.samples, 50_000)
    if arguments.samples:
        for lines in (fits_lines(5, 5 if arguments.quick else 20), batch_lines(arguments.samples, 5)):
            for line in lines:
                print(line, flush=True)
    learning(arguments)


if __name__ == "__main__":
    main()
