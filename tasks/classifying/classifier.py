"""The category's classifier: L2-regularised logistic regression, every cross-validation fit at once.

On features of a Gaussian kernel, or on the embedding itself. One batched minimisation trains the model on all labels,
the models that leave one fold out (their scores are out-of-fold) and those that leave two out (they choose the penalty
that judges the fold left out). float64, one thread, to the optimum of a strictly convex loss, then rounded: the same on
any machine but for rounding. METHODS.md, section 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.classifying import rbf
from tasks.classifying.logistic import fit
from tasks.classifying.rbf import Landmarks
from tasks.threads import one_thread

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]

RIDGES: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # penalties, features scaled to a mean variance of one
FALLBACK: Final = 1.0  # penalty where the positives are too few to choose one
DIGITS: Final = 6  # significant, of weights and scores


RBF: Final = "rbf"
LINEAR: Final = "linear"
FEATURES: Final = (RBF, LINEAR)


class Model(NamedTuple):
    """P(label 1 | embedding) = sigmoid(slope · (features · weights + bias) + offset)."""

    weights: Floats  # (k,)
    bias: float
    slope: float  # Platt's calibration, on out-of-fold logits
    offset: float
    marks: Landmarks | None = None  # that make the features; None: the features are the embedding


class Trained(NamedTuple):
    """A model and what its cross-validation showed."""

    model: Model
    ridge: float
    scores: NDArray[np.float32]  # (n,), out-of-fold, calibrated
    average_precision: float  # of the out-of-fold scores


def folds_of(units: Sequence[str], labels: NDArray[np.bool_], folds: int) -> tuple[NDArray[np.int64], int]:
    """(n,) fold of each sample and how many folds there are; a unit (an image's digest) stays whole.

    Positive and negative units are dealt in turn, in order of digest. There are never more folds than positive or
    negative units; one fold means that nothing could be held out.
    """
    _, unit = np.unique(np.asarray(units), return_inverse=True)
    positive = np.bincount(unit, labels) > 0
    folds = max(1, min(folds, int(positive.sum()), int((~positive).sum())))
    rank = np.where(positive, np.cumsum(positive), np.cumsum(~positive)) - 1
    return rank[unit] % folds, folds


def train(
    embeddings: Floats, labels: NDArray[np.bool_], fold: NDArray[np.int64], folds: int, features: str = RBF
) -> Trained:
    """Train on (n, d) embeddings and (n,) labels of both classes, on one of FEATURES.

    A fold's scores come from a model, and a penalty, chosen without the fold. The kernel's landmarks are chosen without
    looking at labels.
    """
    import torch

    with one_thread():
        marks = rbf.landmarks(embeddings) if features == RBF else None
        rows = embeddings if marks is None else rbf.features(embeddings, marks)
        mean = rows.mean(axis=0)
        scale = float(np.sqrt(np.mean((rows - mean) ** 2))) or 1.0
        x, y = torch.from_numpy((rows - mean) / scale), torch.from_numpy(labels.astype(np.float64))
        ridges = RIDGES if folds > 2 else (FALLBACK,)
        logits, theta = _cross_validate(x, y, fold, folds, ridges)
        chosen, ridge = _choose(logits, labels, fold, folds)
        weights = theta[1:, ridge] / scale
        bias = theta[0, ridge] - mean @ weights
        slope, offset = calibrate(chosen, labels)
    bias, slope, offset = (float(_significant(number)) for number in (bias, slope, offset))
    model = Model(_rounded(weights), bias, slope, offset, marks)
    return Trained(model, ridges[ridge], probability(chosen, model), average_precision(chosen, labels))


def score(embeddings: NDArray[np.floating], model: Model) -> NDArray[np.float32]:
    """(n,) calibrated probabilities of (n, d) embeddings, whose digits do not depend on threads."""
    if model.marks is None:
        logits = np.einsum("nd,d->n", embeddings.astype(np.float64), model.weights)
    else:
        with one_thread():
            logits = rbf.weighted(embeddings, model.marks, model.weights)
    return probability(logits + model.bias, model)


def probability(logits: Floats, model: Model) -> NDArray[np.float32]:
    """Calibrated probabilities of logits, to DIGITS significant digits."""
    from scipy.special import expit

    chance: NDArray[np.float32] = _significant(expit(model.slope * logits + model.offset)).astype(np.float32)
    return chance


def calibrate(logits: Floats, labels: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and offset of Platt (1999), with his targets. A slope is never negative: that would reverse the order."""
    import torch

    positives = int(labels.sum())
    target = np.where(labels, (positives + 1) / (positives + 2), 1 / (len(labels) - positives + 2))
    spread = float(logits.std()) or 1.0
    x, y = torch.from_numpy(logits / spread)[:, None], torch.from_numpy(target)
    mass = torch.full((len(labels), 1), 1 / len(labels), dtype=torch.float64)
    offset, slope = fit(x, y, mass, torch.full((1,), 1e-6, dtype=torch.float64))[:, 0].tolist()
    return max(slope / spread, 1e-3), offset


def average_precision(scores: NDArray[np.floating], labels: NDArray[np.bool_]) -> float:
    """Mean precision at the positives, ties counted together."""
    order = np.argsort(-scores, kind="stable")
    found, hit = scores[order], labels[order]
    last = np.flatnonzero(np.append(found[1:] != found[:-1], True))  # the end of each run of ties
    positives = np.cumsum(hit)[last]
    return float(np.sum(np.diff(positives, prepend=0) * positives / (last + 1)) / max(int(hit.sum()), 1))


def _cross_validate(
    x: Tensor, y: Tensor, fold: NDArray[np.int64], folds: int, ridges: Sequence[float]
) -> tuple[dict[tuple[int, ...], Floats], Floats]:
    """Logits (n, ridges) by the folds that were left out: (), each (f,), each (f, g); and the () models' theta."""
    import torch

    pairs = list(combinations(range(folds), 2)) if folds > 2 else []
    left_out: list[tuple[int, ...]] = [(), *((f,) for f in range(folds) if folds > 1), *pairs]
    seen = torch.stack([torch.from_numpy(~np.isin(fold, out)).to(x.dtype) for out in left_out], dim=1)
    mass, logits, final = balanced(y[:, None], seen), [], []
    for ridge in ridges:
        theta = fit(x, y, mass, torch.full((len(left_out),), ridge, dtype=x.dtype))
        logits.append((x @ theta[1:] + theta[0]).numpy())
        final.append(theta[:, 0].numpy())
    stacked = np.stack(logits, axis=2)  # (n, left out, ridges)
    return {out: stacked[:, i] for i, out in enumerate(left_out)}, np.stack(final, axis=1)


def balanced(y: Tensor, seen: Tensor) -> Tensor:
    """(n, B) mass of the samples that each model sees: half for either class."""
    positive, negative = seen * y, seen * (1 - y)
    return (positive / positive.sum(dim=0) + negative / negative.sum(dim=0)) / 2


def _choose(
    logits: dict[tuple[int, ...], Floats], labels: NDArray[np.bool_], fold: NDArray[np.int64], folds: int
) -> tuple[Floats, int]:
    """(n,) out-of-fold logits, each of the penalty that was best without its fold; and the final model's penalty."""
    if folds == 1:
        return logits[()][:, 0], 0
    chosen = np.empty(len(fold))
    for f in range(folds):
        inner = [(g, logits[min(f, g), max(f, g)]) for g in range(folds) if g != f] if folds > 2 else []
        ridge = _best(inner, labels, fold) if inner else 0
        chosen[fold == f] = logits[f,][fold == f, ridge]
    return chosen, _best([(g, logits[g,]) for g in range(folds)], labels, fold)


def _best(held_out: Sequence[tuple[int, Floats]], labels: NDArray[np.bool_], fold: NDArray[np.int64]) -> int:
    """The penalty of least class-balanced logarithmic loss on the folds held out, each with its logits (n, ridges)."""
    total = 0.0 + np.zeros(held_out[0][1].shape[1])
    for truth in (False, True):
        rows = [(logits[(fold == g) & (labels == truth)]) for g, logits in held_out]
        total += np.mean(np.logaddexp(0, np.concatenate(rows) * (-1 if truth else 1)), axis=0)
    return int(np.argmin(_significant(total)))


def _significant(values: Any) -> Any:
    """Rounded to DIGITS significant digits."""
    values = np.asarray(values, dtype=np.float64)
    size = np.floor(np.log10(np.abs(values), out=np.zeros_like(values), where=values != 0))
    unit = 10.0 ** (DIGITS - 1 - np.clip(size, -290, 290))
    return np.round(values * unit) / unit


def _rounded(values: Floats) -> Floats:
    """Rounded to DIGITS digits of the largest: small weights carry no more than the sum's precision."""
    largest = float(np.abs(values).max(initial=0))
    return np.round(values, DIGITS - 1 - int(np.floor(np.log10(largest)))) if largest else values
