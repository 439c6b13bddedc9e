"""Which sample is in which term group: found on the stored tokens, a caption counts once however often it has a term.

Groups that are terms alone, and paths of such groups, are one join. The others rest on groups whose members are known
by then, level by level. A phrase's candidates are captions with all its words; only these are read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks import tokens
from tasks.lake import Version
from tasks.queries import Database, database
from tasks.term_groups import Group, TermGroups

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
    with database({}) as db:
        _add_terms(db, version, {number[name]: terms for name, terms in sets.items()})
        found = _sorted(db.run("association", "members_by_terms"))
        for level in _levels(groups, sets):
            db.add("member", found)
            db.add("rule", _rules(level, groups, number))
            found = _sorted(pa.concat_tables([found, db.run("association", "members_by_groups").cast(MEMBERS)]))
    if len(number) > len(names):
        found = found.filter(pc.less(found["group"], len(names)))
    return Members(tuple(names), found)


def _sorted(table: pa.Table) -> pa.Table:
    """By sample, then group, each pair once: as one number, measured several times faster than distinct in SQL."""
    pairs = (table["sample"].to_numpy().astype(np.int64) << 32) | table["group"].to_numpy()
    pairs.sort(kind="stable")  # the join leaves long runs in order
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]
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


def _add_terms(db: Database, version: Version, sets: Mapping[int, Sequence[str]]) -> None:
    """Add `token` (one row a sample and term that it has) and `group_term` (one row a set and term of it)."""
    stored = tokens.read_tokens(version)
    asked = sorted({term for terms in sets.values() for term in terms})
    places = pc.index_in(pa.array(asked, pa.string()), stored.vocabulary).to_pylist()
    phrases = [term for term, place in zip(asked, places, strict=True) if place is None and " " in term]
    number = {term: place for term, place in zip(asked, places, strict=True) if place is not None}
    number |= {phrase: len(stored.vocabulary) + i for i, phrase in enumerate(phrases)}
    rows = [(group, number[term]) for group, terms in sets.items() for term in terms if term in number]
    names = ["group", "term"]
    db.add("group_term", pa.table([pa.array([row[i] for row in rows], pa.int32()) for i in (0, 1)], names=names))
    token = pa.table({"sample": stored.samples, "term": stored.terms})
    db.add("token", token)
    if phrases:
        held = _phrase_tokens(db, version, {number[phrase]: phrase for phrase in phrases}, stored.vocabulary)
        db.add("token", pa.concat_tables([token, held]))


def _phrase_tokens(db: Database, version: Version, phrases: Mapping[int, str], vocabulary: pa.StringArray) -> pa.Table:
    """sample (int32), term (int32): one row a caption and phrase that stands in it, token beside token."""
    pairs = [(term, word) for term, phrase in phrases.items() for word in dict.fromkeys(phrase.split(" "))]
    places = pc.index_in(pa.array([word for _, word in pairs]), vocabulary).fill_null(-1)
    db.add("phrase_word", pa.table({"phrase": pa.array([term for term, _ in pairs], pa.int32()), "term": places}))
    found = db.run("audit", "phrase_candidates").select(["sample", "term"])
    if not len(found):
        return found
    rows = pc.unique(found["sample"])
    captions = version.table("samples", ["caption"])["caption"].take(rows).to_pylist()
    texts = dict(
        zip(rows.to_pylist(), (f" {' '.join(tokens.tokenise(caption))} " for caption in captions), strict=True)
    )
    samples, terms = found["sample"].to_pylist(), found["term"].to_pylist()
    held = [f" {phrases[term]} " in texts[sample] for sample, term in zip(samples, terms, strict=True)]
    return found.filter(pa.array(held))
