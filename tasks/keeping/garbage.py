"""What no version needs any more: column files, artifacts, caches, and what killed runs wrote aside.

Only names that a run of the flow gives are looked at (a group or kind, and a key of 16 hex digits); everything else in
the folder is left alone. What was made after the newest complete version stays, since a run that did not end goes on
from it; so does what is younger than a day, or was needed by a version until a day ago: somebody may be reading it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from tasks.classifying.scoring import score_key
from tasks.files import TEMPORARY
from tasks.forgetting.forget import CACHES
from tasks.keeping.caches import caches_of
from tasks.keeping.contents import Entry, contents, size
from tasks.keeping.retiring import named, rounds_in_use
from tasks.lake import Lake, Version

GRACE: Final = timedelta(days=1)
BY_PART: Final = ("tokens",)  # artifacts with a file a part
_NAMED: Final = re.compile(r"(.+)-([0-9a-f]{16})")


class Garbage(NamedTuple):
    """One file or folder that no version needs."""

    kind: str  # column | artifact | cache | temporary
    path: Path
    bytes: int


class Needed(NamedTuple):
    """What stays."""

    parts: dict[str, set[str]]  # folder within the pool's → names of the parts whose files stay
    folders: set[str]  # of artifacts, whole


def needed(lake: Lake, versions: Iterable[Version]) -> Needed:
    """What these versions, their caches where they have a name, and the labelling rounds in use stand on."""
    found = Needed({}, set())
    cached = named(lake) | {max(lake.numbers(), default=0)}
    for version in versions:
        parts = {part.part for part in version.parts}
        for group, key in version.columns.items():
            found.parts.setdefault(f"columns/{group}-{key}", set()).update(parts)
        kinds = set(version.artifacts.items()) | (caches_of(version) if version.number in cached else set())
        for kind, key in kinds:
            folder = f"artifacts/{kind}-{key}"
            found.parts.setdefault(folder, set()).update(parts) if kind in BY_PART else found.folders.add(folder)
    for one in rounds_in_use(lake):
        version = lake.version(one.version)
        scores = f"columns/score.{one.category}-{score_key(version, one.model)}"
        found.parts.setdefault(scores, set()).update(one.parts)
        found.folders.add(f"artifacts/model.{one.category}-{one.model}")
    return found


def garbage(lake: Lake, stays: Needed, until: float) -> list[Garbage]:
    """What is not needed and was last changed before `until`, seconds since 1970."""
    found: list[Garbage] = []
    for area in ("columns", "artifacts"):
        for name, files in contents(lake.home / area).items():
            match = _NAMED.fullmatch(name)
            if match:
                found += _in_folder(lake.home / area / name, match[1], files, stays, until)
    return found


def _in_folder(folder: Path, kind: str, files: Mapping[str, Entry], stays: Needed, until: float) -> Iterator[Garbage]:
    name = f"{folder.parent.name}/{folder.name}"
    if name in stays.folders:
        return
    if name.startswith("columns/") or kind in BY_PART:
        parts = stays.parts.get(name, set())
        what = "column" if name.startswith("columns/") else "artifact"
        old = {name: entry for name, entry in files.items() if entry.changed < until and not name.startswith(".")}
        yield from (Garbage(what, folder / f, e.bytes) for f, e in old.items() if f.partition(".")[0] not in parts)
    elif all(entry.changed < until for entry in files.values()):
        what = "cache" if kind in (*CACHES, "reference") else "artifact"
        yield Garbage(what, folder, sum(entry.bytes for entry in files.values()))


def written_aside(lake: Lake, until: float) -> list[Garbage]:
    """What killed runs left half-written: whoever next holds the lock sweeps it away."""
    found = [path for path in sorted(lake.home.rglob(f"{TEMPORARY}*")) if path.lstat().st_mtime < until]
    return [Garbage("temporary", path, size(path)) for path in found]


def settled_until(lake: Lake, moment: datetime, grace: timedelta) -> float:
    """Until when what was made, and is not needed, is nobody's work in progress; seconds since 1970."""
    manifests = (lake.manifest(number) for number in lake.numbers())
    ended = [datetime.fromisoformat(facts["created_at"]) for facts in manifests if facts["complete"]]
    return min(max(ended), moment - grace).timestamp() if ended else 0.0


def standing(lake: Lake, retiring: Iterable[int], since: datetime) -> list[Version]:
    """The versions whose files stay: not to be retired, and retired after `since` at the earliest."""
    gone = set(retiring)
    versions = (version for version in lake.versions() if version.number not in gone)
    return [one for one in versions if not _retired_before(one, since)]


def _retired_before(version: Version, since: datetime) -> bool:
    facts = version.manifest.get("retired")
    return facts is not None and datetime.fromisoformat(facts["at"]) <= since
