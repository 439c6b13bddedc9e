"""A round's certification: the draw for a frozen model and threshold, and the certificate once its labels are there.

The model, the threshold and the method are set before the draw. Which method: the census where its queue, all flagged
samples that nobody labelled yet and the draws, fits the budget and promises more; else the large pool's. METHODS.md,
section 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.certifying import certified_recall as recall
from tasks.certifying.certificate import CENSUS, LARGE_POOL, Certificate, Goal
from tasks.certifying.certified_recall import Draws
from tasks.certifying.elusion import Seeds
from tasks.certifying.label_plan import BETA
from tasks.labels.label_log import Standing

Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]

EVERYONE: Final = ""  # the subgroup of all samples


class Frozen(NamedTuple):
    """What a certificate speaks of, row by row of the version."""

    uid: list[str]
    flagged: Mask  # (n,), usable and at or above the threshold
    unflagged: Mask  # (n,), usable and below
    groups: Mapping[str, Mask]  # subgroup → (n,)


def draw(frozen: Frozen, known: Mapping[str, Standing], budget: int, method: str, seed: int) -> dict[str, Any]:
    """The draw as the round records it, and `asked`: the uids that have to be labelled for it."""
    rng = np.random.default_rng(seed)
    labelled = np.array([uid in known for uid in frozen.uid], np.bool_)
    flagged, unflagged = np.flatnonzero(frozen.flagged), np.flatnonzero(frozen.unflagged)
    if method == CENSUS:
        open_flagged = flagged[~labelled[flagged]]
        rows = recall.draw_census(unflagged[~labelled[unflagged]], max(0, budget - len(open_flagged)), rng)
        side = np.zeros(len(rows), np.bool_)
        asked = np.concatenate([rows, open_flagged])
    else:
        drawn = recall.draw(flagged, unflagged, budget, BETA, rng)
        rows, side = drawn.rows, drawn.flagged
        asked = np.unique(rows[~labelled[rows]])
    earlier = [uid for uid in known if truth(known[uid], flagged=False)]
    return {
        "method": method,
        "beta": BETA,
        "draws": [frozen.uid[row] for row in rows],
        "flagged": side.tolist(),
        "rest": int((frozen.unflagged & ~labelled).sum()),
        "rest_of": {name: int((frozen.unflagged & ~labelled & mask).sum()) for name, mask in frozen.groups.items()},
        "known_positives": sorted(earlier),  # before the draw; `unsure` among them
        "labelled": sorted(known),  # before the draw
        "asked": [frozen.uid[row] for row in rng.permutation(asked)],
    }


def pending(certification: Mapping[str, Any], known: Mapping[str, Standing]) -> list[str]:
    """The uids that nobody has labelled yet. A certificate waits for all of them: a part would be a look."""
    return [uid for uid in certification["asked"] if uid not in known]


def certificates(
    frozen: Frozen, certification: Mapping[str, Any], known: Mapping[str, Standing], goal: Goal, seeds: Seeds | None
) -> dict[str, Certificate]:
    """Subgroup → its certificate, EVERYONE's first. Every uid asked has to be labelled.

    A subgroup's draws are draws from the subgroup, whose strata stand in the same proportion to the draw as the whole.
    """
    whole = np.ones(len(frozen.uid), np.bool_)
    groups = {EVERYONE: whole, **{name: mask for name, mask in frozen.groups.items() if mask.any()}}
    of = _large if certification["method"] == LARGE_POOL else _census
    return {name: of(frozen, certification, known, (name, mask), (goal, seeds)) for name, mask in groups.items()}


def _large(
    frozen: Frozen,
    drawn: Mapping[str, Any],
    known: Mapping[str, Standing],
    group: tuple[str, Mask],
    terms: tuple[Goal, Seeds | None],
) -> Certificate:
    row = {uid: i for i, uid in enumerate(frozen.uid)}
    rows = np.array([row[uid] for uid in drawn["draws"]], np.int64)
    side = np.array(drawn["flagged"], np.bool_)
    inside = group[1][rows]
    rows, side = rows[inside], side[inside]
    positive = np.array(
        [truth(known[frozen.uid[r]], flagged=bool(f)) for r, f in zip(rows, side, strict=True)], np.bool_
    )
    sizes = (int((frozen.flagged & group[1]).sum()), int((frozen.unflagged & group[1]).sum()))
    seen = recall.counted(Draws(rows, side), positive, sizes, drawn["beta"])
    if group[0] != EVERYONE:
        # ω is of the draw, which was of the whole pool: the strata's sizes there set a sample's chance.
        whole = (int(frozen.flagged.sum()), int(frozen.unflagged.sum()))
        seen = seen._replace(beta=equal_beta(drawn["beta"], whole, sizes))
    return recall.large_pool(seen, *terms)


def equal_beta(beta: float, whole: tuple[int, int], part: tuple[int, int]) -> float:
    """The β under which a draw from the subgroup alone gives each of its samples the chance that it had."""
    flagged = beta * part[0] / whole[0] if whole[0] else 0.0
    unflagged = (1 - beta) * part[1] / whole[1] if whole[1] else 0.0
    total = flagged + unflagged
    return min(max(flagged / total, 1e-9), 1 - 1e-9) if total else beta


def _census(
    frozen: Frozen,
    drawn: Mapping[str, Any],
    known: Mapping[str, Standing],
    group: tuple[str, Mask],
    terms: tuple[Goal, Seeds | None],
) -> Certificate:
    row = {uid: i for i, uid in enumerate(frozen.uid)}
    name, mask = group
    earlier, draws = set(drawn["known_positives"]), [uid for uid in drawn["draws"] if mask[row[uid]]]
    labelled = {uid for uid in known if uid in row and mask[row[uid]]}
    of_flagged = [uid for uid in labelled if frozen.flagged[row[uid]]]
    before = [uid for uid in drawn["labelled"] if uid in row and mask[row[uid]] and frozen.unflagged[row[uid]]]
    seen = recall.SmallPool(
        flagged=int((frozen.flagged & mask).sum()),
        unflagged=int((frozen.unflagged & mask).sum()),
        labelled=len(of_flagged) + len(before),
        flagged_positives=sum(truth(known[uid], flagged=True) for uid in of_flagged),
        unflagged_positives=sum(uid in earlier for uid in before),
        rest=drawn["rest"] if name == EVERYONE else drawn["rest_of"][name],
        draws=len(draws),
        positives=sum(truth(known[uid], flagged=False) for uid in draws),
    )
    return recall.census(seen, *terms)


def truth(standing: Standing, *, flagged: bool) -> bool:
    """Whether a sample counts as positive. `unsure` counts against the certificate: as missed, or as no find."""
    return standing.label if standing.label is not None else not flagged


def as_facts(certificate: Certificate) -> dict[str, Any]:
    """The certificate for a file and a report."""
    return {**asdict(certificate), "sentence": certificate.sentence()}
