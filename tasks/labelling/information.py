"""Whose label would tell a category's model most: a greedy D-optimal design for logistic regression.

The samples nearest to even odds are often of one kind, and asked together they tell one thing many times. A sample's
worth is p(1 − p) · variance of its logit under Laplace's approximation; the variance of all shrinks by each sample
taken, as if it were labelled (MacKay, Information-based objective functions, 1992).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.classifying import rbf
from tasks.threads import one_thread

PRIOR: Final = 0.1  # precision of the weights before any label, features scaled to a mean variance of one
SURE: Final = 0.01  # and 1 − SURE: scores beyond count as these

Floats = NDArray[np.float64]


class Known(NamedTuple):
    """What a model was trained on: n samples of both classes."""

    embeddings: Floats  # (n, d)
    label: NDArray[np.bool_]  # (n,)
    scores: NDArray[np.float32]  # (n,), the model's probabilities


def most_informative(known: Known, embeddings: Floats, scores: NDArray[np.float32], most: int) -> list[int]:
    """Rows of (m, d) embeddings with their (m,) probabilities, the most informative first, each given those before.

    At most `most`, on the features that the classifier makes of them (classifying/rbf.py).
    """
    with one_thread():
        marks = rbf.landmarks(known.embeddings)
        seen, asked = (rbf.features(rows, marks) for rows in (known.embeddings, embeddings))
    mean = seen.mean(axis=0)
    scale = float(np.sqrt(np.mean((seen - mean) ** 2))) or 1.0
    x, z = (_with_intercept((rows - mean) / scale) for rows in (seen, asked))
    label = known.label
    mass = np.where(label, 0.5 / label.sum(), 0.5 / (~label).sum())  # training balances the classes
    curvature = (x * (mass * _information(known.scores))[:, None]).T @ x
    covariance = np.linalg.inv(curvature + PRIOR * np.eye(x.shape[1]))
    return greedy(z, _information(scores), covariance, 1 / len(x), most)


def greedy(x: Floats, worth: Floats, covariance: Floats, mass: float, most: int) -> list[int]:
    """Rows of (m, k) x by worth · variance; each row taken adds its information, times `mass`, to the inverse."""
    variance = np.einsum("mk,mk->m", x @ covariance, x)
    left, order = np.ones(len(x), np.bool_), []
    for _ in range(min(most, len(x))):
        best = int(np.argmax(np.where(left, worth * variance, -np.inf)))
        left[best] = False
        order.append(best)
        shift = covariance @ x[best]
        shrink = mass * worth[best] / (1 + mass * worth[best] * variance[best])  # Sherman and Morrison
        variance = variance - shrink * (x @ shift) ** 2
        covariance = covariance - shrink * np.outer(shift, shift)
    return order


def _with_intercept(x: Floats) -> Floats:
    """(n, 1 + k), a column of ones first."""
    return np.hstack([np.ones((len(x), 1)), x])


def _information(scores: NDArray[np.float32]) -> Floats:
    """(n,) p(1 − p) of a label, kept from vanishing where the model is sure."""
    p = np.clip(scores.astype(np.float64), SURE, 1 - SURE)
    return p * (1 - p)
