"""Blocklist: images that are known to a hash list go, whatever anyone says of them, and are never shown.

Two ways of knowing: the sha256 of an image's bytes, and a function of the team's own that recognises altered copies.
What either found stands in the column group `blocked`, one file a part, and says yes or no: nothing tells which entry
of a list it was. What a team does then: docs/blocklist.md.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.classifying import perceptual
from tasks.classifying.perceptual import HOOK, read_flags, write_flags
from tasks.errors import ConfigError
from tasks.files import read_table
from tasks.lake import MapParts, Part, Version

REVISION: Final = 1
GROUP: Final = "blocked"  # the column group of what either way found
REASON: Final = "blocklist"  # all that a decision says of a match


@dataclass(frozen=True)
class Blocklist:
    sha256: str | None = None  # path of a text file, one sha256 a line; its content counts, not where it lies
    perceptual: str | None = None  # "module:function": a list of RGB images → one bool an image
    perceptual_version: str | None = None  # of that function and its list; another one has all images hashed again

    def __post_init__(self) -> None:
        if self.sha256 == "":
            raise ConfigError("filter.blocklist.sha256: the path of a file of sha256 was expected, nothing was found")
        if self.perceptual is not None and not re.fullmatch(r"\w+(\.\w+)*:\w+", self.perceptual):
            raise ConfigError(f"{HOOK}: 'module:function' was expected, {self.perceptual!r} was found")
        if (self.perceptual is None) != (not self.perceptual_version):
            raise ConfigError(
                f"{HOOK}_version: a text that changes with the function and its list was expected where there is a "
                f"function, and only there; {self.perceptual_version!r} was found beside {self.perceptual!r}"
            )


class Hashes(NamedTuple):
    """A list of sha256."""

    values: frozenset[str]  # 64 lower-case hex digits each
    digest: str  # of the values, whatever their order and the comments between them


def read_hashes(path: Path) -> Hashes:
    """The 64 hex digits on each line; `#` begins a comment. ConfigError names the line and never repeats it."""
    try:
        lines = path.read_text("ascii", errors="replace").splitlines()
    except OSError as problem:
        raise ConfigError(f"{path}: a file of sha256 was expected: {problem.strerror}") from None
    values = set()
    for number, line in enumerate(lines, 1):
        value = line.partition("#")[0].strip().lower()
        if re.fullmatch("[0-9a-f]{64}", value):
            values.add(value)
        elif value:
            raise ConfigError(
                f"{path}, row {number}: the 64 hex digits of a sha256 and nothing else were expected, another text of "
                f"{len(value)} characters was found; correct the row"
            )
    if not values:
        raise ConfigError(f"{path}: at least one sha256 was expected, none was found; fill the file or do not name it")
    return Hashes(frozenset(values), hashlib.sha256("\n".join(sorted(values)).encode()).hexdigest())


def settings(blocklist: Blocklist, hashes: Hashes | None) -> dict[str, Any]:
    """The configuration with the list's content in place of its path."""
    return {
        "sha256": hashes.digest if hashes else None,
        "perceptual": blocklist.perceptual,
        "perceptual_version": blocklist.perceptual_version,
    }


def match(version: Version, blocklist: Blocklist, hashes: Hashes | None, map_parts: MapParts) -> dict[str, str]:
    """Column groups → keys: `blocked`, and `perceptual` where there is a hook; none where there is no blocklist.

    A changed list is compared with all samples anew; the hook sees only parts that it has not seen. Raises what
    perceptual.hash_missing does.
    """
    columns: dict[str, str] = {}
    if blocklist.perceptual is not None:
        seen = blocklist.perceptual_version or ""
        columns[perceptual.GROUP] = perceptual.hash_missing(version, blocklist.perceptual, seen, map_parts)
    if hashes is not None or columns:
        made_of = [version.columns["samples"], hashes.digest if hashes else None, columns.get(perceptual.GROUP)]
        columns[GROUP] = version.lake.key(GROUP, REVISION, made_of)
        draft = version.derive("filter", columns=columns)
        for part in draft.parts:
            if not draft.column_path(GROUP, part).exists():
                write_flags(draft.column_path(GROUP, part), _matches(draft, part, hashes))
    return columns


def _matches(version: Version, part: Part, hashes: Hashes | None) -> NDArray[np.bool_]:
    """(rows,) of one part: found by its sha256 or by the hook."""
    known = hashes.values if hashes else frozenset()
    digests = read_table(version.column_path("samples", part), ["sha256"])["sha256"].to_pylist()
    found = np.array([digest in known for digest in digests], np.bool_)
    if perceptual.GROUP in version.columns:
        found |= read_flags(version.column_path(perceptual.GROUP, part))
    return found


def facts(version: Version) -> dict[str, int]:
    """Samples that matched, whatever their verdict, and those among them that the hook recognised."""
    return {"matches": _count(version, GROUP), "perceptual_matches": _count(version, perceptual.GROUP)}


def _count(version: Version, group: str) -> int:
    parts = version.parts if group in version.columns else ()
    return sum(int(read_flags(version.column_path(group, part)).sum()) for part in parts)


def blocked_rows(version: Version) -> NDArray[np.bool_]:
    """(rows,) whether a sample is never to be shown: pictures, the labelling queue and pages leave it out.

    It matched in this version, in the lake's newest complete one, or in one committed after that: what is known today
    holds for older versions too. All false where none of them has a blocklist.
    """
    own, newer = version.columns.get(GROUP), _newer_keys(version)
    found = np.zeros(version.rows, np.bool_)
    start = 0
    for part in version.parts:
        paths = [version.lake.column_path(GROUP, key, part.part) for key in newer]
        paths = [path for path in paths if path.exists()]  # a newer version need not have the part
        for path in [version.column_path(GROUP, part), *paths] if own else paths:
            found[start : start + part.rows] |= read_flags(path)
        start += part.rows
    return found


def _newer_keys(version: Version) -> list[str]:
    """Keys of `blocked` in the newest complete version and those after it, of the same rows as this version's."""
    keys = set()
    for number in reversed(version.lake.numbers()):
        known = version.lake.version(number)
        if GROUP in known.columns and known.columns["samples"] == version.columns["samples"]:
            keys.add(known.columns[GROUP])
        if known.manifest["complete"]:
            break
    return sorted(keys - {version.columns.get(GROUP, "")})
