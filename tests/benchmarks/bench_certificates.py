"""How often certificates promise more than is true: simulated certifications, each setting with its own known truth.

One look spends a level of 5%; rounds share 5%, and a failure in any of them counts. So at most 64 of 1,000 are wanted
to fail (the 97.5% quantile of what 5% gives). Beside the median bound, of the last round, stands the ceiling: what
as many labels in G could promise at most, all clean, with F's positives known for nothing (certifying/label_plan.py).
Run: python -m tests.benchmarks.bench_certificates
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from tasks.certifying.certificate import Certificate, Goal
from tasks.certifying.certified_recall import LargePool, SmallPool, census, fixed_sequence, large_pool, spend
from tasks.certifying.elusion import Seeds, binomial_most, hypergeometric_upper
from tasks.certifying.label_plan import BETA, ceiling

POOL = 1_000_000
SEEDS = 100  # known positives shown
TARGET = 0.9  # of the fixed sequence
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
certified = cache(census)  # counts repeat, and a certificate depends on nothing else


class Outcome(NamedTuple):
    """(s,) simulations of one setting; elusion is None where it is not judged."""

    setting: str
    truth: float  # recall, in the last round
    recall_wrong: Flags
    elusion_wrong: Flags | None
    bounds: Floats  # of recall, in the last round
    ceiling: float
    promised: bool = True  # False: shown for what happens


class Large(NamedTuple):
    """A large pool's truth in one round, and how its annotators err."""

    prevalence: float
    recall: float
    precision: float
    miss_flagged: float = 0.0  # of F's positives labelled negative
    miss_unflagged: float = 0.0
    false_flagged: float = 0.0  # of F's negatives labelled positive

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """P_F, P_G, N_F, N_G."""
        positives = round(POOL * self.prevalence)
        found = round(positives * self.recall)
        flagged = round(found / self.precision)
        return found, positives - found, flagged, POOL - flagged


class Small(NamedTuple):
    """A small pool's truth: every positive of F labelled, G's others unknown."""

    found: int
    left: int
    rest: int  # M
    labelled: int
    miss: float = 0.0  # of positives labelled negative, wherever they are


def allowed(count: int) -> int:
    """Failures that a level of 5% exceeds in one of 40 benchmarks."""
    return int(binom.ppf(0.975, count, 0.05))


def goals(rounds: int) -> list[Goal]:
    """One look at a level of 5%, or rounds that share it."""
    return [Goal(0.0, 0.9)] if rounds == 1 else [Goal(0.0, 0.95, number + 1) for number in range(rounds)]


def shown(miss: float, count: int, rng: np.random.Generator) -> list[Seeds]:
    return [Seeds(SEEDS, missed) for missed in rng.binomial(SEEDS, miss, count).tolist()]


def large_samples(truth: Large, draws: int, count: int, rng: np.random.Generator) -> Iterator[LargePool]:
    """What annotators say of each sample; images drawn twice are too few to matter and count as different."""
    found, missed, flagged, unflagged = truth.sizes
    precision = found / flagged
    called = precision * (1 - truth.miss_flagged) + (1 - precision) * truth.false_flagged
    from_flagged = rng.binomial(draws, BETA, count)
    hits = rng.binomial(from_flagged, called)
    misses = rng.binomial(draws - from_flagged, missed / unflagged * (1 - truth.miss_unflagged))
    for f, h, x in zip(from_flagged.tolist(), hits.tolist(), misses.tolist(), strict=True):
        yield LargePool(flagged, unflagged, BETA, draws, draws - f, h + x, h, x)


def large(name: str, truths: list[Large], draws: int, count: int, corrected: bool = False) -> Outcome:
    """One truth a round: the filter is trained again after each."""
    rng = np.random.default_rng([draws, *name.encode()])
    wrong, elusion_wrong = np.zeros(count, bool), np.zeros(count, bool)
    for truth, goal in zip(truths, goals(len(truths)), strict=True):
        found, missed, _, unflagged = truth.sizes
        samples = list(large_samples(truth, draws, count, rng))
        seeds = shown(truth.miss_unflagged, count, rng) if corrected else [None] * count
        given = [large_pool(sample, goal, s) for sample, s in zip(samples, seeds, strict=True)]
        wrong |= recall(given) > found / (found + missed)
        left = [(missed - s.known) / (unflagged - s.known) for s in samples]
        elusion_wrong |= np.array([c.elusion_upper for c in given]) < np.array(left)
    promised = corrected or not any(t.miss_flagged + t.miss_unflagged + t.false_flagged for t in truths)
    limit = ceiling(found, unflagged, draws, goal.level)
    return Outcome(name, found / (found + missed), wrong, elusion_wrong, recall(given), limit, promised)


def recall(given: list[Certificate]) -> Floats:
    return np.array([c.recall_lower or 0.0 for c in given])


def small(name: str, truth: Small, draws: int, rounds: int, count: int, corrected: bool = False) -> Outcome:
    """Each round's draws are labelled earlier for the next, and the positives among them flagged from then on.

    F is what is known to be positive. Positives overlooked count as lost to G: what is labelled negative is kept.
    """
    rng = np.random.default_rng([draws, *name.encode()])
    found, left = rng.binomial(truth.found, 1 - truth.miss, count), np.full(count, truth.left)
    lost, rest, labelled = truth.found - found, truth.rest, truth.labelled
    wrong, elusion_wrong = np.zeros(count, bool), np.zeros(count, bool)
    for goal in goals(rounds):
        drawn = rng.hypergeometric(left, rest - left, draws)
        x = rng.binomial(drawn, 1 - truth.miss)
        seeds = shown(truth.miss, count, rng) if corrected else [None] * count
        given = [
            certified(SmallPool(a, rest + labelled - a, labelled, a, 0, rest, draws, y), goal, s)
            for a, y, s in zip(found.tolist(), x.tolist(), seeds, strict=True)
        ]
        wrong |= recall(given) > found / (found + lost + left)
        elusion_wrong |= np.array([c.elusion_upper for c in given]) < (lost + left - x) / (rest + labelled - found - x)
        limit = ceiling(truth.found, rest, draws, goal.level)
        rest, labelled = rest - draws, labelled + draws
        found, lost, left = found + x, lost + drawn - x, left - drawn
    share = float(np.median((found - x) / (found - x + lost + left + x)))
    return Outcome(name, share, wrong, elusion_wrong, recall(given), limit, corrected or not truth.miss)


def divided(name: str, truth: Small, draws: int, count: int) -> Outcome:
    """A simpler correction, m^U/(1 − ε^U), which forgets what was overlooked among the earlier labels."""
    rng = np.random.default_rng([draws, *name.encode()])
    found = rng.binomial(truth.found, 1 - truth.miss, count)
    x = rng.binomial(rng.hypergeometric(truth.left, truth.rest - truth.left, draws, count), 1 - truth.miss)
    most, bound = np.empty(count), cache(hypergeometric_upper)
    for i, (y, seeds) in enumerate(zip(x.tolist(), shown(truth.miss, count, rng), strict=True)):
        level, miss = spend(0.05, seeds, 1)
        most[i] = bound(y, draws, truth.rest, level) / (1 - miss)
    recalls, bounds = found / (truth.found + truth.left), found / (found + most)
    limit = ceiling(truth.found, truth.rest, draws, 0.05)
    return Outcome(name, float(np.median(recalls)), bounds > recalls, None, bounds, limit, promised=False)


def sequence(name: str, truth: Large, draws: int, count: int) -> Outcome:
    """Thresholds at which the filter's recall is 99%, 98.5%, … 80%; a certified one below the target is a failure."""
    rng = np.random.default_rng([draws, *name.encode()])
    goal = goals(1)[0]._replace(recall=TARGET)
    recalls = np.arange(0.99, 0.8, -0.005)
    reached = np.ones(count)
    for i, sample in enumerate(large_samples(truth, draws, count, rng)):
        ranks = rng.random(sample.positives)  # of a positive among all: the filter finds the lowest first
        h = sample.flagged_positives
        ranks[:h] *= truth.recall
        ranks[h:] = truth.recall + ranks[h:] * (1 - truth.recall)
        passed = fixed_sequence(-ranks, (-recalls).tolist(), sample, goal)
        reached[i] = -passed[-1] if passed else 1.0
    found, _, _, unflagged = truth.sizes
    return Outcome(name, TARGET, reached < TARGET - 1e-9, None, reached, ceiling(found, unflagged, draws, goal.level))


def hard(prevalence: float, draws: int, goal: Goal) -> Large:
    """The truth that is most often promised too much of: one positive more in G than a clean draw bounds."""
    missed = binomial_most(0, round(draws * (1 - BETA)), POOL, goal.level) + 1
    return Large(prevalence, max(0.1, 1 - missed / (POOL * prevalence)), 0.25)


def outcomes(count: int) -> Iterator[Outcome]:
    """Every setting, without noise first."""
    for prevalence in (0.001, 0.005, 0.01, 0.05):
        for draws in (1_000, 3_000, 11_000):
            setting = f"large, {prevalence:.1%}, n {draws:,}"
            yield large(setting, [Large(prevalence, 0.95, 0.25)], draws, count)
            yield large(f"{setting}, hard", [hard(prevalence, draws, goals(1)[0])], draws, count)
    yield large("large, 0.5%, n 3,000, finds all", [Large(0.005, 1.0, 0.25)], 3_000, count)
    for prevalence in (0.005, 0.05):
        improving = [Large(prevalence, r, 0.25) for r in (0.7, 0.85, 0.93, 0.96)]
        yield large(f"large, {prevalence:.1%}, n 3,000, 4 rounds", improving, 3_000, count)
        each_hard = [hard(prevalence, 3_000, goal) for goal in goals(4)]
        yield large(f"large, {prevalence:.1%}, n 3,000, 4 rounds, hard", each_hard, 3_000, count)
    yield sequence("large, 5.0%, n 3,000, fixed sequence", Large(0.05, 0.99, 0.25), 3_000, count)
    for found, rest, draws in ((30, 3_600, 1_000), (190, 3_400, 2_500), (480, 100_000, 3_000)):
        setting = f"census, M {rest:,}, n {draws:,}"
        yield small(setting, Small(found, max(1, found // 20), rest, 2_000), draws, 1, count)
        least_favourable = hypergeometric_upper(0, draws, rest, 0.05) + 1
        yield small(f"{setting}, hard", Small(found, least_favourable, rest, 2_000), draws, 1, count)
    yield small("census, M 3,400, n 500, 4 rounds", Small(180, 60, 3_400, 2_000), 500, 4, count)
    yield small("census, M 100,000, n 3,000, 4 rounds", Small(480, 150, 100_000, 2_000), 3_000, 4, count)
    for miss in (0.05, 0.1):
        yield from noisy(miss, count)
    false = Large(0.05, 0.8, 0.25, false_flagged=0.05)
    yield large("large, 5.0%, n 3,000, 5% of F's negatives wrong", [false], 3_000, count)


def noisy(miss: float, count: int) -> Iterator[Outcome]:
    """Positives overlooked at that rate: with the correction, and what happens without."""
    truth, pool = Large(0.05, 0.95, 0.25, miss, miss), Small(190, 10, 3_400, 2_000, miss)
    for corrected in (False, True):
        how = f"miss {miss:.0%}, {'' if corrected else 'un'}corrected"
        yield large(f"large, 5.0%, n 11,000, {how}", [truth], 11_000, count, corrected)
        only = truth._replace(miss_flagged=0.0)
        yield large(f"large, 5.0%, n 11,000, in G only, {how}", [only], 11_000, count, corrected)
        yield small(f"census, M 3,400, n 2,500, {how}", pool, 2_500, 1, count, corrected)
    yield divided(f"census, M 3,400, n 2,500, miss {miss:.0%}, divided", pool, 2_500, count)


def verdict(outcome: Outcome) -> str:
    """Whether a promise was kept; where none was made, what would have become of it."""
    limit = allowed(len(outcome.recall_wrong))
    judged = [("recall", outcome.recall_wrong), ("elusion", outcome.elusion_wrong)]
    broken = [name for name, wrong in judged if wrong is not None and wrong.sum() > limit]
    if outcome.promised:
        return f"BROKEN: {', '.join(broken)}" if broken else "holds"
    return f"no promise; {', '.join(broken) or 'nothing'} fails"


def row(outcome: Outcome) -> str:
    elusion = "" if outcome.elusion_wrong is None else f"{outcome.elusion_wrong.sum()}"
    figures = f"{outcome.truth:>7.3f}{outcome.recall_wrong.sum():>8}{elusion:>9}"
    return f"{outcome.setting:<56}{figures}{np.median(outcome.bounds):>8.3f}{outcome.ceiling:>9.3f}  {verdict(outcome)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=1_000, metavar="N", help="of each setting (default: 1000)")
    count, start = parser.parse_args().simulations, time.perf_counter()
    print(f"{count:,} simulations a setting; at most {allowed(count)} may fail. Failures of recall, of elusion:")
    print(f"{'setting':<56}{'recall':>7}{'failed':>8}{'elusion':>9}{'median':>8}{'ceiling':>9}  verdict")
    broken = 0
    for outcome in outcomes(count):
        print(row(outcome), flush=True)
        broken += verdict(outcome).startswith("BROKEN")
    print(f"{broken} promises broken; {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
