"""What a budget of labels can certify at best, before any is spent: if the draw shows no new positive in G.

Such a clean draw is the best one, not the likely one: a filter that misses positives certifies less. F flagged, G
unflagged samples, as in certifying/certified_recall.py. METHODS.md, section 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from tasks.certifying import elusion
from tasks.certifying.certificate import CENSUS, LARGE_POOL, fewest
from tasks.certifying.certified_recall import omega, recall_bound

BETA: Final = 0.1  # share of the large pool's draws that are taken from F


class Pool(NamedTuple):
    """The pool under a frozen threshold, and what is expected of it."""

    flagged: int  # N_F
    unflagged: int  # N_G
    positives: float  # in F, expected: precision · N_F, or prevalence · (N_F + N_G)
    labelled_flagged: int = 0  # of F
    labelled_unflagged: int = 0  # of G
    unflagged_positives: int = 0  # among the latter


@dataclass(frozen=True)
class Plan:
    """The best that some labels can certify."""

    method: str
    labels: int  # to be given, at most
    draws: int  # of them; the census's other labels are the rest of F
    recall: float  # certified at most
    elusion: float  # upper bound of the positive share of what is kept, at least


def best(pool: Pool, budget: int, level: float) -> Plan:
    """The method for this pool: the census where all of F can be labelled within the budget and more is promised."""
    large, small = large_pool(pool, budget, level), census(pool, budget, level)
    return small if small is not None and small.recall >= large.recall else large


def large_pool(pool: Pool, budget: int, level: float) -> Plan:
    """As many draws, with replacement; those of samples labelled earlier cost nothing, so labels are fewer at times.

    As many positives as expected from F, and as many of G's known ones, rounded down; no others.
    """
    n_F = round(budget * BETA) if pool.flagged and pool.unflagged else budget * bool(pool.flagged)
    n_G = budget - n_F
    h = int(n_F * pool.positives / max(pool.flagged, 1) + 1e-9)
    x = int(n_G * pool.unflagged_positives / max(pool.unflagged, 1))
    recall = float(recall_bound(h, h + x, omega(pool.flagged, pool.unflagged, BETA), level)) if pool.unflagged else 1.0
    most = elusion.binomial_most(x, n_G, pool.unflagged, level)
    return Plan(LARGE_POOL, budget, budget, recall, elusion.kept_share(most, pool.unflagged, pool.unflagged_positives))


def census(pool: Pool, budget: int, level: float) -> Plan | None:
    """The rest of F labelled, the other labels drawn from the rest of G; None where F is too large for the budget."""
    rest_of_flagged = pool.flagged - pool.labelled_flagged
    if budget < rest_of_flagged:
        return None
    rest = pool.unflagged - pool.labelled_unflagged
    draws = min(budget - rest_of_flagged, rest)
    most = elusion.hypergeometric_upper(0, draws, rest, level)
    recall = pool.positives / max(pool.positives + pool.unflagged_positives + most, 1) if pool.unflagged else 1.0
    kept = elusion.kept_share(most + pool.unflagged_positives, pool.unflagged, pool.unflagged_positives)
    return Plan(CENSUS, rest_of_flagged + draws, draws, recall, kept)


def needed(pool: Pool, recall: float, level: float) -> Plan | None:
    """The cheapest plan that can certify the recall; None where labelling every sample once would not do."""
    every = pool.flagged + pool.unflagged
    labels = fewest(lambda budget: best(pool, budget, level).recall >= recall, 0, every)
    return None if labels is None else best(pool, labels, level)


def elusion_of(unflagged: int, labels: int, level: float) -> float:
    """The bound of the positive share of what is kept, after so many clean labels drawn without replacement from G."""
    labels = min(labels, unflagged)
    return elusion.kept_share(elusion.hypergeometric_upper(0, labels, unflagged, level), unflagged, 0)


def needed_for_elusion(unflagged: int, share: float, level: float) -> int | None:
    """The fewest clean labels from G that bound the positive share of what is kept."""
    return fewest(lambda labels: elusion_of(unflagged, labels, level) <= share, 0, unflagged)


def ceiling(positives: int, unflagged: int, labels: int, level: float) -> float:
    """What so many labels promise if all are drawn from G without replacement, clean, F's positives known for nothing.

    At 0.5% of 1,000,000, all flagged without a false one: 0.63 with 1,000 labels, 0.83 with 3,000, 0.95 with 11,226,
    0.99 with 56,762 (level 5%). The large pool's method needs 5 to 15% more for the same.
    """
    most = elusion.hypergeometric_upper(0, min(labels, unflagged), unflagged, level)
    return positives / (positives + most) if positives else 0.0
