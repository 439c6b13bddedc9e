"""Which coarse features a filter depends on: forward selection under a bound on false discoveries.

A model with every feature is too noisy to weigh by: the error of a weight grows with the coefficients that are
estimated, and most are nothing. Candidates are components and words, squares of directions along which the keep bit is
curved (principal Hessian directions; Li 1992), and pairs of words that act together (score tests; Rao 1948). They enter
one at a time while the next stands out from chance (Gavrilov, Benjamini and Sarkar 2009). The keep bit alone chooses.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.weights import coarse, keep_model
from tasks.weights.coarse import Coarse, Gathered, Ints
from tasks.weights.features import Floats, dot
from tasks.weights.keep_model import RIDGE, Start, Target

SAMPLES = 131_072  # that choose: bounds the memory, and finds what matters
LEADING = 16  # components among which directions are sought
EDGE = 2.0  # times √LEADING: curvatures of pure noise end at √2 times it
FALSE = 0.1  # share of false discoveries
MOST_PAIRS = 32


class Choice(NamedTuple):
    """The features that V variants use, and where their fits begin."""

    coarse: Coarse  # of the features that some variant uses
    used: NDArray[np.bool_]  # (V, p)
    start: Start


class _Data(NamedTuple):
    """Samples that choose."""

    x: Floats  # (m, 1 + p) over their scales, a one in front
    target: Target


def choose(full: Coarse, target: Target, held: NDArray[np.bool_], seed: int) -> Choice:
    """Features for each of V variants, which see none of their (V, t) held words, neither as features nor to choose.

    `full` has every component and word.
    """
    rows, shift = _drawn(target, seed)
    some = Target(target.kept[rows], target.mass[rows])
    if some.kept.all() or not some.kept.any():
        return _nothing(full, len(held))
    full, data = _scaled(full, some, rows)
    no_words = ~full.effects.looks_at(np.ones(full.words.shape[1], dtype=bool))
    allowed = np.array([no_words, *(~full.effects.looks_at(one) for one in held)])
    theta = _fitted(data, allowed)
    directions = _directions(data, full, theta[:, 0])
    pairs = [_pairs(data, full, one, use) for one, use in zip(theta[:, 1:].T, allowed[1:], strict=True)]
    union = np.unique(np.concatenate(pairs), axis=0)
    more = full._replace(effects=full.effects._replace(directions=directions, pairs=union))
    more, data = _scaled(more._replace(scale=np.ones(1 + more.effects.width)), some, rows)
    candidates = np.array([~more.effects.looks_at(one) for one in held])
    choice = _pruned(more, data, candidates)
    if not shift:
        return choice
    coefficients = choice.start.coefficients
    coefficients[0] -= shift
    return choice._replace(start=Start(coefficients, None))


def _drawn(target: Target, seed: int) -> tuple[Ints, float]:
    """Samples that choose, in order, and what their draw adds to the log odds of being kept.

    Where there are too many, as many of the removed as of the kept: that moves nothing but the intercept (Prentice and
    Pyke 1979), and finds most where little was removed.
    """
    kept, lost = (np.flatnonzero((target.mass > 0) & side) for side in (target.kept, ~target.kept))
    if len(kept) + len(lost) <= SAMPLES:
        return np.flatnonzero(target.mass > 0), 0.0
    of_lost = min(len(lost), max(SAMPLES // 2, SAMPLES - len(kept)))
    draw = np.random.default_rng(seed)
    chosen = [draw.choice(kept, SAMPLES - of_lost, replace=False), draw.choice(lost, of_lost, replace=False)]
    odds = len(chosen[0]) / max(len(kept), 1) / (max(of_lost, 1) / max(len(lost), 1))
    return np.sort(np.concatenate(chosen)), math.log(odds) if odds else 0.0


def _nothing(full: Coarse, variants: int) -> Choice:
    """No feature, where all or nothing was kept."""
    none = full.effects.select(np.zeros(full.effects.width, dtype=bool))
    start = Start(np.zeros((1, variants)), None)
    return Choice(full._replace(effects=none, scale=np.ones(1)), np.zeros((variants, 0), dtype=bool), start)


def _scaled(features: Coarse, target: Target, rows: Ints) -> tuple[Coarse, _Data]:
    """Features over their standard deviations."""
    x = coarse.gather(features, rows).x
    scale = np.append(1.0, coarse.spread(x[:, 1:], target.mass))
    x /= scale
    return features._replace(scale=scale), _Data(x, target)


def _fitted(data: _Data, used: NDArray[np.bool_]) -> Floats:
    """(1 + p, V) coefficients of each variant."""
    return keep_model.train(Gathered(data.x), data.target, None, used).coefficients


def _residual(data: _Data, theta: Floats) -> tuple[Floats, Floats]:
    """(m,) what a model leaves of the keep bit, and (m,) its variance under the model."""
    chance = 1 / (1 + np.exp(-dot(data.x, theta[:, None])[:, 0]))
    return data.target.mass * (data.target.kept - chance), data.target.mass * chance * (1 - chance)


def _directions(data: _Data, full: Coarse, theta: Floats) -> Floats:
    """(k, q) directions among the leading components along which the residual of a model without words is curved."""
    k = full.found.basis.shape[1]
    lead = min(LEADING, k)
    residual, variance = _residual(data, theta)
    s = data.x[:, 1 : 1 + lead]
    values, vectors = np.linalg.eigh(dot(s.T, s * residual[:, None]) / math.sqrt(2 * variance.sum()))
    curved = np.flatnonzero(np.abs(values) > EDGE * math.sqrt(lead)) if lead else np.zeros(0, np.int64)
    out = np.zeros((k, len(curved)))
    out[:lead] = vectors[:, curved] / full.scale[1 : 1 + lead, None]
    return out * np.sign(out[np.abs(out).argmax(axis=0), np.arange(len(curved))]) if k else out


def _pairs(data: _Data, full: Coarse, theta: Floats, used: NDArray[np.bool_]) -> Ints:
    """(m, 2) pairs of used words whose score test finds more than the words alone (Benjamini and Hochberg 1995)."""
    from scipy.special import ndtr

    first = len(full.effects.components)
    words = np.flatnonzero(used[first:])
    residual, variance = _residual(data, theta)
    w = data.x[:, 1 + first + words].astype(np.float32)
    w -= (data.target.mass @ w / data.target.mass.sum()).astype(np.float32)
    a, b = np.triu_indices(len(words), 1)
    if not len(a):
        return np.zeros((0, 2), np.int64)
    score = _product(w, residual)[a, b]
    information = _product(w * w, variance)[a, b]
    p = 2 * ndtr(-np.abs(score) / np.sqrt(np.maximum(information, 1e-300)))
    order = np.argsort(p, kind="stable")
    passed = np.flatnonzero(p[order] <= FALSE * np.arange(1, len(p) + 1) / len(p))
    chosen = order[: min(passed[-1] + 1, MOST_PAIRS)] if len(passed) else order[:0]
    return np.column_stack([words[a[chosen]], words[b[chosen]]])


def _product(w: NDArray[np.float32], mass: Floats) -> Floats:
    """(m, t) values, (m,) masses → (t, t) sums of mass · value · value."""
    import torch

    values = torch.from_numpy(w)
    sums: Floats = (values.T @ (values * torch.from_numpy(mass).float()[:, None])).double().numpy()
    return sums


def _pruned(features: Coarse, data: _Data, candidates: NDArray[np.bool_]) -> Choice:
    """Of each variant's candidates those that stand out, and the fits that are expected with these."""
    theta = _fitted(data, candidates)
    _, variance = _residual(data, theta[:, 0])
    information = dot(data.x.T, data.x * variance[:, None])
    used, starts = np.zeros_like(candidates), np.zeros_like(theta)
    for i, one in enumerate(candidates):
        at = np.append(0, 1 + np.flatnonzero(one))
        matrix, best = information[np.ix_(at, at)], theta[at, i]
        slope = matrix @ best + np.append(0.0, np.full(len(at) - 1, RIDGE)) * best
        chosen = at[forward(matrix, slope, FALSE)]
        used[i, chosen[1:] - 1] = True
        penalised = information[np.ix_(chosen, chosen)] + np.diag(np.append(0.0, np.full(len(chosen) - 1, RIDGE)))
        starts[chosen, i] = np.linalg.solve(penalised, slope[np.searchsorted(at, chosen)])
    some: NDArray[np.bool_] = np.any(used, axis=0)
    kept = np.append(0, 1 + np.flatnonzero(some))
    left = features._replace(effects=features.effects.select(some), scale=features.scale[kept])
    start = Start(starts[kept], information[np.ix_(kept, kept)] / data.target.mass.sum())
    return Choice(left, used[:, some], start)


def forward(information: Floats, slope: Floats, false: float) -> Ints:
    """Places, in rising order, of what enters a quadratic model: (1 + p, 1 + p) curvature and (1 + p,) slope at 0.

    The first, the intercept, is in it. Then the feature enters that adds most to the likelihood, until it looks like
    chance: the k-th of p enters while its p-value is at most false · k / (p + 1 − k · (1 − false)).
    """
    from scipy.special import ndtr

    left, rest = information.copy(), slope.copy()
    full, count = np.diag(information).copy(), len(slope) - 1
    chosen, best = [], 0
    for k in range(1, count + 2):
        chosen.append(best)
        row, rest_best = left[best].copy(), rest[best]
        rest, left = rest - row * rest_best / row[best], left - np.outer(row, row) / row[best]
        varies = np.diag(left) > 1e-6 * full  # what the chosen ones determine adds nothing
        varies[chosen] = False
        gain = np.where(varies, rest**2 / np.where(varies, np.diag(left), 1.0), 0.0)
        best = int(gain.argmax())
        if 2 * ndtr(-math.sqrt(gain[best])) > false * k / (count + 1 - k * (1 - false)) or gain[best] == 0:
            break
    return np.array(sorted(chosen), dtype=np.int64)
