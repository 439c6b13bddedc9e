"""What a classifier's attribute is in truth: shares within groups and outside them, corrected by drawn labels.

A group's share is Σ_b (N_gb/N_g)·ȳ_gb over the bins b of the score, each with its own labels: the classifier may err
more often for one group than for another, which no correction by one sensitivity and one specificity can mend. Masses
are those of the stage; of weights the share is a ratio. The intervals speak of this pool, for only the draw of the
labels is left to chance. METHODS.md, section 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from tasks.groups import stratified
from tasks.groups.label_strata import FEWEST, AtStage, Labelled, Stratum
from tasks.groups.stratified import Estimate
from tasks.groups.term_groups import TermGroups
from tasks.words.change_figures import column

NAMED: Final = 3  # strata, or uids, that a note names

_FIGURES: Final = ("share_inside", "share_outside", "difference", "log_odds_ratio")
_BOUNDS: Final = ("", "_lower", "_upper")
_NOTHING: Final = Estimate(math.nan, math.nan, math.nan)


class Corrected(NamedTuple):
    """The true shares of one attribute at one stage."""

    stage: str
    attribute: str
    share: Estimate  # of all that is there
    groups: Mapping[str, tuple[Estimate, Estimate]]  # of those told apart: the share within, and outside
    labels: Mapping[str, tuple[int, int]]  # samples with a label, within and outside
    lacking: Mapping[Stratum, int]  # strata that lack labels, and how many more would do


def corrected(stage: str, attribute: str, labelled: Labelled, there: AtStage) -> Corrected:
    """The true shares at a stage; NaN where a stratum that counts lacks labels."""
    lacking = lacks(labelled, there)
    strata = there.strata._replace(
        labelled_mass=np.where(lacking > 0, np.nan, there.strata.labelled_mass),
    )
    shares, labels = {}, {}
    for name in labelled.design.among:
        inside = np.array([one.within(name) for one in labelled.strata], np.bool_)
        shares[name] = stratified.combined(strata, inside), stratified.combined(strata, ~inside)
        labels[name] = int(strata.labelled[inside].sum()), int(strata.labelled[~inside].sum())
    everything = np.ones(len(labelled.strata), np.bool_)
    told = {one: int(more) for one, more in zip(labelled.strata, lacking, strict=True) if more}
    return Corrected(stage, attribute, stratified.combined(strata, everything), shares, labels, told)


def lacks(labelled: Labelled, there: AtStage) -> np.ndarray:
    """(h,) int64, labels that each stratum lacks at the stage: answers to what is drawn, and more from its order."""
    more = np.maximum(there.needed - labelled.drawn, 0) + labelled.unanswered
    return np.where(there.strata.size > 0, more, 0)


def table(found: Sequence[Corrected], groups: TermGroups, own: Mapping[str, bool]) -> pa.Table:
    """One row a stage, group told apart and labelled attribute: shares, their difference and log odds ratio."""
    order = [group.name for group in groups.groups]
    rows = [(one, name) for one in found for name in sorted(one.groups, key=order.index)]
    estimates: dict[str, list[Estimate]] = {name: [] for name in _FIGURES}
    for one, name in rows:
        inside, outside = one.groups[name]
        both = inside, outside, stratified.difference(inside, outside), stratified.log_odds_ratio(inside, outside)
        for figure, estimate in zip(_FIGURES, both, strict=True):
            estimates[figure].append(estimate)
    columns = {
        f"{figure}{bound}": column(np.array([estimate[i] for estimate in values], np.float64))
        for figure, values in estimates.items()
        for i, bound in enumerate(_BOUNDS)
    }
    return pa.table(
        {
            "stage": pa.array([one.stage for one, _ in rows], pa.string()),
            "group": pa.array([name for _, name in rows], pa.string()),
            "attribute": pa.array([one.attribute for one, _ in rows], pa.string()),
            "own_filter": pa.array([own[one.attribute] for one, _ in rows], pa.bool_()),
            "labels_inside": pa.array([one.labels[name][0] for one, name in rows], pa.int64()),
            "labels_outside": pa.array([one.labels[name][1] for one, name in rows], pa.int64()),
            "labels_lacking": pa.array([sum(one.lacking.values()) for one, _ in rows], pa.int64()),
            **columns,
        }
    )


def shares(found: Sequence[Corrected], stage: str, attribute: str) -> Estimate:
    """The true share of everything at the stage; NaN of an attribute that has no drawn labels."""
    return next((one.share for one in found if (one.stage, one.attribute) == (stage, attribute)), _NOTHING)


def notes(found: Sequence[Corrected], labelled: Mapping[str, Labelled]) -> list[str]:
    """What keeps figures from being corrected, or labels from being used."""
    told = []
    for attribute, one in labelled.items():
        if one.unknown:
            told.append(
                f"{attribute}: {len(one.unknown):,} of its drawn uids are no usable samples of this version "
                f"({', '.join(one.unknown[:NAMED])}); where that leaves too few labels, draw again"
            )
        if one.others:
            told.append(f"{attribute}: {one.others:,} labels are not of the draw and correct nothing")
        told += _lacking(attribute, [each for each in found if each.attribute == attribute])
    return told


def _lacking(attribute: str, stages: Sequence[Corrected]) -> list[str]:
    """Which strata lack labels, and how many would do for all stages."""
    most: dict[Stratum, int] = {}
    for stage in stages:
        for stratum, more in stage.lacking.items():
            most[stratum] = max(most.get(stratum, 0), more)
    if not most:
        return []
    names = [f"{one.groups or 'none of the groups'} × {one.bin} {more:,}" for one, more in list(most.items())[:NAMED]]
    others = f" and {len(most) - NAMED} other strata" if len(most) > NAMED else ""
    where = ", ".join(dict.fromkeys(stage.stage for stage in stages if stage.lacking))
    return [
        f"{attribute}: not corrected in full ({where}): more labels would do, {'; '.join(names)}{others}; all together "
        f"{sum(most.values()):,}; draw them, each stratum needs {FEWEST} at each stage or all of its samples there"
    ]
