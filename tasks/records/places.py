"""Where a sample is: its part and row in a version, found by uid or key."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from tasks.errors import UsageError
from tasks.files import read_table
from tasks.lake import Part, Version
from tasks.reading.tombstones import read_tombstones
from tasks.samples import QUARANTINED

_NAMED: Final = 3  # samples named in a message
_SHORTEST: Final = 4  # characters that the nearest uids share with what was asked for


Searched = dict[Path, list[int]]  # file of samples → the rows that have what is looked for


class Place(NamedTuple):
    """A sample's place in a version."""

    part: Part
    row: int

    def of(self, version: Version, group: str) -> dict[str, Any]:
        """The sample's row in one column group."""
        row: dict[str, Any] = read_table(version.column_path(group, self.part)).slice(self.row, 1).to_pylist()[0]
        return row


def find(version: Version, reference: str) -> Place:
    """The sample of a uid, or of a key that only one has. UsageError: none, or several of that key.

    Where several samples have the uid, the usable one.
    """
    found = places(version, "uid", reference.lower())
    stones = read_tombstones(version.lake)
    if not found and stones.salt:
        found = places(version, "uid", stones.pseudonym(reference.lower()))
    if found:
        return _usable(version, found)
    found = places(version, "key", reference)
    if len(found) == 1:
        return found[0]
    raise UsageError(_several(version, reference, found) if found else _unknown(version, reference))


def place_in(version: Version, place: Place, of: Version, uid: str, searched: Searched) -> Place | None:
    """Where another version has the sample that `of` has at `place`; None where it has not.

    A shared part has it in the same row; a shard that changed is searched by uid. Files in `searched` are not read
    again: versions share most of them.
    """
    if version.columns["samples"] == of.columns["samples"]:
        for part in version.parts:
            if part.part == place.part.part:
                return Place(part, place.row)
    found = places(version, "uid", uid, searched)
    return _usable(version, found) if found else None


def places(version: Version, column: str, value: str, searched: Searched | None = None) -> list[Place]:
    """Every sample that has this value, in order. Reads one column, part by part; notes what it found in `searched`."""
    searched = {} if searched is None else searched
    found = []
    for part in version.parts:
        path = version.column_path("samples", part)
        if path not in searched:
            searched[path] = pc.indices_nonzero(pc.equal(read_table(path, [column])[column], value)).to_pylist()
        found += [Place(part, row) for row in searched[path]]
    return found


def _usable(version: Version, found: list[Place]) -> Place:
    usable = (place for place in found if place.of(version, "decision")["verdict"] != QUARANTINED)
    return next(usable, found[0])


def _several(version: Version, key: str, found: list[Place]) -> str:
    some = [f"{place.of(version, 'samples')['uid']} ({place.part.path})" for place in found[:_NAMED]]
    return f"{len(found)} samples have the key {key!r}; name one by its uid: {', '.join(some)}"


def _unknown(version: Version, reference: str) -> str:
    """What was asked for, and the uids that begin most like it."""
    asked = f"version {version.number} has no sample with the uid or key {reference!r}"
    uids = version.table("samples", ["uid"])["uid"] if version.parts else pa.chunked_array([[]], pa.string())
    for length in range(min(len(reference), 32), _SHORTEST - 1, -1):
        near = uids.filter(pc.starts_with(uids, reference[:length].lower())).slice(0, _NAMED).to_pylist()
        if near:
            return f"{asked}; did you mean {' or '.join(near)}?"
    return f"{asked}; see the uids with `sluice export --format parquet`"
