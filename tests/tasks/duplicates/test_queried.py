"""After an increment only new rows are asked, and what was asked before still counts: the interval covers the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks.duplicates.candidates import Found, Search, find
from tasks.duplicates.pair_recall import (
    TWICE,
    Asked,
    Drawn,
    Earlier,
    as_queried,
    draw,
    draw_more,
    estimate,
    residual,
)
from tasks.duplicates.queried import Queried, load, more
from tasks.duplicates.recall_interval import interval, share_of_rows
from tasks.duplicates.stored import stored
from tests.tasks.planted import all_pairs, planted

RUNS = 120


def findings(drawn: Drawn, pairs: np.ndarray, n: int, new: np.ndarray | None = None) -> Queried:
    """What those queries find of lost pairs (m, 2), as `missed` tells it."""
    asked = np.zeros(n, np.bool_)
    asked[np.concatenate([rows for _, rows in drawn])] = True
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = both[asked[both[:, 0]]]
    weight = np.ones(len(both)) if new is None else np.where(np.isin(both[:, 1], new), 1.0, TWICE)
    return as_queried(drawn, n, both[:, 0], weight, np.full(len(both), 0.96))


def lost_pairs(rng: np.random.Generator, low: int, high: int, count: int) -> np.ndarray:
    """Pairs of a row in [low, high) with a lower one."""
    right = rng.integers(max(low, 1), high, count)
    return np.column_stack([(rng.random(count) * right).astype(np.int64), right])


@pytest.mark.parametrize("lost", [0, 8, 80, 800])
@pytest.mark.parametrize("strata", [1, 2])
def test_the_interval_covers_the_true_recall_after_five_increments(lost: int, strata: int) -> None:
    start, each, found = 20_000, 1_500, 10_000
    n = start + 5 * each
    rng = np.random.default_rng(lost + strata)
    pairs = np.concatenate([lost_pairs(rng, 0, start, lost), lost_pairs(rng, start, n, lost // 4)])
    gap = rng.random(n).astype(np.float32) if strata == 2 else None
    covered, estimates = 0, []
    for run in range(RUNS):
        known = pairs[pairs[:, 1] < start]
        first = gap[:start] if gap is not None else None
        queried = findings(draw(first, start, 2000, run), known, start)
        for end in range(start + each, n + 1, each):
            new = np.arange(end - each, end)
            asked = Asked(0.95, 2000, run)
            drawn = draw_more(gap[:end] if gap is not None else None, end, asked, Earlier(queried, new))
            assert drawn is not None
            queried = queried.plus(findings(drawn, pairs[(pairs < end).all(axis=1)], end, new))
        assert queried.size.sum() == n
        assert queried.asked.sum() == pytest.approx(2000 * n / start, abs=10)
        recall = interval(found, queried.strata(), TWICE)
        covered += recall.lower <= found / (found + len(pairs)) <= recall.upper
        estimates.append(found / recall.estimate - found)
    assert covered >= 0.9 * RUNS  # 95% nominal; 3 standard errors below it are 89%
    assert np.mean(estimates) == pytest.approx(len(pairs), abs=4 * np.std(estimates) / RUNS**0.5 + 1e-6)


def test_a_share_of_a_query_is_asked_at_random() -> None:
    before = findings([(10_000, np.arange(100))], np.empty((0, 2), np.int64), 10_000)
    takes = [more(before, [30], np.random.default_rng(seed))[0] for seed in range(2000)]
    assert set(takes) == {0, 1}
    assert np.mean(takes) == pytest.approx(0.3, abs=0.03)


def incremented(queries: int, lost: float) -> tuple[np.ndarray, Found, Earlier]:
    """Vectors of which the last third is new, pairs of which that share is lost, and the queries of the first."""
    vectors, known = planted(3000, copies=0.5), 2000
    found = find(vectors, "exact", Search(0.95))
    stay = np.random.default_rng(1).random(len(found.pairs)) >= lost
    fewer = found._replace(pairs=found.pairs[stay], similarity=found.similarity[stay], step=found.step[stay])
    old = (fewer.pairs < known).all(axis=1)
    before = Found(fewer.pairs[old], fewer.similarity[old], fewer.saturated[:known], fewer.step[old])
    queried = estimate(stored([vectors[:known]]), before, Asked(0.95, queries, 0))[2]
    return vectors, fewer, Earlier(queried, np.arange(known, 3000))


def test_only_new_rows_are_asked_after_an_increment(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, found, earlier = incremented(400, lost=0.2)
    monkeypatch.setattr("tasks.duplicates.pair_recall.draw", lambda *_: pytest.fail("all rows were asked"))
    recall, bands, queried = estimate(stored([vectors]), found, Asked(0.95, 400, 0), earlier)
    truth = len(found.pairs) / len(all_pairs(vectors, 0.95))
    assert recall.queries == queried.asked.sum() == pytest.approx(600, abs=1)
    assert recall.lower <= truth <= recall.upper
    assert recall.estimate == pytest.approx(truth, abs=0.06)
    assert sum(band.found for band in bands) == len(found.pairs)


def test_small_pools_and_large_increments_are_asked_anew() -> None:
    vectors, found, earlier = incremented(2000, lost=0.2)
    assert estimate(stored([vectors]), found, Asked(0.95, 2000, 0), earlier)[0].queries == 2000
    vectors, found, earlier = incremented(400, lost=0.2)
    few = earlier._replace(queried=earlier.queried._replace(size=np.array([500])))
    assert estimate(stored([vectors]), found, Asked(0.95, 400, 0), few)[0].queries == 400


@pytest.mark.parametrize("start", [1000, 1800])
def test_the_residual_rate_after_an_increment_is_that_of_all_survivors(start: int) -> None:
    vectors = planted(2000, copies=0.3)
    pairs = all_pairs(vectors, 0.95)
    truth = len(np.unique(pairs)) / 2000
    near, before, new = stored([vectors]), stored([vectors[:start]]), np.arange(start, 2000)
    estimates, covered = [], 0
    for seed in range(40):
        asked = Asked(0.95, 300, seed)
        queried = residual(before, np.ones(start, np.bool_), asked)[1]
        left, every = residual(near, np.ones(2000, np.bool_), asked, Earlier(queried, new))
        assert left.queries == every.asked.sum() == pytest.approx(300 * 2000 / start, abs=1)
        estimates.append(left.estimate)
        covered += left.lower <= truth <= left.upper
    assert covered >= 36
    assert np.mean(estimates) >= truth - 4 * np.std(estimates) / 40**0.5
    assert np.mean(estimates) <= 1.3 * truth  # an earlier row near to two new ones counts twice


def test_nothing_found_is_bounded_more_widely_after_an_increment() -> None:
    vectors = np.eye(3000, dtype=np.float16)
    asked = Asked(0.95, 300, 0)
    fresh, queried = residual(stored([vectors[:2900]]), np.ones(2900, np.bool_), asked)
    later = residual(stored([vectors]), np.ones(3000, np.bool_), asked, Earlier(queried, np.arange(2900, 3000)))[0]
    assert fresh.estimate == later.estimate == 0
    assert fresh.upper < later.upper < 2 * fresh.upper + 0.001


def test_queries_are_read_back_as_they_were_saved(tmp_path: Path) -> None:
    queried = findings([(100, np.arange(50))], np.array([[1, 2], [3, 70]]), 100)
    queried.save(tmp_path / "queried.npz")
    again = load(tmp_path / "queried.npz")
    assert all((old == new).all() for old, new in zip(queried, again, strict=True))
    assert share_of_rows(again.strata()[0]) == share_of_rows(queried.strata()[0])
