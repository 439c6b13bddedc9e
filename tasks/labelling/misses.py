"""Which labelled positives a category's models miss: hundreds of fits on random halves of the labels, all at once.

The article's second arm cross-validates hundreds of times and looks for labelled positives that the models tend to call
negative: what is near them in the pool is likely to be missed too. METHODS.md, section 1.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.classifying.classifier import FALLBACK, balanced
from tasks.classifying.logistic import fit

FITS: Final = 200

Floats = NDArray[np.float64]


class Fits(NamedTuple):
    """What B models say of n samples."""

    logits: Floats  # (n, B)
    seen: NDArray[np.bool_]  # (n, B), whether the model was trained on the sample


def cross_validate(
    embeddings: NDArray[np.floating], labels: NDArray[np.bool_], seed: int, fits: int = FITS, ridge: float = FALLBACK
) -> Fits:
    """Fit on random halves of the (n, d) samples, each with half of either class, one sample of it at least.

    Linear models on the embedding, scaled and with classes balanced as in training, in one minimisation.
    """
    import torch

    rows = np.asarray(embeddings, dtype=np.float64)
    x = rows - rows.mean(axis=0)
    x /= float(np.sqrt(np.mean(x**2))) or 1.0
    seen = halves(labels, fits, np.random.default_rng(seed))
    features, y = torch.from_numpy(x), torch.from_numpy(labels.astype(np.float64))
    mass = balanced(y[:, None], torch.from_numpy(seen.astype(np.float64)))
    theta = fit(features, y, mass, torch.full((fits,), ridge, dtype=torch.float64))
    return Fits((features @ theta[1:] + theta[0]).numpy(), seen)


def halves(labels: NDArray[np.bool_], fits: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(n, fits) random halves, each of either class."""
    seen = np.zeros((len(labels), fits), dtype=np.bool_)
    for value in (False, True):
        rows = np.flatnonzero(labels == value)
        rank = rng.random((len(rows), fits)).argsort(axis=0).argsort(axis=0)
        seen[rows] = rank < max(1, len(rows) // 2)
    return seen


def miss_rates(fits: Fits) -> Floats:
    """(n,) share of the models not trained on a sample that give it less than even odds; 0 where all were."""
    unseen = ~fits.seen
    missed: Floats = ((fits.logits < 0) & unseen).sum(axis=1) / np.maximum(unseen.sum(axis=1), 1)
    return missed
