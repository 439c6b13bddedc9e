"""Which sample is in which term group: found on the stored tokens, a caption counts once however often it has a term.

Groups that are terms alone, and paths of such groups, take one look at each word, a block of captions at a time: a join
in SQL took several times as long. The others rest on groups whose members are known by then, level by level.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.groups.term_groups import Group, TermGroups
from tasks.lake import Version
from tasks.queries import database
from tasks.words.phrases import standing
from tasks.words.term_sums import ROWS, in_threads
from tasks.words.tokens import TermLists, read_words

Pairs = NDArray[np.int64]

MEMBERS = pa.schema([("sample", pa.int32()), ("group", pa.int32())])


class Members(NamedTuple):
    """Which sample is in which of the named sets."""

    names: tuple[str, ...]  # (g,)
    table: pa.Table  # MEMBERS, sorted: sample is a place in the version's tables, group one in names


def members(version: Version, groups: TermGroups) -> Members:
    """The samples of each group, groups in their order. Tokens must have been written."""
    return _members(version, _sets(groups), groups)


def members_by_terms(version: Version, named: Mapping[str, Sequence[str]]) -> Members:
    """The samples of each named set of terms, in the order given. Tokens must have been written."""
    groups = tuple(Group(name, tuple(terms)) for name, terms in named.items())
    return _members(version, {name: tuple(terms) for name, terms in named.items()}, TermGroups(groups))


def _members(version: Version, sets: Mapping[str, Sequence[str]], groups: TermGroups) -> Members:
    """sets: terms of what is found by terms alone, of groups and of the terms that other groups begin with."""
    names = [group.name for group in groups.groups]
    number = {name: i for i, name in enumerate([*names, *(name for name in sets if name not in set(names))])}
    found = _by_terms(version, {number[name]: terms for name, terms in sets.items()})
    with database({}) as db:
        for level in _levels(groups, sets):
            rules = _rules(level, groups, number)
            db.add("rule", rules)
            db.add("member", found.filter(pc.is_in(found["group"], rules["other"].combine_chunks())))
            found = _sorted(pa.concat_tables([found, db.run("association", "members_by_groups").cast(MEMBERS)]))
    if len(number) > len(names):
        found = found.filter(pc.less(found["group"], len(names)))
    return Members(tuple(names), found)


def _sorted(table: pa.Table) -> pa.Table:
    """By sample, then group, each pair once."""
    return _table(_different(table["sample"].to_numpy().astype(np.int64) << 32 | table["group"].to_numpy()))


def _different(pairs: Pairs) -> Pairs:
    """Sorted, each once."""
    pairs.sort(kind="stable")  # they are long runs in order
    return pairs[np.diff(pairs, prepend=-1) > 0]


def _table(pairs: Pairs) -> pa.Table:
    """(k,) sample · 2³² + group → MEMBERS"""
    return pa.table([(pairs >> 32).astype(np.int32), (pairs & 0xFFFFFFFF).astype(np.int32)], schema=MEMBERS)


def _sets(groups: TermGroups) -> dict[str, tuple[str, ...]]:
    """Name → terms, of each group that terms alone decide; and a nameless set of the terms of each other group."""
    known, parts, sets = {group.name: group for group in groups.groups}, groups.parts(), dict[str, tuple[str, ...]]()
    for name in TopologicalSorter(groups.needs()).static_order():
        group = known[name]
        if not group.all and not group.without and all(part in sets for part in parts[name]):
            below = [term for part in parts[name] for term in sets[part]]
            sets[name] = tuple(dict.fromkeys([*group.terms, *below]))
        elif group.terms:
            sets[_own(name)] = group.terms
    return sets


def _own(name: str) -> str:
    """What the terms of a group are called where they alone do not decide; no group's name ends so."""
    return f"{name}/"


def _levels(groups: TermGroups, sets: Mapping[str, Sequence[str]]) -> Iterable[list[str]]:
    """The groups that terms alone do not decide, each after those that it needs."""
    order = TopologicalSorter(groups.needs())
    order.prepare()
    while order.is_active():
        ready = list(order.get_ready())
        order.done(*ready)
        level = [name for name in ready if name not in sets]
        if level:
            yield level


def _rules(level: Iterable[str], groups: TermGroups, number: Mapping[str, int]) -> pa.Table:
    """One row a group of this level and group that it demands (all), excludes (without) or holds (part)."""
    known, parts = {group.name: group for group in groups.groups}, groups.parts()
    rows = []
    for name in level:
        group = known[name]
        demanded = [*group.all, *([_own(name)] if group.terms else [])]
        kinds = {"all": demanded, "without": group.without, "part": parts[name]}
        rows += [(number[name], kind, number[other]) for kind, others in kinds.items() for other in others]
    columns = list(zip(*rows, strict=True))
    return pa.table([pa.array(column) for column in columns], names=["group", "kind", "other"])


class Asked(NamedTuple):
    """Which sets each of t terms is in: sets[ends[i] : ends[i + 1]]."""

    ends: NDArray[np.int64]  # (t + 1,)
    sets: NDArray[np.int64]


def _by_terms(version: Version, sets: Mapping[int, Sequence[str]]) -> pa.Table:
    """MEMBERS of the sets, each by its terms: words, and words joined by spaces."""
    words = read_words(version)
    sets_of: dict[str, list[int]] = {}
    for number, terms in sets.items():
        for term in dict.fromkeys(terms):
            sets_of.setdefault(term, []).append(number)
    phrases = [term for term in sets_of if " " in term]
    places = pc.index_in(pa.array(list(sets_of), pa.string()), words.vocabulary).fill_null(-1).to_numpy()
    singles = [(term, place) for term, place in zip(sets_of, places, strict=True) if place >= 0]
    asked = np.full(len(words.vocabulary) + 1, -1, np.int32)  # the last, −1, is of a repeat
    asked[[place for _, place in singles]] = np.arange(len(singles))
    found = [_members_of(words.lists, asked, _asked([sets_of[term] for term, _ in singles]))]
    if phrases:
        lists = standing(words, [phrase.split(" ") for phrase in phrases])
        asked = np.append(np.arange(len(phrases), dtype=np.int32), np.int32(-1))
        found.append(_members_of(lists, asked, _asked([sets_of[phrase] for phrase in phrases])))
    return _table(found[0]) if len(found) == 1 else _sorted(pa.concat_tables(map(_table, found)))


def _asked(sets: Sequence[Sequence[int]]) -> Asked:
    ends = np.cumsum([0, *map(len, sets)])
    return Asked(ends, np.array([number for numbers in sets for number in numbers], np.int64))


def _members_of(lists: TermLists, number: NDArray[np.int32], asked: Asked) -> Pairs:
    """Sample · 2³² + set, ascending. number: (terms + 1,) place of a term among those asked for, −1 of others."""

    def one(rows: slice) -> Pairs:
        block = lists.read(rows)
        term = np.take(number, np.maximum(block.terms, -1))
        held = np.flatnonzero(term >= 0)
        term = term[held]
        row = np.repeat(np.arange(rows.start, rows.stop), block.lengths)[held]
        if len(asked.sets) + 1 == len(asked.ends):  # each term in one set
            return _different(row << 32 | asked.sets[term])
        lengths = np.diff(asked.ends)[term]
        offsets = np.repeat(asked.ends[term] - np.cumsum(lengths) + lengths, lengths)
        return _different(np.repeat(row << 32, lengths) | asked.sets[offsets + np.arange(len(offsets))])

    return np.concatenate([np.empty(0, np.int64), *in_threads(one, lists.blocks(ROWS))])
