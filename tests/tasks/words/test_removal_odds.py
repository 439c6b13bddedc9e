from __future__ import annotations

import math

import numpy as np
import pytest

from tasks.words.removal_odds import Removed, removal_odds

DRAWS = 1000
COVERED = 0.93  # of 95% intervals


def removed(filtered: list[int], captions: list[int], squares: list[int] | None = None) -> Removed:
    return Removed(np.array(filtered), np.array(captions), np.array(squares or captions))


def test_the_odds_ratio_is_that_of_the_two_by_two_table() -> None:
    (ratio,), (lower,), (upper,) = removal_odds(removed([30], [40]), removed([20], [40]), 0.95)
    assert ratio == pytest.approx((30 / 10) / (20 / 20))
    assert 1 < lower < ratio < upper


def test_near_duplicates_widen_the_interval() -> None:
    _, alone_lower, alone_upper = removal_odds(removed([30], [40]), removed([20], [40]), 0.95)
    _, lower, upper = removal_odds(removed([30], [40], [160]), removed([20], [40], [160]), 0.95)
    assert lower < alone_lower and upper > alone_upper


@pytest.mark.parametrize(
    ("inside", "outside", "expected"),
    [
        ((0, 10), (5, 90), (0, 0, None)),
        ((10, 10), (5, 90), (math.inf, None, math.inf)),
        ((5, 10), (0, 90), (math.inf, None, math.inf)),
        ((0, 10), (0, 90), (math.nan, math.nan, math.nan)),
        ((10, 10), (90, 90), (math.nan, math.nan, math.nan)),
        ((5, 100), (0, 0), (math.nan, math.nan, math.nan)),
        ((0, 0), (5, 100), (math.nan, math.nan, math.nan)),
    ],
)
def test_where_nothing_or_all_was_filtered_bounds_are_one_sided_or_undefined(
    inside: tuple[int, int], outside: tuple[int, int], expected: tuple[float | None, ...]
) -> None:
    found = removal_odds(removed([inside[0]], [inside[1]]), removed([outside[0]], [outside[1]]), 0.95)
    for figure, value in zip(found, expected, strict=True):
        if value is None:
            assert 0 < figure[0] < math.inf
        else:
            np.testing.assert_equal(figure[0], value)


def coverage(captions: int, rate: float, odds: float, cluster: int, together: float, others: int = 4000) -> float:
    """Share of draws in which the interval holds the odds ratio that captions are filtered with.

    cluster: captions of a near-duplicate group; together: share of groups that are filtered whole or not at all, the
    others caption by caption.
    """
    rng = np.random.default_rng(0)
    inside = odds * rate / (1 - rate) / (1 + odds * rate / (1 - rate))
    filtered = []
    for share, count in ((inside, captions), (rate, others)):
        groups = count // cluster
        whole = rng.random((DRAWS, groups)) < together
        each = rng.binomial(cluster, share, (DRAWS, groups))
        filtered.append(np.where(whole, cluster * (rng.random((DRAWS, groups)) < share), each).sum(axis=1))
    with_term = Removed(filtered[0], np.full(DRAWS, captions), np.full(DRAWS, captions * cluster))
    without = Removed(filtered[1], np.full(DRAWS, others), np.full(DRAWS, others * cluster))
    ratio, lower, upper = removal_odds(with_term, without, 0.95)
    told = ~np.isnan(ratio)
    assert told.mean() > 0.99
    return float(((lower <= odds) & (odds <= upper))[told].mean())


@pytest.mark.parametrize("odds", [0.2, 1.0, 5.0])
@pytest.mark.parametrize(
    ("captions", "rate", "cluster", "together"),
    [
        (5, 0.05, 1, 1.0), (20, 0.05, 1, 1.0), (20, 0.005, 1, 1.0), (100, 0.05, 1, 1.0), (2000, 0.05, 1, 1.0),
        (20, 0.3, 1, 1.0), (20, 0.05, 5, 1.0), (100, 0.05, 5, 1.0), (100, 0.3, 5, 0.5), (1000, 0.05, 10, 1.0),
        (1000, 0.2, 10, 0.5), (40, 0.8, 4, 1.0),
    ],
)  # fmt: skip
def test_the_interval_holds_the_odds_ratio_also_of_rare_terms_and_of_near_duplicates(
    captions: int, rate: float, cluster: int, together: float, odds: float
) -> None:
    assert coverage(captions, rate, odds, cluster, together) >= COVERED
