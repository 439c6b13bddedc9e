"""Declared targets: what the weighted pool should look like, instead of or on top of "as the pool was".

    restore = ["man"]                       # the pool's share of these groups; absent: the groups that the caller names
    [[margin]]                              # half of all weight
    group = "woman"
    share = 0.5
    [[conditional]]                         # half of the weight of doctors
    group = "woman"
    given = "doctor"
    share = 0.5
    [[independent]]                         # the attribute is as frequent within the group as outside it
    group = "asian woman"
    attribute = "sexualised"

The order of the entries says nothing: margins go before conditionals, those before independence, and what is restored
comes last; within a kind, names go by the alphabet.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tasks.errors import ConfigError

Masks = Mapping[str, NDArray[np.bool_]]  # of each group (m,) whether a kept sample is in it

KEYS: Final[dict[str, tuple[str, ...]]] = {  # of each kind of entry
    "margin": ("group", "share"),
    "conditional": ("group", "given", "share"),
    "independent": ("group", "attribute"),
}


@dataclass(frozen=True)
class Targets:
    """What a target file declares, in an order of its own."""

    source: str  # the file's name, for messages
    margins: Mapping[str, float]  # group → share of all weight
    conditionals: Mapping[tuple[str, str], float]  # (group, given) → share of the weight of `given`
    independents: tuple[tuple[str, str], ...]  # (group, attribute)
    restore: tuple[str, ...] | None  # groups that get the pool's share; None: those that the caller names

    def digest(self) -> str:
        """Of what is declared: neither the order nor the file's place or comments count."""
        said = [sorted(self.margins.items()), sorted(self.conditionals.items()), self.independents, self.restore]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    def groups(self) -> list[str]:
        """Every group and attribute that is named, once, by the alphabet."""
        pairs = [*self.conditionals, *self.independents]
        return sorted({*self.margins, *(self.restore or ()), *(name for pair in pairs for name in pair)})


def read_targets(path: Path) -> Targets:
    """Raises ConfigError, naming file, entry and value: no such file, not TOML, unknown keys, a share that is none, two
    different shares of one group."""
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except OSError as problem:
        raise ConfigError(f"{path}: a file of targets was expected: {problem.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise ConfigError(f"{path} is not TOML: {problem}") from None
    for key in values:
        if key not in KEYS and key != "restore":
            expected = ", ".join([f"[[{kind}]]" for kind in KEYS])
            raise ConfigError(f"{path}: {key}: {expected} or restore were expected; remove it, or correct its spelling")
    entries = {kind: _entries(path, kind, values.get(kind, [])) for kind in KEYS}
    margins = _shares(path, "margin", [(one["group"], one["share"]) for one in entries["margin"]])
    given = [((one["group"], one["given"]), one["share"]) for one in entries["conditional"]]
    independents = tuple(sorted({(one["group"], one["attribute"]) for one in entries["independent"]}))
    return Targets(
        str(path), margins, _shares(path, "conditional", given), independents, _restore(path, values.get("restore"))
    )


def _entries(path: Path, kind: str, entries: Any) -> Sequence[Mapping[str, Any]]:
    """The entries of a kind, each of which has the keys of its kind, and no others."""
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise ConfigError(f"{path}: {kind}: tables [[{kind}]] were expected, {entries!r} was found")
    for number, entry in enumerate(entries, 1):
        where = f"{path}: {kind} {number}"
        if sorted(entry) != sorted(KEYS[kind]):
            raise ConfigError(f"{where}: the keys {', '.join(KEYS[kind])} were expected, found: {', '.join(entry)}")
        names = [name for name in KEYS[kind] if name != "share"]
        for name in names:
            _name(f"{where}: {name}", entry[name])
        if len({entry[name] for name in names}) < len(names):
            raise ConfigError(f"{where}: two different groups were expected, {entry['group']!r} was found twice")
        if "share" in entry:
            _share(f"{where} ({entry['group']!r}): share", entry["share"])
    return entries


def _name(where: str, value: Any) -> None:
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{where}: the name of a group was expected, {value!r} was found")


def _share(where: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        advice = "; one half is written 0.5" if isinstance(value, str) or value not in (0, 1) else ""
        raise ConfigError(f"{where}: a number above 0 and below 1 was expected, {value!r} was found{advice}")


def _shares(path: Path, kind: str, declared: Sequence[tuple[Any, float]]) -> dict[Any, float]:
    """Each group's share, by the alphabet."""
    shares: dict[Any, float] = {}
    for name, share in declared:
        if shares.setdefault(name, float(share)) != share:
            said = " given ".join(map(repr, name)) if isinstance(name, tuple) else repr(name)
            raise ConfigError(
                f"{path}: {kind} of {said}: one share was expected, {shares[name]} and {share} were found; remove one"
            )
    return dict(sorted(shares.items()))


def _restore(path: Path, value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise ConfigError(f"{path}: restore: a list of names of groups was expected, {value!r} was found")
    for name in value:
        _name(f"{path}: restore", name)
    return tuple(sorted(set(value)))


def check(targets: Targets, masks: Masks) -> None:
    """Raises ConfigError where a group is unknown, or a group within another is to have the larger share."""
    for name in targets.groups():
        if name not in masks:
            raise ConfigError(
                f"{targets.source}: {name!r}: a group was expected, and none has this name; define it as a term group, "
                f"or correct its spelling (known: {', '.join(sorted(masks)[:10]) or 'none'})"
            )
    for inner, share in targets.margins.items():
        for outer, most in targets.margins.items():
            if share > most and masks[inner].any() and not (masks[inner] & ~masks[outer]).any():
                raise ConfigError(
                    f"{targets.source}: margin of {inner!r}: at most {most} was expected, the share of {outer!r}, in "
                    f"which all of it lies; {share} was found; lower it, or raise the other"
                )
