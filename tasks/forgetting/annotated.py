"""What happened to a version after it was committed, in a file beside its manifest, which itself is never rewritten.

    annotations/000005.json    deletion requests: when, how many samples, which files they changed, counts afterwards

So a check of the files can tell "changed by a deletion request" from "corrupt". The manifest keeps its digest, which
names what was trained on; only captions and uids in its summary, which the digest does not cover, are forgotten.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tasks.errors import LakeError
from tasks.files import write_json
from tasks.lake import Lake, Version
from tasks.samples import count_verdicts


class Integrity(NamedTuple):
    """A version's column files, by what a check of their content found; paths within the pool's folder."""

    whole: list[str]  # as they were committed
    changed: list[str]  # by a deletion request, and as it left them
    corrupt: list[str]
    missing: list[str]


def path_of(lake: Lake, number: int) -> Path:
    return lake.home / "annotations" / f"{number:06d}.json"


def read(lake: Lake, number: int | None) -> list[dict[str, Any]]:
    """A version's annotations, oldest first: request, time, samples, files {path: {before, after}}, counts."""
    path = path_of(lake, number or 0)
    if not path.exists():
        return []
    try:
        found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
    except ValueError as problem:
        raise LakeError(f"{path} is damaged ({problem}); restore it from a backup") from None
    return found


def annotate(version: Version, request: str, time: str, samples: int, before: Mapping[str, str]) -> None:
    """Record what a deletion request did to a version; a second time for the same request changes nothing.

    `before` are the sha256 of files as the request found them: one that was damaged by then stays corrupt.
    """
    number, known = version.number or 0, read(version.lake, version.number)
    if any(one["request"] == request for one in known):
        return
    expected, files = expected_digests(version), {}
    for name, path in column_files(version).items():
        if path.exists() and before.get(name) == expected[name]:
            after = version.lake.digest(path)
            if after != expected[name]:
                files[name] = {"before": expected[name], "after": after}
    counts = count_verdicts(version.table("decision", ["verdict"])) if not version.missing() else None
    told = {"request": request, "time": time, "samples": samples, "files": files, "counts": counts}
    write_json(path_of(version.lake, number), [*known, told])


def column_files(version: Version) -> dict[str, Path]:
    """A version's column files by their path within the pool's folder."""
    paths = [version.column_path(group, part) for group in version.columns for part in version.parts]
    return {path.relative_to(version.lake.home).as_posix(): path for path in paths}


def committed_digests(version: Version) -> dict[str, str]:
    """The sha256 that each column file had when the version was committed, by its path within the pool's folder."""
    files, home = version.manifest["files"], version.lake.home
    return {
        version.column_path(group, part).relative_to(home).as_posix(): files[f"{group}-{key}"][part.part]
        for group, key in version.columns.items()
        for part in version.parts
    }


def expected_digests(version: Version) -> dict[str, str]:
    """The sha256 that each column file should have now: as committed, or as the last deletion request left it."""
    expected = committed_digests(version)
    for one in read(version.lake, version.number):
        expected |= {name: digests["after"] for name, digests in one["files"].items()}
    return expected


def check(version: Version) -> Integrity:
    """Read every column file of a committed version and compare it with what it should be."""
    found = Integrity([], [], [], [])
    committed, expected = committed_digests(version), expected_digests(version)
    for name, path in column_files(version).items():
        if not path.exists():
            found.missing.append(name)
            continue
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != expected[name]:
            found.corrupt.append(name)
        else:
            (found.whole if digest == committed[name] else found.changed).append(name)
    return found
