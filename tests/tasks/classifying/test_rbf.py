"""Kernel features: inner products are the kernel's, whatever the blocks, and few samples suffice."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.classifying import rbf


def rows(n: int, d: int = 16, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_inner_products_of_features_are_the_kernel_among_landmarks() -> None:
    x = rows(150)
    marks = rbf.landmarks(x)
    made = rbf.features(x, marks)
    kernel = np.exp(-marks.gamma * ((x[:, None] - x[None]) ** 2).sum(axis=2))
    assert made @ made.T == pytest.approx(kernel, abs=2e-2)


def test_the_width_is_the_median_distance() -> None:
    x = rows(100)
    distance = ((x[:, None] - x[None]) ** 2).sum(axis=2)[np.triu_indices(100, 1)]
    assert rbf.landmarks(x).gamma == pytest.approx(0.5 / np.median(distance), rel=0.01)


def test_landmarks_are_few_and_the_same_each_time() -> None:
    one, other = (rbf.landmarks(rows(1000)) for _ in range(2))
    assert len(one.points) == rbf.POINTS and one.points.tobytes() == other.points.tobytes()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, marks = rows(100), rbf.landmarks(rows(50))
    whole = rbf.features(x.astype(np.float16), marks)
    monkeypatch.setattr(rbf, "BLOCK", 7)
    assert rbf.features(x.astype(np.float16), marks) == pytest.approx(whole, abs=1e-12)


def test_copies_and_two_samples_have_features_too() -> None:
    assert np.isfinite(rbf.features(rows(4), rbf.landmarks(np.repeat(rows(1), 5, axis=0)))).all()
    assert np.isfinite(rbf.features(rows(4), rbf.landmarks(rows(2)))).all()
