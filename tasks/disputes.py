"""Labelled samples that annotators, or near-duplicates of each other, disagree about: they return to the queue."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tasks.label_log import Standing
from tasks.scoring import Labelled


def disputed(
    standing: Mapping[str, Standing], labelled: Labelled, vectors: NDArray[np.floating], threshold: float
) -> list[str]:
    """Uids in order: those that annotators disagree about, and pairs of opposite labels with cosine ≥ threshold.

    vectors: (n, d), unit norm, of the labelled samples. O(positives · n · d).
    """
    found = {uid for uid, one in standing.items() if one.disagree}
    label = labelled.label
    positive, negative = np.flatnonzero(label), np.flatnonzero(~label)
    near = vectors[positive].astype(np.float32) @ vectors[negative].astype(np.float32).T >= threshold
    rows = np.concatenate([positive[near.any(axis=1)], negative[near.any(axis=0)]])
    settled = {uid for uid, one in standing.items() if one.adjudicated}
    found |= {labelled.uid[row] for row in rows.tolist()} - settled
    return sorted(found)
