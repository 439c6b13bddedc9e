"""The sums are those that sql/audit states: the same numbers of random pools, whatever the size of blocks."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.queries import database
from tasks.words import term_sums as kernel
from tasks.words.audit_pool import KEPT, REMOVED, UNIT, UNUSABLE, Pool
from tasks.words.term_sums import Sums, term_sums
from tasks.words.tokens import TermLists

TERMS = 6


def random_pool(seed: int, rows: int, weighted: bool) -> Pool:
    rng = np.random.default_rng(seed)
    state = rng.integers(0, 4, rows).astype(np.int8)
    mass = np.where((state == KEPT) & weighted, np.round(rng.lognormal(0, 0.5, rows) * UNIT), 0.0)
    group = np.where((rng.random(rows) < 0.5) & (state != UNUSABLE), rng.integers(0, max(rows // 4, 1), rows), -1)
    size = np.bincount(group[group >= 0], minlength=1)
    number = np.append(np.where(size > 1, np.cumsum(size > 1) - 1, -1), -1)
    return Pool(state, mass, number[group].astype(np.int32), size[size > 1])


def random_lists(seed: int, rows: int) -> TermLists:
    """Terms of any order; a repeat is marked."""
    rng, lists = np.random.default_rng(seed + 1), []
    for _ in range(rows):
        terms = rng.integers(0, TERMS, rng.integers(0, 5))
        again = [term in terms[:i] for i, term in enumerate(terms)]
        lists.append(np.where(again, ~terms, terms).astype(np.int32))
    return TermLists(np.cumsum([0, *map(len, lists)]), np.concatenate([np.empty(0, np.int32), *lists]))


def in_sql(lists: TermLists, pool: Pool) -> tuple[pa.Table, pa.Table | None]:
    """The rows of counted.sql, and with weights of influence.sql, by term."""
    rows = np.repeat(np.arange(len(pool.state)), lists.lengths)
    first, usable = lists.terms >= 0, np.flatnonzero(pool.state != UNUSABLE)
    unit = np.where(pool.unit >= 0, pool.unit, len(pool.size) + np.arange(len(pool.state)))
    sizes, masses = np.bincount(unit[usable]), np.bincount(unit, pool.mass)
    columns = {
        "sample": usable,
        "unit": unit[usable],
        "unit_size": sizes[unit[usable]],
        "unfiltered": pool.state[usable] > REMOVED,
        "kept": pool.state[usable] == KEPT,
        "mass": pool.mass[usable].astype(np.int64),
        "unit_mass": masses[unit[usable]].astype(np.int64),
    }
    tables = {"pool": pa.table(columns), "token": pa.table({"sample": rows[first], "term": lists.terms[first]})}
    with database(tables) as db:
        counted = db.run("audit", "counted").sort_by("term")
        if not pool.mass.any():
            return counted, None
        units = len(np.unique(unit[usable]))
        db.add("audited", counted.rename_columns(["term_id", *counted.column_names[1:]]))
        return counted, db.run("audit", "influence", units=float(units), mean_mass=pool.mass.sum() / units)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 40), st.booleans())
def test_sums_and_influence_are_those_of_the_sql(seed: int, rows: int, weighted: bool) -> None:
    pool, lists = random_pool(seed, rows, weighted), random_lists(seed, rows)
    sums, influence = term_sums(lists, np.arange(TERMS), pool)
    counted, moved = in_sql(lists, pool)
    held = np.flatnonzero(sums.n_pool)
    np.testing.assert_array_equal(held, counted["term"].to_numpy())
    for name in Sums._fields:
        np.testing.assert_array_equal(getattr(sums, name)[held], counted[name].to_numpy(), err_msg=name)
    assert (influence is None) == (moved is None)
    if influence is not None and moved is not None:
        place = moved["term_id"].to_numpy()
        np.testing.assert_allclose(influence.second[place], moved["second"].to_numpy(), atol=1e-5, rtol=1e-6)
        np.testing.assert_allclose(influence.fourth[place], moved["fourth"].to_numpy(), atol=1e-5, rtol=1e-6)
        assert np.isnan(np.delete(influence.second, place)).all()


@pytest.mark.parametrize(("name", "value"), [("ROWS", 7), ("GATHERED", 5), ("REMEMBERED", 0)])
def test_no_figure_depends_on_the_size_of_blocks(monkeypatch: pytest.MonkeyPatch, name: str, value: int) -> None:
    pool, lists = random_pool(3, 200, True), random_lists(3, 200)
    whole, moved = term_sums(lists, np.arange(TERMS), pool)
    monkeypatch.setattr(kernel, name, value)
    sums, influence = term_sums(lists, np.arange(TERMS), pool)
    for one, other in zip(sums, whole, strict=True):
        np.testing.assert_array_equal(one, other)
    assert influence is not None and moved is not None
    np.testing.assert_allclose(influence.second, moved.second, rtol=1e-12)
    np.testing.assert_allclose(influence.fourth, moved.fourth, rtol=1e-12)


def test_only_the_terms_that_are_asked_for_are_counted() -> None:
    pool, lists = random_pool(5, 60, True), random_lists(5, 60)
    everything, _ = term_sums(lists, np.arange(TERMS), pool)
    some, influence = term_sums(lists, np.array([-1, 1, -1, -1, 0, -1]), pool)
    np.testing.assert_array_equal(some.n_pool, everything.n_pool[[4, 1]])
    np.testing.assert_array_equal(some.squares, everything.squares[[4, 1]])
    assert influence is not None and len(influence.second) == 2


def test_equal_weights_move_a_term_in_every_group_by_nothing() -> None:
    state, lists = np.full(50, KEPT, np.int8), TermLists(np.arange(51), np.zeros(50, np.int32))
    pool = Pool(state, np.full(50, 1.5 * UNIT), np.full(50, -1, np.int32), np.empty(0, np.int64))
    _, influence = term_sums(lists, np.arange(1), pool)
    assert influence is not None
    assert influence.second.tolist() == influence.fourth.tolist() == [0]
    assert np.isnan(influence.effective_groups).all()
