"""Which samples a person should label next, and why: the article's two arms, and what they cannot reach.

False positives: what a threshold of nearly full recall calls positive. False negatives: what lies near labelled
positives that the models miss. Ours asks instead for the doubtful samples whose labels would tell the model most, and
in the regions where no one has looked, far from all labels first: an isolated cluster of positives is found that way
and by neither of the article's arms. Before there is a model the specification's prompts choose. METHODS.md, section 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.classifying.scoring import gather
from tasks.labelling.batch import Pick, Rows, Wish, fill, quotas
from tasks.labelling.information import Known, most_informative
from tasks.labelling.misses import cross_validate, miss_rates
from tasks.labelling.regions import Parts, Regions
from tasks.neighbors import nearest

REACH: Final = 20  # candidates for each sample wanted: near-duplicates drop out
SPREAD: Final = 5  # candidates of a prompt for each sample wanted, which are then spread over regions
NEIGHBORS: Final = 20  # of each missed positive
DOUBTFUL: Final = 3  # candidates for each sample wanted, among which the informative are sought
TEND: Final = 0.5  # share of the models that miss a positive which models tend to miss

ARTICLE: Final[Mapping[str, float]] = {"false_positive": 0.75, "false_negative": 0.25}  # the best of its shares
COLD: Final[Mapping[str, float]] = {"prompt": 0.5, "exploration": 0.5}
WARM: Final[Mapping[str, float]] = {"informative": 0.6, "exploration": 0.4}
LATE: Final[Mapping[str, float]] = {"informative": 0.9, "exploration": 0.1}
FEW: Final = 240  # labels, until which much is explored: all kinds of positives are to be found early


class View(NamedTuple):
    """What is known of a pool's n samples when a batch is chosen."""

    parts: Parts
    regions: Regions
    free: NDArray[np.bool_]  # (n,), may be picked: usable, not labelled, not excluded
    row: Rows  # (m,), of the labelled samples
    label: NDArray[np.bool_]  # (m,)
    scores: NDArray[np.float32] | None  # (n,), calibrated probabilities; NaN where there is none
    threshold: float  # score that nearly all labelled positives reach
    prompt: NDArray[np.float32] | None  # (n,), cosine to the specification's prompts


def shares_of(view: View) -> Mapping[str, float]:
    """The arms' shares of the next batch, as far as the labels and what is known allow."""
    trained = view.scores is not None and view.label.any() and not view.label.all()
    if not trained:
        return COLD
    return WARM if len(view.row) < FEW else LATE


def pick(view: View, shares: Mapping[str, float], size: int, near: float, seed: int) -> list[Pick]:
    """At most `size` free samples with the arm that picked each, no two with a cosine of `near` or more.

    Arms that run short are made up by the others, then at random; the result is that of the seed.
    """
    rng, counts = np.random.default_rng(seed), quotas(shares, size)
    wishes = [Wish(arm, _free(view, ARMS[arm](view, count, rng)), count) for arm, count in counts.items() if count]
    return fill(view.parts, [*wishes, Wish("random", random(view, size, rng), 0)], view.row, near)


def random(view: View, count: int, rng: np.random.Generator) -> Rows:
    """Uniform among the free."""
    rows = np.flatnonzero(view.free)
    return rng.choice(rows, min(len(rows), REACH * count), replace=False)


def prompt(view: View, count: int, rng: np.random.Generator) -> Rows:
    """The nearest to the prompts; of each region one before any second."""
    if view.prompt is None:
        return np.zeros(0, np.int64)
    best = _highest(view.prompt, view.free)
    near = best[: SPREAD * count]
    turn = _turns(np.asarray(view.regions.region[near]))
    return np.concatenate([near[np.argsort(turn, kind="stable")], best[len(near) : REACH * count]])


def false_positive(view: View, count: int, rng: np.random.Generator) -> Rows:
    """Uniform among what the threshold of nearly full recall calls positive: mostly negatives, as in the article."""
    if view.scores is None:
        return np.zeros(0, np.int64)
    called = np.flatnonzero(view.free & (view.scores >= np.float32(view.threshold)))
    return rng.choice(called, min(len(called), REACH * count), replace=False)


def false_negative(view: View, count: int, rng: np.random.Generator) -> Rows:
    """The neighbours of labelled positives that models on halves of the labels miss, the most missed first."""
    if view.label.sum() < 2 or view.label.all():
        return np.zeros(0, np.int64)
    embeddings = gather(view.parts, view.row)
    rates = miss_rates(cross_validate(embeddings, view.label, int(rng.integers(1 << 31))))
    order = np.argsort(-rates, kind="stable")
    missed = order[view.label[order] & (rates[order] >= TEND)][: max(1, count)]
    found = nearest(view.regions.annoy, embeddings[missed], NEIGHBORS + 1).ids
    rows = found.T.ravel()  # the nearest of each before the second of any
    return rows[rows >= 0]


def uncertain(view: View, count: int, rng: np.random.Generator) -> Rows:
    """The nearest to even odds."""
    if view.scores is None:
        return np.zeros(0, np.int64)
    return _highest(-np.abs(view.scores - np.float32(0.5)), view.free)[: REACH * count]


def informative(view: View, count: int, rng: np.random.Generator) -> Rows:
    """Of the nearest to even odds those whose labels would tell the model most, each given the ones before it."""
    rows = uncertain(view, count, rng)
    doubtful = rows[: DOUBTFUL * count]
    if not len(doubtful) or view.label.all() or not view.label.any():
        return rows
    assert view.scores is not None
    known = Known(gather(view.parts, view.row), view.label, view.scores[view.row])
    order = most_informative(known, gather(view.parts, doubtful), view.scores[doubtful], 2 * count)
    return np.concatenate([doubtful[order], np.delete(rows, order)])


def exploration(view: View, count: int, rng: np.random.Generator) -> Rows:
    """The most typical sample of each region without labels: large regions far from labelled ones first.

    Farthest-first (Gonzalez 1985) over the regions' centres, the distance 1 − cosine weighted by √size: alone it picks
    outliers, and size alone picks one large cluster's pieces.
    """
    regions, total = view.regions, len(view.regions.centre)
    size = np.bincount(regions.region[view.free & (regions.region >= 0)], minlength=total)
    seen = np.zeros(total, dtype=np.bool_)
    seen[regions.region[view.row][regions.region[view.row] >= 0]] = True
    apart = 1 - (regions.centre @ regions.centre[seen].T).max(axis=1, initial=-1.0)
    chosen: list[int] = []
    left = ~seen & (size > 0)
    for _ in range(min(int(left.sum()), 2 * count)):
        region = int(np.argmax(np.where(left, apart * np.sqrt(size), -np.inf)))
        left[region] = False
        apart = np.minimum(apart, 1 - regions.centre @ regions.centre[region])
        chosen.append(region)
    return _typical(view, np.array(chosen, dtype=np.int64))


ARMS: Final[Mapping[str, Callable[[View, int, np.random.Generator], Rows]]] = {
    "prompt": prompt,
    "false_positive": false_positive,
    "false_negative": false_negative,
    "exploration": exploration,
    "uncertain": uncertain,
    "informative": informative,
    "random": random,
}


def _typical(view: View, chosen: Rows) -> Rows:
    """The free sample of each of those regions that is nearest to the centre."""
    rows = np.flatnonzero(view.free)
    region, similarity = np.asarray(view.regions.region)[rows], np.asarray(view.regions.similarity)[rows]
    order = np.lexsort((-similarity, region))
    first = order[np.searchsorted(region[order], chosen)]
    return rows[first]


def _turns(region: NDArray[np.int32]) -> NDArray[np.int64]:
    """How many of the same region came before each."""
    order = np.argsort(region, kind="stable")
    start = np.searchsorted(region[order], region[order])
    turns = np.empty(len(region), dtype=np.int64)
    turns[order] = np.arange(len(region)) - start
    return turns


def _highest(values: NDArray[np.float32], free: NDArray[np.bool_]) -> Rows:
    """The free rows that have a value, the highest first, ties in order of row."""
    rows = np.flatnonzero(free & ~np.isnan(values))
    return rows[np.argsort(-values[rows], kind="stable")]


def _free(view: View, rows: Rows) -> Rows:
    """Each free row once, in order."""
    first = np.sort(np.unique(rows, return_index=True)[1])
    found = rows[first]
    return found[view.free[found]]
