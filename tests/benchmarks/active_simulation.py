"""The labelling loop in memory: a pool whose truth is known, strategies that choose what to label, and what it bought.

`planted` makes CLIP-like embeddings with a rare class that has lookalikes: a narrow cone, benign groups of very unequal
size, positives in a few of them, shifted by a concept; three times as many benign samples carry part of the shift. With
`isolated`, a share of the positives sits in another group and is shifted elsewhere: nothing learnt from the others
points there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tasks.classifying import classifier
from tasks.classifying.certify import choose_threshold, needed
from tasks.classifying.scoring import gather
from tasks.labelling import arms, regions

NEAR = 0.995  # cosine of near-duplicates: lookalikes of one group are no duplicates
GROUPS, KINDS, STRENGTH = 150, 5, 0.6
RECALLS = (0.90, 0.95, 0.99)


@dataclass(frozen=True)
class World:
    """n samples."""

    parts: Sequence[np.ndarray]  # (rows, d) float16
    truth: np.ndarray  # (n,) bool
    prompt: np.ndarray  # (n,) cosine of each with the prompts
    regions: regions.Regions


@dataclass(frozen=True)
class Strategy:
    """How a batch is shared among the arms."""

    shares: Callable[[arms.View], Mapping[str, float]]
    recall: float = 0.99  # of the labelled positives, at arm false_positive's threshold


def after(start: Mapping[str, float], shares: Mapping[str, float]) -> Callable[[arms.View], Mapping[str, float]]:
    """Those shares once there is a model."""
    return lambda view: start if view.scores is None else shares


START = {"prompt": 0.5, "random": 0.5}  # a text search, and what negatives look like
ARTICLES_RECALL = {0.0: 0.99, 0.05: 0.5, 0.1: 0.5}  # by share of wrong answers: the best on seeds that are not reported


def strategies(noise: float) -> dict[str, Strategy]:
    """What is compared; the article's arms also from our start, with the threshold that is best for them."""
    recall = ARTICLES_RECALL[noise]
    return {
        "uncertainty": Strategy(after(arms.COLD, {"uncertain": 1.0})),
        "article": Strategy(after(START, arms.ARTICLE), recall),
        "article, our start": Strategy(after(arms.COLD, arms.ARTICLE), recall),
        "ours": Strategy(arms.shares_of),
    }


@dataclass(frozen=True)
class Plan:
    """How labels come in."""

    start: int  # labels before the first model
    batch: int  # labels a round
    budget: int
    noise: float = 0.0  # share of wrong answers


class Point(NamedTuple):
    """What that many labels bought."""

    labels: int
    found: int  # positives among them
    standing: tuple[float, ...]  # benign removed at RECALLS, labels override the score; inf where out of reach
    alone: tuple[float, ...]  # the score decides of every sample, also of the labelled


def world(embeddings: np.ndarray, truth: np.ndarray, prompt: np.ndarray, seed: int = 0) -> World:
    """Of (n, d) float16 embeddings; its regions live in a folder that is gone afterwards, and stay mapped."""
    with tempfile.TemporaryDirectory() as folder:
        built = regions.build([embeddings], Path(folder), seed)
    return World([embeddings], truth, prompt, built)


def planted(seed: int, n: int, prevalence: float, isolated: float = 0.0, d: int = 64) -> World:
    """The prompt knows the direction of the positives that are not isolated, roughly."""
    rng = np.random.default_rng([seed, n, int(prevalence * 1e5), int(isolated * 100)])
    spread = np.arange(1, d + 1) ** -0.5  # CLIP's variances fall about so
    spread *= np.sqrt(d / np.sum(spread**2))
    cone, concept = (_of_length(rng.normal(size=d), size * np.sqrt(d)) for size in (1.2, STRENGTH))
    centres = rng.normal(size=(GROUPS, d)) * spread * 0.7
    share = rng.pareto(1.2, GROUPS) + 0.3
    x = centres[rng.choice(GROUPS, n, p=share / share.sum())]
    positives = round(n * prevalence)
    alone = round(positives * isolated)
    chosen = rng.choice(n, 4 * positives, replace=False)  # the first quarter positive, the others lookalikes
    shifts = 0.7 * concept + 0.7 * np.stack(
        [_of_length(rng.normal(size=d), STRENGTH * np.sqrt(d)) for _ in range(KINDS)]
    )
    elsewhere = _of_length(rng.normal(size=d), STRENGTH * np.sqrt(d))
    kind = rng.integers(0, KINDS, 4 * positives)
    kind[:alone] = kind[positives : positives + 3 * alone] = KINDS
    strength = np.concatenate([rng.uniform(0.6, 1.4, positives), rng.uniform(0, 0.7, 3 * positives)])
    hosts = centres[rng.choice(GROUPS, KINDS + 1, replace=False)]
    noise = rng.normal(size=(n, d)) * spread * 0.7
    noise[chosen] *= 0.8
    x[chosen] = hosts[kind] + strength[:, None] * np.vstack([shifts, elsewhere])[kind]
    x += noise
    truth = np.zeros(n, dtype=bool)
    truth[chosen[:positives]] = True
    text = x[chosen[alone:positives]].mean(0) - x.mean(0) + rng.normal(size=d) * spread * 0.5
    embeddings = (x + cone) / np.linalg.norm(x + cone, axis=1, keepdims=True)
    return world(embeddings.astype(np.float16), truth, (embeddings @ _of_length(text, 1)).astype(np.float32))


def _of_length(vector: np.ndarray, length: float) -> np.ndarray:
    return vector * (length / np.linalg.norm(vector))


def simulate(pool: World, strategy: Strategy, plan: Plan, seed: int) -> list[Point]:
    """One point for each number of labels, from `start` in steps of `batch`; wrong answers are those of the seed."""
    wrong = np.random.default_rng([seed, 1]).random(len(pool.truth)) < plan.noise
    answers = pool.truth ^ wrong
    row, points = np.zeros(0, np.int64), []
    view = arms.View(pool.parts, pool.regions, np.ones(len(answers), bool), row, answers[row], None, 0.0, pool.prompt)
    while len(row) < plan.budget:
        size = plan.batch if len(row) else plan.start
        picks = arms.pick(view, strategy.shares(view), size, NEAR, _seed(seed, len(row)))
        row = np.sort(np.append(row, [one.row for one in picks]))
        free = view.free.copy()
        free[row] = False
        view = view._replace(free=free, row=row, label=answers[row])
        view = trained(pool, view, strategy.recall)
        points.append(judged(pool, view))
    return points


def _seed(*numbers: int) -> int:
    return int(np.random.default_rng(numbers).integers(1 << 31))


def trained(pool: World, view: arms.View, recall: float) -> arms.View:
    """The view with a model's scores and threshold, as the filter makes them, where labels are of both classes."""
    if not view.label.any() or view.label.all():
        return view
    fold, folds = classifier.folds_of([f"{row:09d}" for row in view.row], view.label, 5)
    model = classifier.train(gather(pool.parts, view.row), view.label, fold, folds)
    threshold, _ = choose_threshold(model.scores[view.label], recall, 0.95)
    scores = np.concatenate([classifier.score(part, model.model) for part in pool.parts])
    return view._replace(scores=scores, threshold=threshold)


def judged(pool: World, view: arms.View) -> Point:
    found = int(pool.truth[view.row[view.label]].sum())
    scores = pool.prompt if view.scores is None else view.scores
    standing = scores.copy()
    standing[view.row] = np.where(view.label, np.inf, -np.inf)
    alone = tuple(removed(scores, pool.truth, recall) for recall in RECALLS)
    return Point(len(view.row), found, tuple(removed(standing, pool.truth, recall) for recall in RECALLS), alone)


def removed(scores: np.ndarray, truth: np.ndarray, recall: float) -> float:
    """Benign samples at or above the highest threshold that reaches that recall of all positives.

    inf where no threshold does, because positives carry a label (−inf) that says otherwise.
    """
    positives = np.sort(scores[truth])[::-1]
    threshold = positives[needed(len(positives), recall) - 1]
    return float((scores[~truth] >= threshold).sum()) if threshold > -np.inf else np.inf


def random_curve(pool: World, budgets: Sequence[int], noise: float, seed: int) -> list[Point]:
    """Random sampling with many labels: each budget extends the last."""
    wrong = np.random.default_rng([seed, 1]).random(len(pool.truth)) < noise
    order = np.random.default_rng([seed, 2]).permutation(len(pool.truth))
    points = []
    for budget in budgets:
        row = np.sort(order[:budget])
        view = arms.View(
            pool.parts, pool.regions, np.ones(0, bool), row, (pool.truth ^ wrong)[row], None, 0.0, pool.prompt
        )
        points.append(judged(pool, trained(pool, view, 0.99)))
    return points


def quartiles(values: Sequence[float]) -> Any:
    """(25%, 50%, 75%) by order statistics: infinities are allowed."""
    return np.quantile(np.asarray(values, dtype=float), (0.25, 0.5, 0.75), method="higher")
