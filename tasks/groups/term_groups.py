"""Term groups and attributes, read from TOML: which captions speak of whom, and of what they are described as.

    [groups.woman]                          terms: the caption has one of these words or phrases
    [groups."dark-skinned woman"]           all: it is in all of these groups; without: in none of those
    [groups."origin/asian/japanese"]        a path: whoever is in it is in "origin/asian" and in "origin", too
    [attributes.sexualised]                 terms, or a category's score above a threshold, with labels that correct it

Words are the field's proxy for people and say nothing of who is in an image (docs/groups.md).
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Final

from tasks.errors import ConfigError
from tasks.groups.drawn_labels import DrawnLabels, read_drawn
from tasks.words import tokens

_NAME: Final = re.compile(r"\w(?:[\w '&+.-]*\w)?(?:/\w(?:[\w '&+.-]*\w)?)*")
_SHAPE: Final = "letters and digits, inside them also spaces and ' & + . _ -, with / between the steps of a path"


@dataclass(frozen=True)
class Group:
    """In it: captions with one of the terms, in all of `all`, in none of `without`; and whoever is in a group below."""

    name: str
    terms: tuple[str, ...] = ()  # as tokens with spaces between
    all: tuple[str, ...] = ()  # names of groups
    without: tuple[str, ...] = ()  # names of groups


@dataclass(frozen=True)
class Attribute:
    """What captions, or a classifier, say of an image. Terms, or a classifier and a threshold."""

    name: str
    terms: tuple[str, ...] = ()
    classifier: str | None = None  # a category; the version has its score
    above: float | None = None  # the score that is exceeded, in [0, 1)
    drawn: DrawnLabels | None = None  # labels that correct the classifier, which groups/label_draw.py drew


@dataclass(frozen=True)
class TermGroups:
    """Groups and attributes in order of their names; every path's parents are groups."""

    groups: tuple[Group, ...] = ()
    attributes: tuple[Attribute, ...] = ()

    @property
    def digest(self) -> str:
        """sha256 of what the groups mean, whatever the file's path, order, comments and spelling of terms."""
        facts = [[asdict(one) for one in kind] for kind in (self.groups, self.attributes)]
        return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def parts(self) -> dict[str, list[str]]:
        """Name → the groups right below it."""
        found: dict[str, list[str]] = {group.name: [] for group in self.groups}
        for name in found:
            if "/" in name:
                found[name.rpartition("/")[0]].append(name)
        return found

    def needs(self) -> dict[str, set[str]]:
        """Name → the groups whose members have to be known first."""
        parts = self.parts()
        return {group.name: {*group.all, *group.without, *parts[group.name]} for group in self.groups}

    def terms_below(self) -> dict[str, frozenset[str]]:
        """Name → terms that may bring a caption into the group: its own, those of groups that it demands or holds."""
        known, parts, found = {group.name: group for group in self.groups}, self.parts(), dict[str, frozenset[str]]()
        for name in TopologicalSorter(self.needs()).static_order():
            others = (found[other] for other in (*known[name].all, *parts[name]))
            found[name] = frozenset(known[name].terms).union(*others)
        return found


def read_groups(path: Path) -> TermGroups:
    """The groups and attributes of a TOML file. Raises ConfigError, which names the file, the group and the value."""
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except OSError as problem:
        raise ConfigError(f"{path}: a file of term groups was expected: {problem.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise ConfigError(f"{path} is not TOML: {problem}") from None
    return parse_groups(values, str(path), path.parent)


def parse_groups(values: Mapping[str, Any], where: str, folder: Path = Path()) -> TermGroups:
    """The groups and attributes of plain values; `where` begins each message. Raises ConfigError.

    folder: what the paths of labels are relative to.
    """
    _known_keys(values, ("groups", "attributes"), where)
    groups = _each(values, "groups", where, _group)
    attributes = _each(values, "attributes", where, partial(_attribute, folder=folder))
    parents = {name[: at.start()] for name in groups for at in re.finditer("/", name)}
    groups |= {name: Group(name) for name in parents - groups.keys()}
    _distinct(groups, f"{where}: groups")
    found = TermGroups(tuple(map(groups.__getitem__, sorted(groups, key=_steps))), _sorted(attributes))
    _check_references(found, where)
    _check_cycles(found, where)
    _check_contradictions(found, where)
    return found


def _steps(name: str) -> list[str]:
    return name.split("/")


def _sorted(attributes: Mapping[str, Attribute]) -> tuple[Attribute, ...]:
    return tuple(attributes[name] for name in sorted(attributes))


def _known_keys(values: Any, known: tuple[str, ...], where: str) -> None:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: a table with {', '.join(known)} was expected, {values!r} was found")
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(f"{where}: unknown key {unknown[0]!r}; known are: {', '.join(known)}")


def _each(values: Mapping[str, Any], kind: str, where: str, parse: Callable[[str, Any, str], Any]) -> dict[str, Any]:
    """Name → what stands in [<kind>.<name>]."""
    tables = values.get(kind, {})
    if not isinstance(tables, Mapping):
        raise ConfigError(f"{where}: {kind}: tables [{kind}.NAME] were expected, {tables!r} was found")
    found = {}
    for name, table in tables.items():
        here = f"{where}: {kind}.{name!r}"
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{here}: a name of {_SHAPE} was expected; rename it")
        found[_plain(name)] = parse(_plain(name), table, here)
    _distinct(tables, f"{where}: {kind}")
    return found


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _distinct(names: Iterable[str], where: str) -> None:
    """Raise ConfigError for two names that differ in case, spaces or Unicode form only."""
    seen: dict[str, str] = {}
    for name in names:
        folded = " ".join(unicodedata.normalize("NFC", name).casefold().split())
        if folded in seen:
            raise ConfigError(f"{where}: {seen[folded]!r} and {name!r} are one name; keep one of them")
        seen[folded] = name


def _group(name: str, table: Any, where: str) -> Group:
    _known_keys(table, ("terms", "all", "without"), where)
    group = Group(name, _terms(table, where), *(_references(table, key, where) for key in ("all", "without")))
    if not group.terms and not group.all:
        raise ConfigError(f"{where}: `terms` or `all` was expected, none was found; give words, or groups to intersect")
    return group


def _attribute(name: str, table: Any, where: str, folder: Path) -> Attribute:
    _known_keys(table, ("terms", "classifier", "above", "labels"), where)
    keys = table.keys() - {"labels"} if "classifier" in table else table.keys()
    if keys not in ({"terms"}, {"classifier", "above"}):
        found = ", ".join(table) or "nothing"
        raise ConfigError(f"{where}: either `terms`, or `classifier` and `above`, was expected; {found} was found")
    if "terms" in table:
        return Attribute(name, _terms(table, where))
    classifier, above = table["classifier"], table["above"]
    if not isinstance(classifier, str) or not classifier:
        raise ConfigError(f"{where}: classifier: a category's name was expected, {classifier!r} was found")
    if isinstance(above, bool) or not isinstance(above, int | float) or not 0 <= above < 1:
        raise ConfigError(f"{where}: above: a score of at least 0 and below 1 was expected, {above!r} was found")
    return Attribute(name, (), classifier, float(above), _drawn(table, where, folder))


def _drawn(table: Mapping[str, Any], where: str, folder: Path) -> DrawnLabels | None:
    labels = table.get("labels")
    if labels is not None and not (isinstance(labels, str) and labels):
        raise ConfigError(f"{where}: labels: the path of a CSV file was expected, {labels!r} was found")
    return read_drawn(folder / labels) if labels is not None else None


def _strings(table: Mapping[str, Any], key: str, where: str) -> list[str]:
    values = table.get(key, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ConfigError(f"{where}: {key}: a list of texts was expected, {values!r} was found")
    if key in table and not values:
        raise ConfigError(f"{where}: {key}: at least one was expected, none was found; add one, or leave the key out")
    return values


def _terms(table: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """Terms as their tokens; a term is only ever text, whatever characters it has."""
    seen: dict[str, str] = {}
    for term in _strings(table, "terms", where):
        plain = " ".join(tokens.tokenise(term))
        if not plain:
            raise ConfigError(f"{where}: terms: {term!r} has no letter or digit; a word or phrase was expected")
        if plain in seen:
            raise ConfigError(f"{where}: terms: {seen[plain]!r} and {term!r} are one term, {plain!r}; keep one of them")
        seen[plain] = term
    return tuple(sorted(seen))


def _references(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    names = [_plain(name) for name in _strings(table, key, where)]
    _distinct(names, f"{where}: {key}")
    return tuple(sorted(names))


def _check_references(found: TermGroups, where: str) -> None:
    known = {group.name for group in found.groups}
    named = [(f"groups.{group.name!r}", group.name, (*group.all, *group.without)) for group in found.groups]
    named += [(f"attributes.{one.name!r}: labels", "", one.drawn.among) for one in found.attributes if one.drawn]
    for here, self, names in named:
        for name in names:
            if name not in known:
                raise ConfigError(
                    f"{where}: {here}: there is no group {name!r}; known are: "
                    f"{', '.join(sorted(known - {self})) or 'none'}"
                )


def _check_cycles(found: TermGroups, where: str) -> None:
    try:
        TopologicalSorter(found.needs()).prepare()
    except CycleError as problem:
        path = " needs ".join(repr(name) for name in reversed(problem.args[1]))
        raise ConfigError(
            f"{where}: groups: {path}; a group cannot rest on itself (and one with a path below it rests on those): "
            "name the intersection outside that path, or drop one reference"
        ) from None


def _check_contradictions(found: TermGroups, where: str) -> None:
    """Raise ConfigError for `without` a group in which every member of a demanded group is."""
    for group in found.groups:
        clash = sorted(_implied(found, group.all) & set(group.without))
        if clash:
            raise ConfigError(
                f"{where}: groups.{group.name!r}: `without` {clash[0]!r}, in which all that `all` demands "
                f"({', '.join(group.all)}) are: no caption could be in it; drop one of them"
            )


def _implied(found: TermGroups, names: Iterable[str]) -> set[str]:
    """The groups that whoever is in all of these groups is in: them, what they demand, and the paths above."""
    known, parts = {group.name: group for group in found.groups}, found.parts()
    implied, todo = set[str](), list(names)
    while todo:
        name = todo.pop()
        if name not in implied:
            implied.add(name)
            todo += [name.rpartition("/")[0]] if "/" in name else []
            todo += known[name].all if not parts[name] else []
    return implied
