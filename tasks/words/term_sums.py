"""Sums over captions of what became of each, term by term: the inner loop of the audit.

sql/audit/counted.sql and influence.sql state the questions, and the tests compare. DuckDB answers them in several
seconds for 3,000,000 captions, most of that to join a caption's verdict to its words and to group words by
near-duplicate group. Captions and lists stand in one order here, so that nothing is joined: lists are a sparse matrix,
sums a product. Only captions that have near-duplicates are grouped. Blocks are added in their order, so that a sum does
not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from math import comb
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.words.audit_pool import KEPT, UNIT, Pool, powers_of
from tasks.words.changes import Influence, divide
from tasks.words.tokens import THREADS, TermLists

ROWS = 50_000  # captions of a block: its words and their sums stay in a processor's cache
GATHERED = 2**19  # words of captions with near-duplicates that are grouped at a time
REMEMBERED = 2**24  # words of captions with near-duplicates, up to which their groups are found once and not twice

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Sums(NamedTuple):
    """Of each of t terms, over usable captions: the columns of sql/audit/counted.sql."""

    n_pool: Ints
    n_units: Ints
    reference: Ints
    n_after_filter: Ints
    n_kept: Ints
    mass: Ints
    squares: Ints
    kept_squares: Ints
    crossed: Ints


class Runs(NamedTuple):
    """Terms of near-duplicate groups: one row a term and group with it. Small numbers: there are many rows."""

    term: NDArray[np.int32]
    unit: NDArray[np.int32]
    captions: NDArray[np.int32]  # of the group, with the term
    kept: NDArray[np.int32]
    mass: Floats


def term_sums(lists: TermLists, number: NDArray[np.integer], pool: Pool) -> tuple[Sums, Influence | None]:
    """The counts of t terms, and with weights how far the groups move each term's weighted change.

    number: (terms of the lists,) place of each among the t that are counted, −1 of those that are not. Quickest where
    frequent terms come first: their sums then lie together.
    """
    place = np.append(number + 1, 0).astype(np.int32)  # 0 is of what is not counted; −1, the last, of repeats
    moments = _moments(lists, place, pool)
    grouped = _Grouped(lists, place, pool)
    sums = _sums(moments, grouped, pool)
    return sums, _influence(sums, moments, grouped, pool) if pool.centre else None


def _moments(lists: TermLists, place: NDArray[np.int32], pool: Pool) -> Floats:
    """(t, 3 or 9) sums of the pool's columns over the captions with each term."""
    from scipy.sparse import csr_array

    terms = int(place.max(initial=0)) + 1

    def one(rows: slice) -> Floats:
        block = lists.read(rows)
        held = np.flatnonzero(block.lengths)  # where few captions have any of the terms, the others are passed over
        columns = pool.columns(rows) if len(held) * 2 > len(block.lengths) else pool.columns(held + rows.start)
        ends = block.ends if len(columns) == len(block.lengths) else np.append(0, block.ends[held + 1])
        found = np.take(place, np.maximum(block.terms, -1))
        return csr_array((np.ones(len(found)), found, ends), shape=(len(columns), terms)).T @ columns

    total = one(slice(0, 0))
    for found in in_threads(one, lists.blocks(ROWS) if terms > 1 else ()):
        total += found
    return total[1:]


def in_threads(work: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """The results in order; few of them wait in memory."""
    iterator = iter(items)
    with ThreadPoolExecutor(THREADS) as threads:
        while wave := list(islice(iterator, 2 * THREADS)):
            yield from threads.map(work, wave)


class _Grouped:
    """The runs of captions that have near-duplicates, some groups at a time, as often as they are asked for."""

    def __init__(self, lists: TermLists, place: NDArray[np.int32], pool: Pool) -> None:
        self.lists, self.place, self.pool = lists, place, pool
        rows = pool.grouped if place.max(initial=0) else pool.grouped[:0]
        read = np.cumsum(lists.ends[rows + 1] - lists.ends[rows])
        count = int(read[-1]) if len(read) else 0
        cuts = np.searchsorted(read, np.arange(GATHERED, count, GATHERED))
        groups = pool.unit[rows]
        self.pieces = np.split(rows, np.unique(np.searchsorted(groups, groups[cuts])))  # no group is cut in two
        self.known = list(in_threads(self._runs, self.pieces)) if count <= REMEMBERED else None

    def __iter__(self) -> Iterator[Runs]:
        return iter(self.known) if self.known is not None else in_threads(self._runs, self.pieces)

    def _runs(self, rows: Ints) -> Runs:
        """rows: captions with near-duplicates, by group."""
        lists = self.lists.gather(rows)
        term = np.take(self.place, np.maximum(lists.terms, -1))
        held = np.flatnonzero(term)
        term, row, size = term[held] - 1, np.repeat(rows, lists.lengths)[held], len(self.place)
        key = self.pool.unit[row].astype(np.int64) * size + term
        order = np.argsort(key, kind="stable")  # measured several times faster than quicksort: nearly in order
        key, row = key[order], row[order]
        begins = np.flatnonzero(np.diff(key, prepend=-1))
        unit, captions = self.pool.unit[row[begins]], np.diff(np.append(begins, len(key))).astype(np.int32)
        if not len(key):
            return Runs(unit, unit, unit, unit, np.empty(0))
        term = (key[begins] % size).astype(np.int32)
        kept = np.add.reduceat(self.pool.state[row] == KEPT, begins, dtype=np.int32)
        return Runs(term, unit, captions, kept, np.add.reduceat(self.pool.mass[row], begins))


def _sums(moments: Floats, grouped: Iterable[Runs], pool: Pool) -> Sums:
    n_pool, after, n_kept = moments[:, :3].T.astype(np.int64)
    mass = moments[:, 3].astype(np.int64) if moments.shape[1] > 3 else np.zeros_like(n_pool)
    n_units, squares, kept_squares = n_pool.copy(), n_pool.copy(), n_kept.copy()
    reference, crossed = n_pool * UNIT, n_pool.copy()
    for runs in grouped:
        sizes, captions = pool.size[runs.unit], runs.captions.astype(np.int64)
        reference += _by_term(runs.term, np.round(captions * UNIT / sizes) - captions * UNIT, len(n_pool))
        crossed += _by_term(runs.term, captions * (sizes - 1), len(n_pool))
        several = np.flatnonzero(captions > 1)
        term, count, kept = runs.term[several], captions[several], runs.kept[several].astype(np.int64)
        n_units -= _by_term(term, count - 1, len(n_pool))
        squares += _by_term(term, count * (count - 1), len(n_pool))
        kept_squares += _by_term(term, kept * (kept - 1), len(n_pool))
    return Sums(n_pool, n_units, reference, after, n_kept, mass, squares, kept_squares, crossed)


def _by_term(term: NDArray[np.int32], values: NDArray[np.number], terms: int) -> Ints:
    """(t,) sums of whole numbers: exact, as they are below 2^53."""
    return np.bincount(term, values, minlength=terms).astype(np.int64)


def _influence(sums: Sums, moments: Floats, grouped: Iterable[Runs], pool: Pool) -> Influence:
    """How far the near-duplicate groups move each term's weighted change (sql/audit/influence.sql).

    A group moves it by z = p · units · (mass with the term) / (term's mass) − (part that has it) + p · e, with p the
    term's share of the groups and e = 1 − (group's mass) / (mean mass); one without the term by p · e. Of captions that
    stand alone both are linear in d, and sums of the powers of d do.
    """
    share = sums.reference / UNIT / pool.units
    slope = divide(sums.reference / UNIT, sums.mass)  # p · units / (term's mass); NaN where it has none
    rise, fall = pool.centre * (slope - share / pool.mean), -share * pool.centre / pool.mean
    totals, light = [], sums.n_pool - moments[:, 4]  # light: captions without mass, and grouped ones, taken off below
    for power, everyone in zip((2, 4), pool.everyone, strict=True):
        total = share**power * everyone
        total += _power_sum(moments[:, 4:], rise + share - 1, rise, power)
        total -= _power_sum(moments[:, 4:], share + fall, fall, power)
        totals.append(total)

    def moved(runs: Runs) -> tuple[NDArray[np.number], ...]:
        expected = share[runs.term] * pool.away[runs.unit]
        held = slope[runs.term] * runs.mass - runs.captions / pool.size[runs.unit] + expected
        held, expected = held * held, expected * expected
        differences = held - expected, held * held - expected * expected
        return tuple(np.bincount(runs.term, of, minlength=len(share)) for of in (runs.captions, *differences))

    for captions, *found in in_threads(moved, grouped):
        light -= captions
        totals = [total + more for total, more in zip(totals, found, strict=True)]
    for i, power in enumerate((2, 4)):
        totals[i] += light * ((share - 1) ** power - share**power)
    second, fourth = (np.maximum(np.round(total * UNIT) / UNIT, 0) for total in totals)  # 0 stays 0
    return Influence(second, fourth, share, pool.units)


def _power_sum(powers: Floats, constant: Floats, slope: Floats, power: int) -> Floats:
    """(t,) sums of (constant + slope · d)^power from (t, 5) sums of 1, d, … d⁴."""
    constants, slopes = powers_of(constant, power), powers_of(slope, power)
    terms = [comb(power, k) * constants[power - k] * slopes[k] * powers[:, k] for k in range(power + 1)]
    total: Floats = np.add.reduce(terms)
    return total
