"""A category's model and threshold on a version's samples: from labels to what is removed. METHODS.md, section 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.classifying import certify, removal, scoring
from tasks.classifying.category_spec import Category
from tasks.errors import LabelsError
from tasks.samples import QUARANTINED

if TYPE_CHECKING:
    from tasks.lake import Version


class Pool(NamedTuple):
    """The version's samples, row by row."""

    table: pa.Table  # uid, sha256
    usable: NDArray[np.bool_]


def read_pool(version: Version) -> Pool:
    usable = np.asarray(version.table("decision", ["verdict"])["verdict"]) != QUARANTINED  # whatever came later
    return Pool(version.table("samples", ["uid", "sha256"]), usable)


def match(pool: Pool, labels: Mapping[str, bool]) -> scoring.Labelled:
    """The labelled usable samples in order of uid."""
    uids, digests = pool.table["uid"].to_pylist(), pool.table["sha256"].to_pylist()
    rows = {uids[row]: row for row in np.flatnonzero(pool.usable) if uids[row] in labels}
    found = sorted(rows)
    label = np.array([labels[uid] for uid in found], dtype=np.bool_)
    row = np.array([rows[uid] for uid in found], dtype=np.int64)
    return scoring.Labelled(row, found, [digests[i] or uids[i] for i in row], label)


def check_classes(labelled: scoring.Labelled, category: Category, given: int) -> None:
    """LabelsError unless both classes are there."""
    positives, negatives = int(labelled.label.sum()), int((~labelled.label).sum())
    if not positives or not negatives:
        lacking = "1 (belongs to the category)" if not positives else "0 (does not)"
        raise LabelsError(
            f"{category.labels or 'the labels in the lake'}: category {category.name!r}: at least one positive and one "
            f"negative among the pool's usable samples were expected, found: {positives} positive, {negatives} "
            f"negative, and {given - len(labelled.uid)} labels of samples that are not in the pool or not usable; add "
            f"labels {lacking} for uids of this pool, or go on with `sluice label next {category.name}`"
        )


def judge(
    version: Version, category: Category, labelled: scoring.Labelled, training: scoring.Labelled
) -> removal.Judged:
    """The category's threshold, chosen on the out-of-fold scores of its positive images, and all samples' scores.

    `training` is what the model was trained on, `labelled` all that people said: it overrides the score.
    """
    folder = version.artifact(f"model.{category.name}")
    positives = one_a_unit(training, scoring.read_out_of_fold(folder))
    threshold, recall = certify.choose_threshold(positives, category.recall, category.confidence)
    if category.threshold is not None:
        threshold = float(np.float32(category.threshold))
        recall = certify.at_threshold(positives, threshold, category.confidence)
    if scoring.read_facts(folder)["folds"] == 1:  # nothing was held out: these scores say nothing about recall
        positives, recall = positives[:0], certify.estimate(0, 0, category.confidence)
    scores = version.table(f"score.{category.name}")["score"].to_numpy().astype(np.float32)
    positive, negative = np.zeros((2, len(scores)), np.bool_)
    positive[labelled.row], negative[labelled.row] = labelled.label, ~labelled.label
    return removal.Judged(category.name, category.confidence, threshold, recall, positives, scores, positive, negative)


def one_a_unit(
    labelled: scoring.Labelled, scores: NDArray[np.float32], inside: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """The lowest score of each positive image: its copies say nothing new about recall.

    inside: (rows of the version,) which samples to look at; default all.
    """
    lowest: dict[str, float] = {}
    for i in np.flatnonzero(labelled.label if inside is None else labelled.label & inside[labelled.row]):
        lowest[labelled.unit[i]] = min(lowest.get(labelled.unit[i], np.inf), float(scores[i]))
    return np.array(list(lowest.values()), dtype=np.float32)
