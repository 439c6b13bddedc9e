"""Weights that meet declared targets exactly, and the account of what became of each target."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from tasks.balance import Floats, Limits, effective_sample_size
from tasks.entropy_balancing import balance_to, value
from tasks.entropy_dual import Share
from tasks.targets import Masks, Targets, check

EXACT = 1e-6  # difference of a share that counts as none

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
    reasons = found.reasons
    reached = {key: float(met) for key, met in zip(shares, found.met, strict=True)}
    if any(_adrift(key, shares, reached) for key in shares):
        shares = {key: share._replace(wanted=_reached(key, share, reached)) for key, share in shares.items()}
        found = balance_to(list(shares.values()), base, limits)
        reasons = tuple(first or second for first, second in zip(reasons, found.reasons, strict=True))
        shares = _shares(targets, masks, pool_share, base)
    both = base, found.weights
    rows = [_row(key, share, masks, both) for key, share in shares.items()]
    return Met(found.weights, [{**row, "reason": reason} for row, reason in zip(rows, reasons, strict=True)])


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
    return next(reached[kind, name] for kind in ("margin", "held", "restore") if (kind, name) in reached)


def _reached(key: Key, share: Share, reached: Mapping[Key, float]) -> float:
    """What can be met: of a group that is to be independent, and of its part of the attribute, the share it reached."""
    if key[0] == "conditional" or not any(other[:2] == ("independent", key[1]) for other in reached):
        return share.wanted
    return _group_share(key[1], reached)


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
