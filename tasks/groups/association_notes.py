"""What a reader of the association figures has to know of this pool, these groups and these classifiers."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow.compute as pc

from tasks.groups import corrected_association
from tasks.groups.association_counts import Counted
from tasks.groups.corrected_association import Corrected
from tasks.groups.term_groups import TermGroups
from tasks.lake import Version


def own_filter(version: Version, groups: TermGroups) -> dict[str, bool]:
    """Scored attribute → whether a decision rests on its classifier: some sample was filtered for its category."""
    scored = [one for one in groups.attributes if one.classifier]
    if not scored:
        return {}
    reasons = pc.unique(version.table("decision", ["reason"])["reason"]).to_pylist()
    filtered_for = {part.partition(": ")[0] for reason in reasons if reason for part in reason.split("; ")}
    return {one.name: one.classifier in filtered_for for one in scored}


def notes(groups: TermGroups, counted: Counted, own: dict[str, bool], found: Sequence[Corrected]) -> list[str]:
    counts = counted.groups
    empty = [name for name, n in zip(counts.terms["term"].to_pylist(), counts.of("n_pool"), strict=True) if not n]
    told = [f"no caption of the pool is in: {', '.join(sorted(empty))}"] if empty else []
    judges = [name for name, is_own in own.items() if is_own]
    if judges:
        told.append(
            f"{', '.join(judges)}: the filter's own classifier: its verdict cannot judge what it let through. Behind "
            "the filter its associations and mean score are what the threshold left, and say nothing of its own errors"
        )
    uncorrected = [one.name for one in groups.attributes if one.classifier and one.drawn is None]
    if uncorrected:
        told.append(
            f"{', '.join(uncorrected)}: associations with the classifier's verdict, and its own view of residual harm; "
            "labels drawn per group and score bin would correct both"
        )
    labelled = {groups.attributes[place].name: one for place, one in counted.labelled.items()}
    return told + corrected_association.notes(found, labelled)
