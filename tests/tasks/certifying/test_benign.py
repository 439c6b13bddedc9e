"""What of the removed is benign: exact where all is labelled, an interval where labels were drawn, else a guess."""

from __future__ import annotations

import numpy as np

from tasks.certifying.benign import DRAWN, LABELLED, SCORES, Drawn, benign_share
from tasks.classifying import certify, removal


def judged(flagged: int, labels: dict[int, bool], rows: int = 1000, score: float = 0.75) -> removal.Judged:
    """The first `flagged` rows reach the threshold."""
    scores = np.where(np.arange(rows) < flagged, score, 0.1).astype(np.float32)
    positive, negative = np.zeros((2, rows), bool)
    for row, label in labels.items():
        positive[row], negative[row] = label, not label
    return removal.Judged(
        "c", 0.95, 0.5, certify.estimate(0, 0, 0.95), np.zeros(0, np.float32), scores, positive, negative
    )


EVERY = np.ones(1000, bool)


def test_nothing_removed_has_no_share() -> None:
    assert benign_share(judged(0, {}), EVERY, None).estimate is None


def test_what_people_labelled_positive_is_not_benign() -> None:
    found = benign_share(judged(2, {0: True, 1: True, 5: True}), EVERY, None)
    assert (found.estimate, found.lower, found.upper, found.basis) == (0, 0, 0, LABELLED)


def test_without_drawn_labels_the_scores_speak_and_there_is_no_interval() -> None:
    found = benign_share(judged(3, {0: True}), EVERY, None)
    assert (found.estimate, found.lower, found.upper, found.basis) == (round(2 * 0.25 / 3, 6), None, None, SCORES)


def test_drawn_labels_speak_for_the_flagged_samples_that_nobody_had_labelled() -> None:
    labels = {row: row < 6 for row in range(10)}  # six of ten drawn are positive
    found = benign_share(judged(100, labels), EVERY, Drawn(np.arange(10), np.arange(10) >= 6))
    assert found.n == 10 and found.basis == DRAWN
    assert found.estimate == round((0.4 * 100 - 4) / 96, 6)  # the four benign ones that were drawn are kept now
    assert found.lower is not None and found.upper is not None and 0 <= found.lower < 0.375 < found.upper <= 1


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """95% in each of 400 draws of 60 from 500 flagged; fewer than 365 have a chance below 0.1%."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(400):
        truth = np.zeros(1000, bool)
        truth[rng.choice(500, 180, replace=False)] = True  # positives among the flagged
        rows = rng.integers(0, 500, 60)
        one = judged(500, {int(row): bool(truth[row]) for row in rows})
        found = benign_share(one, EVERY, Drawn(rows, ~truth[rows]))
        real = (one.removed & ~truth).sum() / one.removed.sum()
        assert found.lower is not None and found.upper is not None
        held += found.lower - 1e-6 <= real <= found.upper + 1e-6
    assert held >= 365
