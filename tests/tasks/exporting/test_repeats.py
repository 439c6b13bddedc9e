from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import UsageError
from tasks.exporting.repeats import check_factor, grid, halves_of, repeats, shuffle_buffer, systematic

WEIGHTS = st.lists(st.floats(0, 12), min_size=1, max_size=60).map(np.array)
SEEDS = st.integers(0, 2**32)


def uids(count: int) -> list[str]:
    rng = random.Random(count)
    return [f"{rng.getrandbits(128):032x}" for _ in range(count)]


@given(chances=st.lists(st.integers(0, 64), min_size=1, max_size=40))
def test_the_share_of_starts_at_which_a_sample_is_drawn_is_exactly_its_chance(chances: list[int]) -> None:
    q = np.array(chances) / 64
    drawn = np.mean([systematic(q, (start + 0.5) / 64) for start in range(64)], axis=0)
    assert np.array_equal(drawn, q)


@given(values=WEIGHTS, seed=SEEDS)
def test_each_value_is_rounded_to_a_neighbour_and_the_total_stays_within_one(values: np.ndarray, seed: int) -> None:
    rounded = repeats(values, uids(len(values)), seed)
    assert ((rounded == np.floor(values)) | (rounded == np.ceil(values))).all()
    assert abs(rounded.sum() - values.sum()) < 1 + 1e-9


@given(values=WEIGHTS, seed=SEEDS, order=st.randoms())
def test_the_order_of_the_samples_does_not_matter(values: np.ndarray, seed: int, order: random.Random) -> None:
    names = uids(len(values))
    moved = order.sample(range(len(values)), len(values))
    there = repeats(values[moved], [names[i] for i in moved], seed)
    assert np.array_equal(there, repeats(values, names, seed)[moved])


def test_over_seeds_the_mean_is_the_weight_and_the_total_varies_less_than_with_coins() -> None:
    values = np.random.default_rng(0).lognormal(0, 0.6, 400)
    draws = np.array([repeats(values, uids(400), seed) for seed in range(600)])
    chances = values % 1
    errors = np.abs(draws.mean(axis=0) - values) / np.sqrt(chances * (1 - chances) / 600)
    assert errors.max() < 5
    assert np.ptp(draws.sum(axis=1)) <= 1
    coins = np.floor(values + np.random.default_rng(1).random((600, 400)))
    assert coins.sum(axis=1).std() > 5


def test_whole_weights_stay_as_they_are_and_seeds_differ_on_others() -> None:
    assert repeats(np.array([0.0, 1.0, 3.0]), uids(3), 5).tolist() == [0, 1, 3]
    halves = np.full(40, 0.5)
    assert not np.array_equal(repeats(halves, uids(40), 1), repeats(halves, uids(40), 2))


@given(highest=st.floats(0.01, 5000), count=st.integers(2, 30))
def test_levels_rise_from_one_to_the_highest_value_and_are_few_enough(highest: float, count: int) -> None:
    levels = grid(highest, count)
    assert levels[0] == 1
    assert levels[-1] == max(math.ceil(highest), 1)
    assert len(levels) <= count
    assert (np.diff(levels) > 0).all()
    if levels[-1] <= count:
        assert np.array_equal(levels, np.arange(1, levels[-1] + 1))


def test_few_levels_cost_variance_and_no_bias() -> None:
    values = np.random.default_rng(2).uniform(1, 40, 300)
    levels = grid(values.max(), 5)
    draws = np.array([repeats(values, uids(300), seed, levels) for seed in range(600)])
    assert set(np.unique(draws)) <= set(levels.tolist())
    upper = levels[np.searchsorted(levels, values)]
    lower = levels[np.searchsorted(levels, values) - 1]
    error = np.sqrt((upper - values) * (values - lower) / 600)
    assert (np.abs(draws.mean(axis=0) - values) < 5 * error).all()


def test_a_value_below_the_lowest_level_is_raised_to_it() -> None:
    assert repeats(np.array([0.2, 0.99, 1.0]), uids(3), 0, grid(1.0, 10)).tolist() == [1, 1, 1]


def test_the_halves_of_a_uid_are_its_higher_and_lower_sixteen_digits() -> None:
    halves = halves_of(["139e4a9b22a614771f06c700a8ebe150", "f" * 32])
    assert halves.tolist() == [[0x139E4A9B22A61477, 0x1F06C700A8EBE150], [2**64 - 1, 2**64 - 1]]


@pytest.mark.parametrize("factor", [0, -1, float("nan"), float("inf"), 1001])
def test_a_factor_that_cannot_be_meant_is_refused(factor: float) -> None:
    with pytest.raises(UsageError, match="factor"):
        check_factor(factor)


# --- the shuffle buffer


def meetings(stream: list[int], batch: int, buffer: int, seed: int) -> float:
    """Share of neighbouring copies that a webdataset loader with this buffer yields in one batch."""
    shuffle = pytest.importorskip("webdataset").filters._shuffle
    place = iter(range(len(stream)))
    first: dict[int, int] = {}
    met = 0
    for sample in shuffle(iter(stream), buffer, buffer, rng=random.Random(seed)):
        number = next(place) // batch
        met += first.setdefault(sample, number) == number if sample in first else 0
        first.setdefault(sample, number)
    return met / (len(stream) // 2)


def pairs(count: int) -> list[int]:
    return list(itertools.chain.from_iterable((i, i) for i in range(count)))


def test_without_a_buffer_copies_share_a_batch() -> None:
    assert meetings(pairs(4000), 16, 1, 0) > 0.9


@pytest.mark.parametrize(("batch", "chance"), [(16, 0.05), (64, 0.1), (8, 0.01)])
def test_with_the_stated_buffer_copies_meet_at_most_as_often_as_stated(batch: int, chance: float) -> None:
    buffer = shuffle_buffer(batch, chance)
    count = 15_000
    met = meetings(pairs(count), batch, buffer, 1)
    steady = 1 - buffer / batch * (1 - math.exp(-batch / buffer))
    assert met < chance + 3 * math.sqrt(chance / count)
    assert met == pytest.approx(steady, rel=0.35)


def test_the_bound_is_reached_by_a_stream_as_long_as_the_buffer_and_not_passed() -> None:
    batch, chance = 16, 0.05
    buffer = shuffle_buffer(batch, chance)
    met = np.mean([meetings(pairs(buffer // 2), batch, buffer, seed) for seed in range(150)])
    assert met == pytest.approx(chance, rel=0.15)


def test_copies_that_are_neighbours_of_more_than_one_copy_meet_no_more_often() -> None:
    batch, chance, copies, count = 16, 0.05, 5, 3000
    shuffle = pytest.importorskip("webdataset").filters._shuffle
    buffer = shuffle_buffer(batch, chance)
    stream = itertools.chain.from_iterable([i] * copies for i in range(count))
    batches: dict[int, list[int]] = {}
    for place, sample in enumerate(shuffle(stream, buffer, buffer, rng=random.Random(2))):
        batches.setdefault(sample, []).append(place // batch)
    met = sum(a == b for places in batches.values() for a, b in itertools.combinations(places, 2))
    drawn = count * math.comb(copies, 2)
    assert met / drawn < chance + 3 * math.sqrt(chance / drawn)


@pytest.mark.parametrize(("batch", "chance"), [(0, 0.1), (8, 0.0), (8, 1.0), (8, float("nan"))])
def test_a_buffer_for_no_batch_or_no_chance_is_refused(batch: int, chance: float) -> None:
    with pytest.raises(UsageError, match="batch"):
        shuffle_buffer(batch, chance)
