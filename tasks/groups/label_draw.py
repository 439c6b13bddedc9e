"""Which samples to label, so that a classifier's figures can be corrected: a random draw per group and score bin.

The bins hold equal parts of what the score leaves uncertain, Σ√(p(1−p)) (Dalenius and Hodges 1959 for a binary answer
whose chance is the score), and each stratum gets the same number of labels, so that a small group is known as well as a
large one. A draw with the same seed takes the same samples again: labels that were given are kept and only added to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.errors import ConfigError
from tasks.groups.association_counts import opened, stages
from tasks.groups.drawn_labels import BETWEEN, DrawnLabels
from tasks.groups.label_strata import Labelled, Stratum, add_strata, at_stage
from tasks.groups.membership import members
from tasks.groups.term_groups import TermGroups
from tasks.lake import Version
from tasks.samples import QUARANTINED

DIGITS: Final = 4  # of a bin's edge


@dataclass(frozen=True)
class Draw:
    """What is drawn."""

    groups: tuple[str, ...]  # that are to be told apart
    labels: int = 1000  # at most, those that are given already included
    bins: int = 3  # of the score
    seed: int = 0

    def __post_init__(self) -> None:
        if self.labels < 1 or not 1 <= self.bins <= 20 or self.seed < 0:
            raise ConfigError(
                "labels of at least 1, 1 to 20 bins and a seed of at least 0 were expected; found "
                f"{self.labels}, {self.bins} and {self.seed}"
            )


def plan(version: Version, groups: TermGroups, attribute: str, draw: Draw) -> list[dict[str, Any]]:
    """One row a drawn sample, with the columns of groups/drawn_labels.py; what is labelled already has its label.

    Every stratum gets what it needs at each stage that the version has, then as many labels as the others. Tokens must
    have been written. Raises ConfigError: no attribute of a classifier, a group that is not there, no score, or fewer
    labels than do.
    """
    place = _place(groups, attribute, draw)
    design = _design(version, groups, place, draw)
    with opened(version) as db:
        one = add_strata(db, version, groups, members(version, groups).table, {place: design})[place]
        there = [at_stage(db, {place: one})[place] for _ in stages(db)]
        needed = np.max([stage.needed for stage in there], axis=0)
        wanted = _allocation(there[0].strata.size.astype(np.int64), needed, one, draw.labels)
        db.add("wanted", pa.table({"stratum": np.arange(len(wanted), dtype=np.int32), "number": wanted}))
        rows = db.run("association", "first").to_pylist()
    return [_row(row, one.strata[row["stratum"]], int(wanted[row["stratum"]]), design) for row in rows]


def _place(groups: TermGroups, attribute: str, draw: Draw) -> int:
    """Which attribute it is; the draw's groups are there."""
    scored = [one.name for one in groups.attributes if one.classifier]
    if attribute not in scored:
        raise ConfigError(
            f"attribute {attribute!r}: one with `classifier` and `above` was expected, known are: "
            f"{', '.join(scored) or 'none'}"
        )
    known = [group.name for group in groups.groups]
    for name in draw.groups:
        if name not in known:
            raise ConfigError(f"group {name!r}: there is none of this name; known are: {', '.join(known) or 'none'}")
    return [one.name for one in groups.attributes].index(attribute)


def _design(version: Version, groups: TermGroups, place: int, draw: Draw) -> DrawnLabels:
    """How to draw; as before, where labels were drawn among the same groups with the same seed."""
    attribute = groups.attributes[place]
    before = attribute.drawn
    if before is not None and (before.among, before.seed) == (draw.groups, draw.seed):
        return before
    group = f"score.{attribute.classifier}"
    if group not in version.columns:
        raise ConfigError(f"attribute {attribute.name!r}: the version has no score of {attribute.classifier!r}")
    usable = pc.not_equal(version.table("decision", ["verdict"])["verdict"], QUARANTINED)
    score = version.table(group, ["score"])["score"].filter(usable).to_numpy().astype(np.float64)
    return DrawnLabels(draw.groups, edges(np.nan_to_num(score), draw.bins), draw.seed)


def edges(score: NDArray[np.float64], bins: int) -> tuple[float, ...]:
    """Where bins of equal Σ√(p(1−p)) meet; fewer where scores are the same. score: (n,) in [0, 1]"""
    score = np.sort(score)
    uncertain = np.cumsum(np.sqrt(score * (1 - score)))
    if not len(score) or not uncertain[-1]:
        return ()
    cuts = np.searchsorted(uncertain, uncertain[-1] * np.arange(1, bins) / bins)
    found = np.unique(np.round(score[cuts], DIGITS))
    return tuple(found[(found > score[0]) & (found <= score[-1])].tolist())


def _allocation(
    size: NDArray[np.int64], needed: NDArray[np.int64], labelled: Labelled, labels: int
) -> NDArray[np.int64]:
    """(h,) how many of each stratum to draw: what it needs or has, then equally many; none of what is known."""
    size = np.where([one.known for one in labelled.strata], 0, size)
    least = np.minimum(np.maximum(needed, labelled.drawn), size)
    if least.sum() > labels:
        raise ConfigError(
            f"{labels:,} labels do not do for {int((size > 0).sum()):,} strata: {int(least.sum()):,} at least were "
            "expected; give more, or tell fewer groups or bins apart"
        )
    equal = next(
        n for n in range(min(labels, int(size.max(initial=0))), -1, -1) if _drawn(least, size, n).sum() <= labels
    )
    wanted = _drawn(least, size, equal)
    wanted[np.flatnonzero(wanted < size)[: labels - wanted.sum()]] += 1
    return wanted


def _drawn(least: NDArray[np.int64], size: NDArray[np.int64], equal: int) -> NDArray[np.int64]:
    return np.minimum(np.maximum(least, equal), size)


def _row(found: dict[str, Any], stratum: Stratum, drawn: int, design: DrawnLabels) -> dict[str, Any]:
    return {
        "uid": found["uid"],
        "label": "" if found["label"] is None else found["label"],
        "groups": stratum.groups,
        "bin": stratum.bin,
        "drawn": drawn,
        "among": BETWEEN.join(design.among),
        "edges": BETWEEN.join(map(str, design.edges)),
        "seed": design.seed,
    }
