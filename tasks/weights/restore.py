"""Which groups can have their share of the pool back, and what became of each that was asked for.

A share can only be restored by captions that were kept: where most of a group was removed, what is left is not the same
("heart" would come back as anatomical hearts), and where few captions remain, each would be repeated too often.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.weights.balance import Floats, Limits
from tasks.weights.features import Pool, Terms

if TYPE_CHECKING:
    from scipy.sparse import csc_array

KEPT_SHARE = 0.5  # of a term's units that must be kept
EFFECTIVE = 20.0  # kept captions with the term that must carry its weight, effectively
SAME_CAPTIONS = 0.9  # Jaccard overlap from which a word stands for a restored group


class Standing(NamedTuple):
    """Where t terms stand before weights."""

    n_pool: NDArray[np.int64]  # usable captions
    n_kept: NDArray[np.int64]  # kept captions
    kept_share: Floats  # kept captions / units with the term; 0 where there is none
    reference: Floats  # share of the pool's units
    before: Floats  # Δ without weights; 0 where no caption has the term


def standing(pool: Pool, terms: Terms) -> Standing:
    n_pool, n_kept = (terms.has.T @ mask.astype(np.float64) for mask in (pool.usable, pool.kept))
    units = pool.counts(terms)
    some = np.where(units > 0, units, 1.0)
    reference = units / pool.share.sum()
    before = np.where(units > 0, n_kept / pool.kept.sum() / (some / pool.share.sum()) - 1, 0.0)
    return Standing(n_pool.astype(np.int64), n_kept.astype(np.int64), n_kept / some, reference, before)


def reasons(stands: Standing) -> list[str | None]:
    """Why each term cannot be restored; None where it can."""
    out: list[str | None] = []
    for n_pool, n_kept, share in zip(stands.n_pool, stands.n_kept, stands.kept_share, strict=True):
        if not n_pool:
            out.append("no such term in any usable caption")
        elif share < KEPT_SHARE:
            out.append(f"no support: {share:.0%} of it was kept, at least {KEPT_SHARE:.0%} is needed")
        elif n_kept < EFFECTIVE:
            out.append(f"no support: {n_kept} captions are left, at least {EFFECTIVE:.0f} are needed")
        else:
            out.append(None)
    return out


def effective_captions(has: csc_array, weights: Floats) -> Floats:
    """(m, t) kept captions with terms, (m,) weights → (t,) (Σw)² / Σw² over each term's captions, 0 of none."""
    squares = has.T @ weights**2
    effective: Floats = (has.T @ weights) ** 2 / np.where(squares > 0, squares, 1.0)
    return effective


def thin(effective: float) -> str:
    return f"no support: its weight would rest on {effective:.1f} effective captions, {EFFECTIVE:.0f} are needed"


def out_of_reach(wanted: float, nearest: float, limits: Limits) -> str:
    return (
        f"out of reach: a share of {wanted:.4%} was wanted, {nearest:.4%} is the nearest that weights of at most "
        f"{limits.cap:g}, an effective sample of at least {limits.ess_floor:.0%} and the groups before it allow"
    )


def companions_of(words: Terms, groups: Terms, usable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(t,) whether a word stands in the same captions as one of the groups, and so says nothing new of the weights."""
    if not groups.names:
        return np.zeros(len(words.names), dtype=bool)
    mask = usable.astype(np.float64)
    both = (words.has.T @ groups.has).toarray()
    either = (words.has.T @ mask)[:, None] + (groups.has.T @ mask)[None, :] - both
    same: NDArray[np.bool_] = (both >= SAME_CAPTIONS * np.maximum(either, 1)).any(axis=1)
    return same


def rows(
    terms: Terms, stands: Standing, after: Floats, why: list[str | None]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What became of each term: those restored, and those that were not, with the reason."""
    restored, lost = [], []
    for i, term in enumerate(terms.names):
        facts = {
            "term": term,
            "n_pool": int(stands.n_pool[i]),
            "n_kept": int(stands.n_kept[i]),
            "share_reference": float(stands.reference[i]),
            "change_before": float(stands.before[i]) if stands.n_pool[i] else None,
            "change_after": float(after[i]) if stands.n_pool[i] else None,
        }
        if why[i] is None:
            restored.append(facts)
        else:
            lost.append({**facts, "reason": why[i]})
    return restored, lost
