"""What a configuration declares of weights, and which captions its names mean.

A name that `reweight.restore` or a file of targets gives is a term group, else an attribute of the groups' file, else
a word or phrase of captions. An audited keyword is a word or phrase, unless a target names a group that is called so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.errors import ConfigError
from tasks.groups import membership
from tasks.groups.term_groups import Attribute, TermGroups, read_groups
from tasks.lake import Version
from tasks.weights.features import Terms
from tasks.weights.targets import Targets, read_targets
from tasks.words import tokens

if TYPE_CHECKING:
    from scipy.sparse import csc_array


NO_GROUPS: Final = TermGroups()


@dataclass(frozen=True)
class Declared:
    """What weights should meet."""

    restore: tuple[str, ...]  # names whose pool share is met exactly; words and phrases as their tokens
    targets: Targets | None = None
    groups: TermGroups = NO_GROUPS
    words: frozenset[str] = (
        frozenset()
    )  # of what is restored, those that mean a word or phrase whatever groups there are

    def names(self) -> tuple[str, ...]:
        """Everything that is named: what is restored, in order, then what only targets name."""
        return tuple(dict.fromkeys([*self.restore, *(self.targets.groups() if self.targets else ())]))

    def digests(self) -> dict[str, str]:
        """What the files mean, wherever they lie."""
        return {
            "targets": self.targets.digest() if self.targets is not None else "",
            "groups": self.groups.digest if self.groups != NO_GROUPS else "",
        }


def declare(restore: Sequence[str] | None, keywords: Sequence[str], targets: str, groups: str) -> Declared:
    """Of names to restore, by default the audited keywords, and of the paths of two TOML files, "" where there is none.

    What the targets' file says of `restore` goes before what the configuration says. Raises ConfigError for a file
    that cannot be read, a wrong value, a name without letter or digit.
    """
    known = read_groups(Path(groups)) if groups else NO_GROUPS
    declared = _plain(read_targets(Path(targets)), known) if targets else None
    if declared is not None and declared.restore is not None:
        restore = declared.restore
    if restore is not None:
        return Declared(_names(restore, known), declared, known)
    words = _names(keywords, NO_GROUPS)
    return Declared(words, declared, known, frozenset(words) - set(declared.groups() if declared is not None else ()))


def _names(names: Sequence[str], groups: TermGroups) -> tuple[str, ...]:
    return tuple(dict.fromkeys(plain_name(name, groups, "reweight.restore") for name in names))


def plain_name(name: str, groups: TermGroups, where: str) -> str:
    """The name of a group or attribute as it is, anything else as its tokens. Raises ConfigError where it has none."""
    if name in {one.name for one in groups.groups} | {one.name for one in groups.attributes}:
        return name
    plain = " ".join(tokens.tokenise(name))
    if not plain:
        raise ConfigError(f"{where}: {name!r} has no letter or digit; a group, a word or a phrase was expected")
    return plain


def _plain(declared: Targets, groups: TermGroups) -> Targets:
    """The targets with their names as `plain_name` has them. Raises ConfigError for two shares of one name."""

    def plain(name: str) -> str:
        return plain_name(name, groups, declared.source)

    margins = {plain(name): share for name, share in declared.margins.items()}
    conditionals = {(plain(name), plain(of)): share for (name, of), share in declared.conditionals.items()}
    if len(margins) < len(declared.margins) or len(conditionals) < len(declared.conditionals):
        raise ConfigError(f"{declared.source}: two targets are of one name, in another spelling; remove one of them")
    return replace(
        declared,
        margins=dict(sorted(margins.items())),
        conditionals=dict(sorted(conditionals.items())),
        independents=tuple(sorted({(plain(name), plain(attribute)) for name, attribute in declared.independents})),
        restore=None if declared.restore is None else tuple(sorted({plain(name) for name in declared.restore})),
    )


def classifiers(declared: Declared) -> list[str]:
    """The categories whose scores decide who is in what is named."""
    named = set(declared.names()) - {group.name for group in declared.groups.groups} - declared.words
    return sorted({one.classifier for one in declared.groups.attributes if one.classifier and one.name in named})


def captions_of(version: Version, declared: Declared, usable: NDArray[np.bool_]) -> Terms:
    """Which usable captions each declared name means. Tokens must have been written.

    Raises ConfigError for an attribute whose classifier's score the version does not have.
    """
    names = declared.names()
    free = set(names) - declared.words
    groups = {group.name for group in declared.groups.groups} & free
    scored = {one.name: one for one in declared.groups.attributes if one.classifier and one.name in free}
    of_terms = {one.name: one.terms for one in declared.groups.attributes if one.terms and one.name in free}
    rows = {name: held for name, held in _members(version, declared.groups).items() if name in groups} if groups else {}
    rows |= {name: _above(version, one) for name, one in scored.items() if name not in groups}
    rows |= _by_terms(version, {name: of_terms.get(name, (name,)) for name in names if name not in rows})
    return _terms(names, [rows[name][usable[rows[name]]] for name in names], len(usable))


def _members(version: Version, groups: TermGroups) -> dict[str, NDArray[np.int64]]:
    return _rows(membership.members(version, groups))


def _by_terms(version: Version, named: Mapping[str, Sequence[str]]) -> dict[str, NDArray[np.int64]]:
    return _rows(membership.members_by_terms(version, named)) if named else {}


def _rows(found: membership.Members) -> dict[str, NDArray[np.int64]]:
    """Name → samples."""
    samples, groups = (found.table[name].to_numpy().astype(np.int64) for name in ("sample", "group"))
    order = np.argsort(groups, kind="stable")
    ends = np.searchsorted(groups[order], np.arange(len(found.names) + 1))
    return {name: samples[order[ends[i] : ends[i + 1]]] for i, name in enumerate(found.names)}


def _above(version: Version, attribute: Attribute) -> NDArray[np.int64]:
    """Samples whose score exceeds the attribute's threshold."""
    column = f"score.{attribute.classifier}"
    if column not in version.columns:
        raise ConfigError(
            f"attributes.{attribute.name!r}: classifier: the version has no score of {attribute.classifier!r}; "
            "add the category to the filter, or take the attribute out of the targets"
        )
    scores = version.table(column, ["score"])["score"]
    return np.flatnonzero(pc.fill_null(pc.greater(scores, attribute.above), False).to_numpy())


def _terms(names: tuple[str, ...], rows: Sequence[NDArray[np.int64]], count: int) -> Terms:
    from scipy.sparse import csc_array

    ends = np.cumsum([0, *map(len, rows)])
    places = np.concatenate([np.empty(0, np.int64), *rows])
    has: csc_array = csc_array((np.ones(len(places)), places, ends), shape=(count, len(names)))
    return Terms(names, has)


def refuse_unknown(declared: Declared, known: Sequence[str]) -> None:
    """Raise ConfigError where a target is of a classifier that no category of the filter trains."""
    for name in classifiers(declared):
        if name not in known:
            raise ConfigError(
                f"{declared.targets.source if declared.targets else 'reweight.restore'}: it rests on scores for "
                f"{name!r}, and no filter.category has that name; known are: {', '.join(sorted(known)) or 'none'}"
            )
