"""What the last rounds bought, and what another one is expected to buy: for a person who decides whether to go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from tasks.certifying.elusion import binomial_upper
from tasks.classifying.certify import lower_bound
from tasks.classifying.given import CERTIFICATION, SEED
from tasks.labels.label_log import Standing
from tasks.labels.rounds import Round

CONFIDENCE: Final = 0.95  # each side's, of the interval of a hit rate
LITTLE: Final = 0.02  # share of positives among the picks that is surely not reached any more


class Bought(NamedTuple):
    """What one round asked, and what came of it; certification and seeds are not counted as picked."""

    number: int
    asked: int
    answered: int
    positives: int
    picked: int  # of the answered
    picked_positives: int
    by_arm: dict[str, tuple[int, int, int]]  # arm → asked, answered, positives


def bought(done: Round, standing: Mapping[str, Standing]) -> Bought:
    """A round's answers, counted by arm."""
    asked = Counter(item.arm for item in done.items)
    answered = Counter(item.arm for item in done.items if item.uid in standing)
    positives = Counter(item.arm for item in done.items if item.uid in standing and standing[item.uid].label)
    arms = {arm: (asked[arm], answered[arm], positives[arm]) for arm in sorted(asked)}
    ours = [arm for arm in arms if arm not in (CERTIFICATION, SEED)]
    return Bought(
        done.number,
        len(done.items),
        answered.total(),
        positives.total(),
        sum(answered[arm] for arm in ours),
        sum(positives[arm] for arm in ours),
        arms,
    )


def another(history: Sequence[Bought], picks: int | None = None, expected: float | None = None) -> str:
    """What the next `picks` are expected to find, by default as many as the last. `expected` sums their scores."""
    last = next((one for one in reversed(history) if one.picked), None)
    if last is None:
        return "No round has been labelled yet, so nothing can be said of what the next one buys."
    labels = last.picked if picks is None else picks
    rate = last.picked_positives / last.picked
    low = lower_bound(last.picked_positives, last.picked, CONFIDENCE)
    high = float(binomial_upper(last.picked_positives, last.picked, 1 - CONFIDENCE))
    text = (
        f"Of the last {last.picked:,} picks {last.picked_positives:,} were positive; as many again would find "
        f"{rate * labels:.0f} of {labels:,} (90% interval {low * labels:.0f} to {high * labels:.0f})"
    )
    if expected is not None:
        text += f", and by the scores of those picked now {expected:.0f} are expected"
    return text + (": another round buys little." if high < LITTLE else ".")


def stop(history: Sequence[Bought], facts: Sequence[Mapping[str, Any]]) -> str | None:
    """Advice to certify, where two rounds in turn found next to nothing and the filter hardly moved."""
    if len(history) < 2 or len(facts) < 2 or not all(one.picked for one in history[-2:]):
        return None
    few = all(one.picked_positives <= max(1, one.picked // 50) for one in history[-2:])
    before, after = facts[-2]["removed"], facts[-1]["removed"]
    if few and abs(after - before) <= 0.05 * max(before, 1):
        return "Two rounds in turn found almost no positives and the filter hardly moved: it is time to certify."
    return None
