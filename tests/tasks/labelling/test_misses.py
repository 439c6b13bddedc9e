"""Cross-validation by the hundred against scikit-learn's fits, and the positives that it finds to be missed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from tasks.classifying.classifier import FALLBACK
from tasks.labelling.misses import Fits, cross_validate, halves, miss_rates

D = 8


def two_classes(n: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(n, D) embeddings, (n,) labels: the first quarter positive, shifted along the first axis."""
    x = np.random.default_rng(seed).normal(size=(n, D))
    labels = np.arange(n) < n // 4
    x[labels, 0] += 3
    return x, labels


def test_scores_are_those_of_scikit_learns_fits_one_after_another() -> None:
    x, labels = two_classes()
    fits = cross_validate(x, labels, seed=3, fits=20)
    features = (x - x.mean(axis=0)) / np.sqrt(np.mean((x - x.mean(axis=0)) ** 2))
    for i, seen in enumerate(fits.seen.T):
        mass = np.where(labels, 0.5 / (labels & seen).sum(), 0.5 / (~labels & seen).sum())[seen]
        model = LogisticRegression(C=1 / FALLBACK, tol=1e-10, max_iter=1000)
        model.fit(features[seen], labels[seen], sample_weight=mass)
        assert expit(fits.logits[:, i]) == pytest.approx(model.predict_proba(features)[:, 1], abs=1e-3)


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=2, max_size=40).filter(lambda labels: any(labels) and not all(labels)))
def test_each_half_holds_half_of_either_class_and_one_sample_of_it_at_least(labels: list[bool]) -> None:
    known = np.array(labels)
    seen = halves(known, 7, np.random.default_rng(0))
    assert seen.shape == (len(labels), 7)
    for value in (False, True):
        assert (seen[known == value].sum(axis=0) == max(1, (known == value).sum() // 2)).all()


def test_every_sample_is_left_out_of_some_models_and_seen_by_others() -> None:
    _, labels = two_classes()
    share = halves(labels, 200, np.random.default_rng(0)).mean(axis=1)
    assert share.min() > 0.3 and share.max() < 0.7


def test_a_positive_among_negatives_is_missed_most() -> None:
    x, labels = two_classes()
    labels[100] = True  # mislabelled, or alone of its kind
    rates = miss_rates(cross_validate(x, labels, seed=0))
    assert rates[100] == rates[labels].max() > 0.9
    assert np.median(rates[labels]) < 0.1


def test_the_seed_decides_the_halves() -> None:
    x, labels = two_classes()
    first, again, other = (cross_validate(x, labels, seed, fits=5) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.seen, again.seen)
    np.testing.assert_array_equal(first.logits, again.logits)
    assert (first.seen != other.seen).any()


def test_models_trained_on_a_sample_say_nothing_of_it() -> None:
    logits = np.array([[-1.0, -1.0, 1.0], [-1.0, 1.0, 1.0], [-1.0, -1.0, -1.0]])
    seen = np.array([[True, False, False], [True, False, False], [True, True, True]])
    assert miss_rates(Fits(logits, seen)).tolist() == [0.5, 0.0, 0.0]
