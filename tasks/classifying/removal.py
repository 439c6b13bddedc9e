"""What a category's threshold removes, what it is estimated to find, and what a smaller removal would cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.classifying import certify

FEW_POSITIVES: Final = 5  # images below which the summary warns
SMALLER: Final = (0.20, 0.10, 0.05)  # shares of the usable samples whose recall the summary names
POINTS: Final = 200  # of the curve at most

Mask = NDArray[np.bool_]  # (n,), one a sample of the version
Scores = NDArray[np.float32]


class Judged(NamedTuple):
    """What one category's model and labels say of each of the version's n samples."""

    name: str
    confidence: float
    threshold: float
    recall: certify.Estimate  # at the threshold
    positives: Scores  # (p,), out-of-fold, of the labelled positive images; none where nothing could be held out
    scores: Scores  # (n,), NaN where there is none
    positive: Mask  # labelled 1
    negative: Mask  # labelled 0

    @property
    def reached(self) -> Mask:
        return self.scores >= np.float32(self.threshold)

    @property
    def removed(self) -> Mask:
        """A person's label overrides the score."""
        return self.positive | (self.reached & ~self.negative)


def curve(judged: Judged, usable: Mask) -> pa.Table:
    """Recall and removal at thresholds from high to low: pointwise, not a certificate of a point picked from it.

    Columns threshold, recall_estimate and recall_lower (null where nothing could be held out), removed (samples) and
    share (of the usable ones). The thresholds are the scores of positive images, at most POINTS of them.
    """
    thresholds = np.unique(judged.positives if len(judged.positives) else np.array([judged.threshold], np.float32))[
        ::-1
    ]
    thresholds = thresholds[np.unique(np.linspace(0, len(thresholds) - 1, POINTS).round().astype(np.int64))]
    points = [certify.at_threshold(judged.positives, float(t), judged.confidence) for t in thresholds]
    removed = int((judged.positive & usable).sum()) + certify.reaching(_free(judged, usable), thresholds)
    return pa.table(
        {
            "threshold": pa.array(thresholds, pa.float32()),
            "recall_estimate": pa.array([point.estimate for point in points], pa.float64()),
            "recall_lower": pa.array([point.lower if point.n else None for point in points], pa.float64()),
            "removed": pa.array(removed, pa.int64()),
            "share": pa.array(removed / max(int(usable.sum()), 1), pa.float64()),
        }
    )


def smaller_removals(judged: Judged, usable: Mask) -> list[dict[str, Any]]:
    """For each of SMALLER that is less than what is removed: the threshold that keeps to it, and its recall.

    Threshold and recall are null where the labelled positives alone, or equal scores, are more than that. Nothing is
    suggested where nothing could be held out: no recall is known.
    """
    if not len(judged.positives):
        return []
    total, labelled = int(usable.sum()), int((judged.positive & usable).sum())
    free, found = _free(judged, usable), []
    for share in SMALLER:
        if (judged.removed & usable).sum() <= share * total:
            continue
        threshold = certify.threshold_of_size(free, int(share * total) - labelled)
        point: dict[str, Any] = {"share": share, "threshold": threshold, "removed": None, "recall_estimate": None}
        if threshold is not None:
            point["removed"] = labelled + int((free >= np.float32(threshold)).sum())
            point["recall_estimate"] = asdict(certify.at_threshold(judged.positives, threshold, judged.confidence))
        found.append(point)
    return found


def _free(judged: Judged, usable: Mask) -> Scores:
    """Scores of the usable samples that no person labelled: what a threshold decides."""
    return judged.scores[usable & ~judged.positive & ~judged.negative]


def facts(judged: Judged, usable: Mask) -> dict[str, Any]:
    """One category's figures for gates and reports."""
    removed = int((judged.removed & usable).sum())
    return {
        "threshold": judged.threshold,
        "recall_estimate": asdict(judged.recall),
        "removed": removed,
        "share": _share(removed, usable),
        "removed_by_label": int((judged.positive & usable).sum()),
        "removed_by_score": int((judged.reached & usable & ~judged.positive & ~judged.negative).sum()),
        "kept_by_label": int((judged.reached & usable & judged.negative).sum()),  # the score alone would remove them
        "suggestions": smaller_removals(judged, usable),
        "warnings": warnings(judged),
    }


def warnings(judged: Judged) -> list[str]:
    images = len(judged.positives)
    if not images:
        return [
            "a class has labels of one image only: no label could be held out, so recall is unknown and the threshold "
            "is the score that the model gives what it was trained on; label more images"
        ]
    if images < FEW_POSITIVES:
        return [f"only {images} images are labelled positive: the threshold and its recall say little; label more"]
    return []


def summary(judged: Sequence[Judged], categories: Mapping[str, Mapping[str, Any]], usable: Mask) -> dict[str, Any]:
    """The stage's figures: of all categories together, and of each."""
    removed = np.zeros(len(usable), np.bool_)
    for one in judged:
        removed |= one.removed & usable
    return {
        "usable": int(usable.sum()),
        "removed": int(removed.sum()),
        "share": _share(int(removed.sum()), usable),
        "categories": dict(categories),
        "note": certify.NOTE if judged else "no category is declared: nothing was filtered",
    }


def _share(count: int, usable: Mask) -> float:
    return round(count / max(int(usable.sum()), 1), 6)
