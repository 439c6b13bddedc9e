"""Batched logistic regression against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from tasks.classifying.logistic import fit


def samples(n: int = 300, d: int = 20, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * rng.uniform(0.1, 3, d) + rng.normal(size=d)
    return x, (x[:, 0] + rng.normal(size=n) > 1.5).astype(float)


@pytest.mark.parametrize("ridge", [1e-3, 1e-1, 10])
def test_coefficients_are_scikit_learns(ridge: float) -> None:
    x, y = samples()
    mass = np.where(y == 1, 0.5 / y.sum(), 0.5 / (1 - y).sum())
    oracle = LogisticRegression(C=1 / ridge, tol=1e-12, max_iter=10_000).fit(x, y, sample_weight=mass)
    ours = fit(*map(torch.from_numpy, (x, y, mass[:, None], np.array([ridge]))))[:, 0].numpy()
    assert ours[1:] == pytest.approx(oracle.coef_[0], abs=1e-4)
    assert ours[0] == pytest.approx(oracle.intercept_[0], abs=1e-4)


def test_a_batch_gives_what_its_models_give_alone() -> None:
    x, y = (torch.from_numpy(a) for a in samples())
    mass = torch.rand(300, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mass[:100, 0] = 0
    mass = mass / mass.sum(dim=0)
    ridge = torch.tensor([1e-2, 1e-1, 1.0, 10.0], dtype=torch.float64)
    together = fit(x, y, mass, ridge)
    alone = [fit(x, y, mass[:, [i]], ridge[[i]]) for i in range(4)]
    torch.testing.assert_close(together, torch.cat(alone, dim=1), atol=1e-5, rtol=0)


def test_the_gradient_is_zero_where_more_dimensions_than_samples_and_classes_are_apart() -> None:
    x, y = (torch.from_numpy(a) for a in samples(30, 64))
    mass, ridge = torch.full((30, 1), 1 / 30, dtype=torch.float64), torch.tensor([1e-2], dtype=torch.float64)
    theta = fit(x, y, mass, ridge)
    miss = mass[:, 0] * (torch.sigmoid(x @ theta[1:, 0] + theta[0, 0]) - y)
    assert float((x.T @ miss + ridge * theta[1:, 0]).abs().max()) < 1e-6
    assert abs(float(miss.sum())) < 1e-6
