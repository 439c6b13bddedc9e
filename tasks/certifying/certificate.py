"""A certificate of a filter: what it promises, how surely, on what counts, and what is lacking where it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Final, NamedTuple

LARGE_POOL: Final = "large pool"
CENSUS: Final = "census"


class Goal(NamedTuple):
    """What is wanted, set before the first draw."""

    recall: float
    confidence: float = 0.95  # of all rounds at once
    round: int = 1

    @property
    def level(self) -> float:
        return round_level(1 - self.confidence, self.round)


@dataclass(frozen=True)
class Certificate:
    """A promise, or how far from it the labels are."""

    method: str
    verdict: str  # "certified" or "not certified"
    target: float  # recall
    recall_lower: float | None  # None where no positive was seen, so that nothing can be said
    elusion_upper: float  # positive share of what is kept once the known positives are removed
    level: float  # each of the two statements' chance to be wrong
    round: int
    counts: dict[str, float]  # of the pool, its labels, the draws, and seeds where there were any
    miss_upper: float | None  # of annotators; None: labels are taken at their word
    labels_would_do: int | None  # an estimate: draws to the target in the next round if the rates seen stay

    def sentence(self) -> str:
        """The certificate in words, its bounds rounded to the safe side."""
        kept = f"Of what is kept, at most {percent_up(self.elusion_upper)} is positive once known positives are removed"
        sure = f"Each holds with {100 * (1 - self.level):.4g}% confidence (round {self.round}, {self.method})"
        noise = "Labels are taken at their word"
        if self.miss_upper is not None:
            noise = f"Annotators may overlook {percent_up(self.miss_upper)} of the positives: they missed "
            noise += f"{self.counts['seeds_missed']:,} of {self.counts['seeds_shown']:,} seeds"
        return f"{self._recall()}. {kept}. {sure}. {noise}."

    def _recall(self) -> str:
        if self.recall_lower is None:
            return "Not certified: no positive was seen, so nothing can be said of the recall"
        found = f"{self.verdict.capitalize()}: at least {percent_down(self.recall_lower)} of the positives are flagged"
        found = f"{found}, {100 * self.target:.4g}% was wanted"
        if self.verdict == "certified":
            return found
        if self.labels_would_do is None:
            return f"{found}; at the rates seen no number of draws would do at this threshold (an estimate)"
        return f"{found}; at the rates seen {self.labels_would_do:,} draws in the next round would do (an estimate)"


def verdict(lower: float | None, target: float) -> str:
    return "certified" if lower is not None and lower >= target else "not certified"


def percent_down(share: float) -> str:
    """A lower bound in percent, rounded down to one decimal."""
    return f"{floor(1000 * share + 1e-9) / 10:.1f}%"


def percent_up(share: float) -> str:
    """An upper bound in percent, rounded up to two digits."""
    if share <= 0:
        return "0%"
    places = max(0, 1 - floor(log10(100 * share)))
    return f"{ceil(100 * share * 10**places - 1e-9) / 10**places:.{places}f}%"


def round_level(alpha: float, number: int) -> float:
    """What round 1, 2, … may spend, so that all of them together spend no more than alpha."""
    if number < 1:
        raise ValueError(f"rounds are numbered from 1, {number} was given")
    return alpha * 2.0**-number


def fewest(enough: Callable[[int], bool], low: int, high: int) -> int | None:
    """The smallest number from low to high that is enough, if more is never less; None where none is."""
    if low > high or not enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low
