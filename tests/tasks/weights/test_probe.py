"""The article's probe."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.weights import features, probe
from tests.tasks.weights.test_features import embeddings


def filtered_pool(values: np.ndarray, seed: int = 0) -> features.Pool:
    """A pool of which more was removed the larger the first coordinate."""
    rng = np.random.default_rng(seed)
    first = values[:, 0].astype(np.float64)
    kept = rng.random(len(values)) > 0.5 / (1 + np.exp(-3 * (first - first.mean()) / first.std()))
    return features.Pool(kept, np.ones(len(values), dtype=bool), np.arange(len(values)), np.ones(len(values)))


def test_the_probe_is_the_logistic_regression_that_scikit_learn_finds() -> None:
    from sklearn.linear_model import LogisticRegression

    values = embeddings(600)
    pool = filtered_pool(values)
    fold = probe.folds_of(pool, 3, 0)
    trained = probe.train([values[:200], values[200:]], pool, fold, 3)
    x, seen = values.astype(np.float64) - trained.mean, fold != 0
    rows = np.concatenate([x[seen], x[seen & pool.kept]])
    label = np.repeat([1, 0], [seen.sum(), (seen & pool.kept).sum()])
    mass = np.where(label == 1, 0.5 / seen.sum(), 0.5 / (seen & pool.kept).sum())
    heaviest = np.max([_mass(pool, fold != f) for f in range(3)], axis=0)
    penalty = probe.WEAKNESS * (heaviest * (x**2).sum(axis=1)).sum() / 4 / x.shape[1]
    expected = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=10000).fit(rows, label, mass)
    assert trained.coefficients[1:, 0] == pytest.approx(expected.coef_[0], abs=1e-4)
    assert trained.coefficients[0, 0] == pytest.approx(expected.intercept_[0], abs=1e-4)


def _mass(pool: features.Pool, seen: np.ndarray) -> np.ndarray:
    kept = seen & pool.kept
    return 0.5 * seen / seen.sum() + 0.5 * kept / kept.sum()


def test_samples_like_the_removed_ones_weigh_more() -> None:
    values = embeddings(2000)
    pool = filtered_pool(values)
    fold = probe.folds_of(pool, 5, 0)
    weights = probe.weigh([values], probe.train([values], pool, fold, 5), fold)[pool.kept]
    first = values[pool.kept, 0]
    assert weights[first > np.median(first)].mean() > 1.1 * weights[first < np.median(first)].mean()


def test_near_duplicates_share_a_fold_and_what_cannot_be_used_has_none() -> None:
    unit, share = np.array([0, 0, 1, 2, -1, 3, 4]), np.array([0.5, 0.5, 1, 1, 0, 1, 1])
    fold = probe.folds_of(features.Pool(unit >= 0, unit >= 0, unit, share), 3, 1)
    assert fold[0] == fold[1]
    assert fold[4] == -1
    assert set(fold[unit >= 0]) == {0, 1, 2}
