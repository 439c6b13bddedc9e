"""A few samples that a failed gate is about: whoever reads of it can look at them with `sluice why`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.lake import Version
from tasks.samples import DUPLICATE, FILTERED, KEPT, QUARANTINED
from tasks.words import tokens

MOST: Final = 5  # of one metric

VERDICT_OF: Final = {
    "quarantined_share": QUARANTINED,
    "filtered_share": FILTERED,
    "duplicate_share": DUPLICATE,
    "duplicate_similarity_min": DUPLICATE,
    "orphans": DUPLICATE,
    "duplicates_without_survivor": DUPLICATE,
}
WEIGHED: Final = ("effective_sample_share", "weight_mean", "weights_unusable")


class Example(NamedTuple):
    metric: str
    uid: str
    caption: str
    why: str  # what was decided of it


def examples(draft: Version, metrics: Sequence[str], said: Mapping[str, str]) -> list[Example]:
    """At most MOST samples a metric, spread evenly over those that it counts; none where it counts no samples.

    said: the term of each metric that is an audited figure.
    """
    if "decision" not in draft.columns or not draft.rows:
        return []
    decision, samples = draft.table("decision"), draft.table("samples", ["uid", "caption"])
    found = []
    for metric in metrics:
        rows = _lost(said[metric], decision, samples) if metric in said else _rows(metric, decision)
        for sample, decided in zip(samples.take(rows).to_pylist(), decision.take(rows).to_pylist(), strict=True):
            found.append(Example(metric, sample["uid"], sample["caption"] or "", _why(decided)))
    return found


def _rows(metric: str, decision: pa.Table) -> NDArray[np.int64]:
    """Of what was removed any, of what is weighted the largest weights."""
    if metric in VERDICT_OF:
        return _spread(np.asarray(pc.equal(decision["verdict"], VERDICT_OF[metric])))
    if metric not in WEIGHED:
        return np.zeros(0, np.int64)
    weights = np.nan_to_num(decision["weight"].to_numpy(), nan=-1.0)
    return np.argsort(-weights, kind="stable")[: min(MOST, int((weights > 0).sum()))].astype(np.int64)


def _lost(term: str, decision: pa.Table, samples: pa.Table) -> NDArray[np.int64]:
    """Of the captions that say the term those that were removed; of a group those that say its name."""
    words = tokens.tokenise(term.rpartition("/")[2])
    captions = pc.fill_null(samples["caption"], "")
    likely = pc.match_substring(captions, words[0], ignore_case=True) if words else pa.array([False] * len(captions))
    rows = np.flatnonzero(np.asarray(pc.and_(likely, pc.not_equal(decision["verdict"], KEPT))))
    says = [tokens.has_phrase(caption, " ".join(words)) for caption in captions.take(pa.array(rows)).to_pylist()]
    return _some(rows[np.asarray(says, np.bool_)])


def _spread(which: NDArray[np.bool_]) -> NDArray[np.int64]:
    return _some(np.flatnonzero(which))


def _some(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(rows) <= MOST:
        return rows
    return rows[np.linspace(0, len(rows) - 1, MOST).round().astype(np.int64)]


def _why(decided: dict[str, object]) -> str:
    facts = [decided["verdict"], decided["reason"]]
    if decided["duplicate_of"]:
        facts.append(f"near-duplicate of {decided['duplicate_of']}")
    if isinstance(decided["weight"], float):
        facts.append(f"weight {decided['weight']:.3g}")
    return ", ".join(str(fact) for fact in facts if fact)
