"""Weights that meet declared targets exactly, and the account of what became of each target."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from tasks.weights.balance import Floats, Limits, effective_sample_size
from tasks.weights.entropy_balancing import Balanced, balance_to, out_of_reach, value
from tasks.weights.entropy_dual import Share
from tasks.weights.targets import Masks, Targets, check

EXACT = 1e-6  # difference of a share that counts as none
BACK: Final = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)  # of the way back to the base, to leave room for independence

Key = tuple[str, ...]  # the kind of target, then its groups


class Met(NamedTuple):
    """Weights, and one row a target."""

    weights: Floats  # (m,) of the kept samples
    rows: list[dict[str, Any]]


def weigh(targets: Targets, masks: Masks, pool_share: Mapping[str, float], base: Floats, limits: Limits) -> Met:
    """The weights nearest to (m,) base weights that meet the targets within the limits.

    `pool_share`: of each group to restore its share of the pool; a group with a margin of its own keeps that. A target
    that is out of reach is met as nearly as the others allow, and its row says so. Raises ConfigError as `check` does.
    """
    check(targets, masks)
    shares = _shares(targets, masks, pool_share, base)
    found = balance_to(list(shares.values()), base, limits)
    reasons = list(found.reasons)
    reached = {key: float(met) for key, met in zip(shares, found.met, strict=True)}
    if any(_adrift(key, shares, reached) for key in shares):
        found = _held_together(shares, reached, base, limits)
        for i, (key, share) in enumerate(shares.items()):
            if _held(key, shares) and reasons[i] is not None:
                reasons[i] = out_of_reach(share.wanted, float(found.met[i]), limits)
            reasons[i] = reasons[i] or found.reasons[i]
    both = base, found.weights
    rows = [_row(key, share, masks, both) for key, share in shares.items()]
    return Met(found.weights, [{**row, "reason": reason} for row, reason in zip(rows, reasons, strict=True)])


def _held_together(shares: Mapping[Key, Share], reached: Mapping[Key, float], base: Floats, limits: Limits) -> Balanced:
    """The targets met again, groups that are to be independent at shares that leave room to be so.

    A group's own share goes first, and at the nearest that it can have nothing else may be left to choose: so it steps
    back towards what it was, until its independence is met too.
    """
    for back in BACK:
        asked = {}
        for key, share in shares.items():
            wanted = share.wanted
            if _held(key, shares) or key[0] == "independent":
                was = value(shares[_group_key(key[1], shares)], base)
                wanted = (1 - back) * _group_share(key[1], reached) + back * was
            asked[key] = share._replace(wanted=wanted)
        found = balance_to(list(asked.values()), base, limits)
        if all(key[0] != "independent" or reason is None for key, reason in zip(asked, found.reasons, strict=True)):
            break
    return found


def _shares(targets: Targets, masks: Masks, pool_share: Mapping[str, float], base: Floats) -> dict[Key, Share]:
    """What must be met, the earlier before the later. Independence holds the group's share: declared, restored or as
    the base has it; then it says that the group has that share of the attribute too."""
    out: dict[Key, Share] = {}
    margins = {**pool_share, **targets.margins}
    for name, share in targets.margins.items():
        out["margin", name] = Share(masks[name], None, share)
    for (name, given), share in targets.conditionals.items():
        both = masks[name] & masks[given]
        out["conditional", name, given] = Share(both, masks[given], share)
    for name, attribute in targets.independents:
        held = margins.get(name, value(Share(masks[name], None, 0.0), base))
        if name not in margins:
            out["held", name] = Share(masks[name], None, held)
        both = masks[name] & masks[attribute]
        out["independent", name, attribute] = Share(both, masks[attribute], held)
    for name in sorted(set(pool_share) - set(targets.margins)):
        out["restore", name] = Share(masks[name], None, pool_share[name])
    return out


def _adrift(key: Key, shares: Mapping[Key, Share], reached: Mapping[Key, float]) -> bool:
    """Whether a group is to be independent and has another share than independence reckoned with."""
    return key[0] == "independent" and abs(_group_share(key[1], reached) - shares[key].wanted) > EXACT


def _group_share(name: str, reached: Mapping[Key, float]) -> float:
    return reached[_group_key(name, reached)]


def _group_key(name: str, keys: Collection[Key]) -> Key:
    """The target that says what share a group has."""
    return next((kind, name) for kind in ("margin", "held", "restore") if (kind, name) in keys)


def _held(key: Key, keys: Collection[Key]) -> bool:
    """Whether this is the share of a group that is to be independent."""
    return len(key) == 2 and any(other[:2] == ("independent", key[1]) for other in keys)


def _row(key: Key, share: Share, masks: Masks, weights: tuple[Floats, Floats]) -> dict[str, Any]:
    """One target's account; of independence, the attribute's share within the group and outside it."""
    row: dict[str, Any] = {"target": key[0], "group": key[1], "of": key[2] if len(key) > 2 else None}
    row |= {"n_kept": int(share.part.sum()), "effective_samples": effective_sample_size(weights[1][share.part])}
    if key[0] != "independent":
        before, after = (_number(value(share, one)) for one in weights)
        return {**row, "wanted": share.wanted, "before": before, "after": after}
    group, attribute = masks[key[1]], masks[key[2]]
    sides = [Share(attribute & side, side, 0.0) for side in (group, ~group)]
    before_after = [[_number(value(side, one)) for side in sides] for one in weights]
    return {**row, "wanted": None, "before": before_after[0], "after": before_after[1]}


def _number(share: float) -> float | None:
    return None if math.isnan(share) else share
