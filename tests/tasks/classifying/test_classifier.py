"""The classifier: folds, out-of-fold scores, calibration, and the same digits everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from tasks.classifying import classifier, rbf
from tasks.classifying.classifier import LINEAR, RBF
from tests.tasks.categorised import belongs, embeddings


def trained(
    apart: float = 1.0, rows: int = 400, seed: int = 0, features: str = RBF
) -> tuple[np.ndarray, np.ndarray, classifier.Trained]:
    x, y = embeddings(rows, apart, seed).astype(np.float64), belongs(rows)
    fold, folds = classifier.folds_of([str(i) for i in range(rows)], y, 5)
    return x, y, classifier.train(x, y, fold, folds, features)


@pytest.mark.parametrize("features", [RBF, LINEAR])
def test_scores_are_scikit_learns_to_three_digits(features: str) -> None:
    x, y, ours = trained(features=features)
    rows = x if ours.model.marks is None else rbf.features(x, ours.model.marks)
    z = (rows - rows.mean(axis=0)) / np.sqrt(np.mean((rows - rows.mean(axis=0)) ** 2))
    mass = np.where(y, 0.5 / y.sum(), 0.5 / (~y).sum())
    oracle = LogisticRegression(C=1 / ours.ridge, tol=1e-12, max_iter=10_000).fit(z, y, sample_weight=mass)
    logits = oracle.decision_function(z)
    expected = 1 / (1 + np.exp(-(ours.model.slope * logits + ours.model.offset)))
    assert classifier.score(x.astype(np.float64), ours.model) == pytest.approx(expected, abs=1e-3)


def test_a_category_that_can_be_told_is_told_on_samples_not_seen() -> None:
    _, y, ours = trained(apart=2.0)
    assert ours.average_precision > 0.99
    assert ours.scores[y].min() > np.median(ours.scores[~y])


def test_out_of_fold_scores_do_not_know_the_labels() -> None:
    """Labels without any relation to the embedding: fitted scores know them, out-of-fold scores must not."""
    x = embeddings(120, 0.0).astype(np.float64)
    x = np.hstack([x, np.random.default_rng(1).normal(size=(120, 60))])
    precision, fitted = [], []
    for seed in range(5):
        y = np.random.default_rng(seed).permutation(belongs(120))
        fold, folds = classifier.folds_of([str(i) for i in range(120)], y, 5)
        ours = classifier.train(x, y, fold, folds)
        precision.append(ours.average_precision)
        fitted.append(classifier.average_precision(classifier.score(x, ours.model), y))
    assert np.mean(precision) < 0.4 < 0.5 < np.mean(fitted)  # prevalence is 0.25


def test_scores_are_calibrated_on_samples_like_those_labelled() -> None:
    _, _, ours = trained(apart=0.4, rows=2000)
    fresh, truth = embeddings(4000, 0.4, seed=9).astype(np.float64), belongs(4000)
    scores = classifier.score(fresh, ours.model)
    for low, high in ((0.0, 0.15), (0.15, 0.4), (0.4, 1.0)):
        inside = (scores >= low) & (scores < high)
        assert inside.sum() > 100
        assert truth[inside].mean() == pytest.approx(scores[inside].mean(), abs=0.06)


def test_a_kernel_tells_what_no_plane_can() -> None:
    """Positives of two opposite kinds with the negatives between them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6))
    y = np.arange(400) % 4 == 0
    x[:, 0] = rng.normal(size=400) * 0.3 + np.where(y, np.where(np.arange(400) % 8 == 0, 2, -2), 0)
    fold, folds = classifier.folds_of([str(i) for i in range(400)], y, 5)
    kernel, plane = (classifier.train(x, y, fold, folds, features) for features in (RBF, LINEAR))
    assert plane.average_precision < 0.5 and kernel.average_precision > 0.9
    assert plane.model.marks is None and kernel.model.marks is not None


@pytest.mark.parametrize("features", [RBF, LINEAR])
def test_the_number_of_threads_changes_no_digit(features: str) -> None:
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            x, _, ours = trained(apart=0.3, features=features)
            assert torch.get_num_threads() == threads
            results.append((ours, classifier.score(x, ours.model)))
    finally:
        torch.set_num_threads(before)
    (one, first), (two, second) = results
    assert one.model.weights.tobytes() == two.model.weights.tobytes() and one.model[1:4] == two.model[1:4]
    assert one.scores.tobytes() == two.scores.tobytes() and first.tobytes() == second.tobytes()


def test_the_order_of_the_samples_changes_nothing_but_their_order() -> None:
    x, y, ours = trained(apart=0.5, rows=rbf.POINTS)  # all of them are landmarks
    order = np.random.default_rng(0).permutation(len(y))
    fold, folds = classifier.folds_of([str(i) for i in order], y[order], 5)
    again = classifier.train(x[order], y[order], fold, folds)
    assert again.scores == pytest.approx(ours.scores[order], abs=1e-5)


def test_weights_and_scores_have_six_digits() -> None:
    _, _, ours = trained()
    unit = 10 ** (5 - np.floor(np.log10(np.abs(ours.model.weights).max())))  # the last digit of the largest
    assert ours.model.weights * unit == pytest.approx(np.round(ours.model.weights * unit), abs=1e-6)
    assert np.array_equal(np.array([np.float32(f"{s:.6g}") for s in ours.scores]), ours.scores)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=2, max_size=60),
    st.integers(2, 8),
)
def test_an_image_and_its_copies_are_in_one_fold_and_both_classes_in_each(
    samples: list[tuple[int, bool]], folds: int
) -> None:
    units, labels = [str(unit) for unit, _ in samples], np.array([label for _, label in samples])
    fold, used = classifier.folds_of(units, labels, folds)
    assert len({(unit, f) for unit, f in zip(units, fold, strict=True)}) == len(set(units))
    assert 1 <= used <= folds and set(fold) <= set(range(used))
    if used > 1:
        assert all(labels[fold == f].any() for f in range(used))
        assert all((~labels[fold == f]).any() for f in range(used))


@pytest.mark.parametrize("positives", [1, 2, 3])
def test_very_few_positives_still_train(positives: int) -> None:
    rows = 40
    x, y = embeddings(rows, 2.0).astype(np.float64), np.arange(rows) % 4 == 0
    chosen = np.flatnonzero(~y | (np.cumsum(y) <= positives))
    fold, folds = classifier.folds_of([str(i) for i in chosen], y[chosen], 5)
    ours = classifier.train(x[chosen], y[chosen], fold, folds)
    assert folds == positives
    assert np.isfinite(ours.scores).all() and ours.model.slope > 0


def test_calibration_keeps_the_order_even_of_scores_that_are_worse_than_chance() -> None:
    logits = np.linspace(-2, 2, 50)
    slope, offset = classifier.calibrate(logits, logits < 0)
    assert slope > 0 and np.isfinite(offset)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40))
def test_average_precision_is_scikit_learns(samples: list[tuple[int, bool]]) -> None:
    scores, labels = np.array([s for s, _ in samples], float), np.array([label for _, label in samples])
    expected = average_precision_score(labels, scores) if labels.any() else 0
    assert classifier.average_precision(scores, labels) == pytest.approx(expected)
