"""Labelled samples that annotators, or near-duplicates of each other, disagree about: they return to the queue."""

from __future__ import annotations

from collections.abc import Mapping, Set

import numpy as np
from numpy.typing import NDArray

from tasks.classifying.scoring import Labelled
from tasks.labels.label_log import Standing


def disputed(
    standing: Mapping[str, Standing],
    labelled: Labelled,
    vectors: NDArray[np.floating],
    threshold: float,
    asked: Set[str] = frozenset(),
) -> list[str]:
    """Uids in order: those that annotators disagree about, and pairs of opposite labels with cosine ≥ threshold.

    vectors: (n, d), unit norm, of the labelled samples. asked: uids that returned to a queue before; of these only
    what annotators disagree about returns again, for images that differ in little may rightly differ in label.
    O(positives · n · d).
    """
    found = {uid for uid, one in standing.items() if one.disagree}
    label = labelled.label
    positive, negative = np.flatnonzero(label), np.flatnonzero(~label)
    near = vectors[positive].astype(np.float32) @ vectors[negative].astype(np.float32).T >= threshold
    rows = np.concatenate([positive[near.any(axis=1)], negative[near.any(axis=0)]])
    settled = asked | {uid for uid, one in standing.items() if one.adjudicated}
    found |= {labelled.uid[row] for row in rows.tolist()} - settled
    return sorted(found)
