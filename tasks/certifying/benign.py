"""How much of what a category's filter removes is benign: the price of its recall.

Drawn at random from the flagged samples to certify the model, labels say so with an interval. Labels that were given
for other reasons do not: whoever picked them looked for something. Then the calibrated scores are all there is, and
what they say is named as that. The article removed about 5% of its pool, and most of it was benign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.certifying.elusion import binomial_upper
from tasks.classifying.certify import lower_bound
from tasks.classifying.removal import Judged

LABELLED: Final = "every removed sample is labelled"
DRAWN: Final = "labels drawn at random from the flagged samples"
SCORES: Final = "calibrated scores; no labels were drawn at random, so there is no interval"
CONFIDENCE: Final = 0.95  # of the interval


@dataclass(frozen=True)
class Benign:
    """The benign share of what is removed."""

    estimate: float | None  # None where nothing is removed
    lower: float | None  # of an interval of CONFIDENCE; None where there is none
    upper: float | None
    n: int  # draws that it rests on
    basis: str


class Drawn(NamedTuple):
    """Labels drawn with replacement from the flagged samples that nobody had labelled before; a repeat stands twice."""

    rows: NDArray[np.int64]  # (n,)
    benign: NDArray[np.bool_]  # (n,)


def benign_share(judged: Judged, usable: NDArray[np.bool_], drawn: Drawn | None) -> Benign:
    """Of what the category removes, the share that does not belong to it. A person's label counts as the truth.

    Clopper and Pearson (1934) on the n draws speaks for the B flagged samples that nobody had labelled; the benign ones
    that the draws found are labelled now, so they are not removed any more.
    """
    removed = judged.removed & usable
    total, unknown = int(removed.sum()), removed & ~judged.positive
    if not total:
        return Benign(None, None, None, 0, LABELLED)
    if not unknown.any():
        return Benign(0.0, 0.0, 0.0, 0, LABELLED)
    if drawn is None or not len(drawn.rows):
        return Benign(round(float((1 - judged.scores[unknown]).sum()) / total, 6), None, None, 0, SCORES)
    before = unknown.copy()
    before[drawn.rows] = True
    spared = len(np.setdiff1d(drawn.rows[drawn.benign], np.flatnonzero(unknown)))
    k, n, level = int(drawn.benign.sum()), len(drawn.rows), (1 - CONFIDENCE) / 2
    shares = k / n, lower_bound(k, n, 1 - level), float(binomial_upper(k, n, level))
    left = [min(max(share * int(before.sum()) - spared, 0), int(unknown.sum())) for share in shares]
    estimate, lower, upper = (round(number / total, 6) for number in left)
    return Benign(estimate, lower, upper, n, DRAWN)
