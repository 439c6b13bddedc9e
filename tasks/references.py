"""Names of versions: tags, and `latest` where it was rolled back. A log that only grows; a name's newest entry counts.

    references/000001.json    name, version (None: the tag was deleted), newest, by, at

An entry gets the next free number, as a version does, so two people who give one name do not overwrite each other
unseen. `newest` is the newest version of that moment: a `latest` that was rolled back holds until a newer run ends.
"""

from __future__ import annotations

import getpass
import json
import os
import re
from pathlib import Path
from typing import Final, NamedTuple

from tasks.errors import LakeError, UsageError
from tasks.files import write_new
from tasks.lock import now
from tasks.storing.copying import refresh

LATEST: Final = "latest"
_TAG: Final = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")


class Reference(NamedTuple):
    """One entry of the log."""

    name: str
    version: int | None  # None: the tag was deleted
    newest: int  # version when it was written
    by: str  # user of the operating system
    at: str  # ISO 8601, UTC


def read_log(home: Path) -> list[Reference]:
    """Every entry of a pool's folder, oldest first. LakeError names a damaged one."""
    return [_read(path) for path in sorted((home / "references").glob("[0-9]*.json"))]


def current(home: Path) -> dict[str, Reference]:
    """Name → its newest entry; a deleted tag is not there."""
    found = {entry.name: entry for entry in read_log(home)}
    return {name: entry for name, entry in found.items() if entry.version is not None}


def tagged(home: Path, name: str) -> int:
    """The version that a tag is on. UsageError where there is no such tag."""
    tags = current(home)
    if name not in tags:
        known = ", ".join(sorted(set(tags) - {LATEST})) or "none"
        raise UsageError(
            f"a version is a number, `latest` or a tag, not {name!r}; see `sluice versions`; tags are: {known}"
        )
    return tags[name].version or 0


def check_tag(name: str) -> None:
    """UsageError where a tag may not be called so."""
    if not _TAG.fullmatch(name) or name.lower() == LATEST:
        raise UsageError(
            f"a tag is a letter and up to 63 letters, digits, '.', '_' or '-', and not `{LATEST}`; found {name!r}"
        )


def append(home: Path, entry: Reference, after: int) -> bool:
    """Add an entry to a log of `after` entries; False where somebody else has added one meanwhile."""
    path = home / "references" / f"{after + 1:06d}.json"
    if write_new(path, json.dumps(entry._asdict(), indent=1)):
        return True
    refresh(home)
    return False


def entry(name: str, version: int | None, newest: int) -> Reference:
    """An entry of now, by whoever runs this process."""
    return Reference(name, version, newest, user(), now())


def user() -> str:
    """The operating system's name of who runs this process, its number where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"user {os.getuid()}"


def _read(path: Path) -> Reference:
    try:
        return Reference(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as problem:
        raise LakeError(
            f"{path} is damaged ({type(problem).__name__}: {problem}); restore it from a backup, or remove it: the tag "
            "that it gave is lost then"
        ) from None
