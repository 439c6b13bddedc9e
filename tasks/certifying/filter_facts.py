"""What the filter tells of one category: its labels, its model, what it removes and of whom, how sure that is."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from tasks.certifying import certificate_files
from tasks.certifying.benign import benign_share
from tasks.classifying import certify, removal, scoring
from tasks.classifying.category_spec import Category
from tasks.classifying.given import Given
from tasks.classifying.judging import Pool, one_a_unit

if TYPE_CHECKING:
    from tasks.lake import Version

NAMED: Final = 5  # contradicting uids


def label_facts(pool: Pool, labels: Given, labelled: scoring.Labelled) -> dict[str, Any]:
    """What became of what people said; labels that were not used are counted, not refused."""
    known = set(pool.table["uid"].to_pylist())
    unknown = sum(uid not in known for uid in labels.labels)
    return {
        "unknown_uids": unknown,  # not in the pool
        "unusable_uids": len(labels.labels) - unknown - len(labelled.uid),  # quarantined
        "unsure": labels.unsure,
        "reserved": labels.reserved,  # of a round that certifies the model, so not trained on yet
        "damaged_lines": labels.damaged,  # of the log of labels
        "contradictions": len(labels.contradicting),  # the positive label stands
        "contradicting_uids": list(labels.contradicting[:NAMED]),
    }


def category_facts(
    draft: Version,
    category: Category,
    given: tuple[Given, scoring.Labelled, scoring.Labelled],
    judged: removal.Judged,
    pool: Pool,
) -> dict[str, Any]:
    """One category's figures. `given`: what people said; the labelled samples: all, and those that trained."""
    folder = draft.artifact(f"model.{judged.name}")
    drawn = certificate_files.flagged_draws(draft, category, judged.threshold, pool.table["uid"].to_pylist())
    groups = certificate_files.subgroup_members(draft, category)
    held_out, certificate = scoring.read_out_of_fold(folder), certificate_files.read(draft, judged.name)
    return {
        **label_facts(pool, *given[:2]),
        **scoring.read_facts(folder),
        **removal.facts(judged, pool.usable),
        "benign": asdict(benign_share(judged, pool.usable, drawn)),
        "subgroups": {
            name: subgroup_facts(judged, pool.usable, inside, given[2], held_out) for name, inside in groups.items()
        },
        "certificate": {name: value for name, value in certificate.items() if name != "parts"},  # these fill a file
    }


def subgroup_facts(
    judged: removal.Judged,
    usable: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    training: scoring.Labelled,
    held_out: NDArray[np.float32],
) -> dict[str, Any]:
    """What the filter takes of a subgroup's samples, and how many of its labelled positives the threshold reaches."""
    members, removed = inside & usable, judged.removed & inside & usable
    positives = one_a_unit(training, held_out, inside) if len(judged.positives) else judged.positives
    return {
        "samples": int(members.sum()),
        "removed": int(removed.sum()),
        "share": round(int(removed.sum()) / max(int(members.sum()), 1), 6),
        "recall_estimate": asdict(certify.at_threshold(positives, judged.threshold, judged.confidence)),
    }
