"""Overrides: samples that a person keeps or drops by hand, each with who said so and why.

CSV with the columns uid, action (keep or drop), author and reason; other columns are ignored. A drop always filters; a
keep holds against every category, a person's label included, and never against the blocklist.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.classifying.blocklist import REASON
from tasks.errors import ConfigError
from tasks.files import read_table, write_table
from tasks.given_text import read_utf8

if TYPE_CHECKING:
    from tasks.lake import Version

REVISION: Final = 1
KIND: Final = "overrides"
COLUMNS: Final = ("uid", "action", "author", "reason")
NAMED: Final = 5  # contradicting uids in the summary

Mask = NDArray[np.bool_]  # (n,), one a sample of the version


class Override(NamedTuple):
    drop: bool  # else keep
    author: str
    reason: str  # one line


@dataclass(frozen=True)
class Overrides:
    """What stands of each uid. Of a keep and a drop the drop stands; of equal actions the first row."""

    by_uid: Mapping[str, Override]  # in order of uid
    contradicting: tuple[str, ...] = ()  # uids that were given both actions, in order

    @property
    def digest(self) -> str:
        """sha256 of what stands, whatever the file's order and path."""
        rows = [[uid, *override] for uid, override in self.by_uid.items()]
        return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()


class Rows(NamedTuple):
    """The version's n samples, of which only the usable ones can be filtered."""

    uid: Sequence[str]
    usable: Mask
    blocked: Mask  # matched by the blocklist


class Decided(NamedTuple):
    """What the filter says of each of the version's n samples."""

    filtered: Mask
    reason: NDArray[np.object_]  # (n,), str where filtered


def read_overrides(path: Path) -> Overrides:
    """Raises ConfigError, naming file, row and value: no such file, not UTF-8, not CSV, a column or a value missing."""
    given: dict[str, Override] = {}
    contradicting: set[str] = set()
    for line, row in _rows(path):
        uid, action, author, reason = (" ".join((row[name] or "").split()) for name in COLUMNS)
        where = f"{path}, row {line}"
        if action not in ("keep", "drop"):
            raise ConfigError(f"{where}: action: keep or drop was expected, {action!r} was found")
        for name, value in (("uid", uid), ("author", author), ("reason", reason)):
            if not value:
                raise ConfigError(f"{where}: {name}: a text was expected, nothing was found; say who decided and why")
        override = Override(action == "drop", author, reason)
        standing = given.setdefault(uid.lower(), override)
        if standing.drop != override.drop:
            contradicting.add(uid.lower())
            given[uid.lower()] = override if override.drop else standing
    return Overrides(dict(sorted(given.items())), tuple(sorted(contradicting)))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Line number in the file and values by column."""
    reader = csv.DictReader(io.StringIO(read_utf8(path, "a file of overrides", ConfigError), newline=""), strict=True)
    try:
        if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
            raise ConfigError(
                f"{path}: the columns {', '.join(COLUMNS)} were expected, {', '.join(missing)} not found; add a header"
            )
        for row in reader:
            yield reader.line_num, row
    except csv.Error as problem:
        raise ConfigError(
            f"{path}, after row {reader.line_num}: not CSV: {problem}; save the file as CSV again"
        ) from None


def kept(overrides: Overrides, rows: Rows) -> Mask:
    """(n,) samples that a person keeps: no category filters them, nor a filtered neighbour."""
    mask = np.zeros(len(rows.uid), np.bool_)
    mask[_found(overrides, rows, drop=False)] = True
    return mask


def apply(overrides: Overrides, rows: Rows, decided: Decided) -> Decided:
    """What the categories decided, a person's word over that, and the blocklist over both; the arguments stay."""
    filtered, reason = decided.filtered.copy(), decided.reason.copy()
    keep, drop = _found(overrides, rows, drop=False), _found(overrides, rows, drop=True)
    filtered[keep], reason[keep] = False, None
    filtered[drop], reason[drop] = True, [_said(overrides.by_uid[rows.uid[row]]) for row in drop]
    blocked = rows.blocked & rows.usable
    filtered[blocked], reason[blocked] = True, REASON
    return Decided(filtered, reason)


def _said(override: Override) -> str:
    return f"dropped by {override.author}: {override.reason}"


def facts(overrides: Overrides, rows: Rows, decided: Decided) -> dict[str, Any]:
    """The summary's figures, in samples; `decided` is what the categories said before the overrides."""
    keep, drop = _found(overrides, rows, drop=False), _found(overrides, rows, drop=True)
    known = overrides.by_uid.keys() & set(rows.uid)
    return {
        "dropped": len(drop),
        "dropped_against_categories": int((~decided.filtered[drop]).sum()),  # none filters them
        "kept": len(keep),
        "kept_against_categories": int((decided.filtered & ~rows.blocked)[keep].sum()),  # one would filter them
        "kept_but_blocked": int(rows.blocked[keep].sum()),  # the blocklist stands
        "unknown_uids": len(overrides.by_uid) - len(known),  # not in the pool
        "unusable_uids": len(known) - len(keep) - len(drop),  # quarantined
        "contradictions": len(overrides.contradicting),  # the drop stands
        "contradicting_uids": list(overrides.contradicting[:NAMED]),
    }


def write(version: Version, overrides: Overrides) -> dict[str, str]:
    """Artifact `overrides` → its key: who keeps or drops what, and why; none where nobody does."""
    if not overrides.by_uid:
        return {}
    key = version.lake.key("overrides", REVISION, overrides.digest)
    if not version.lake.has_artifact(KIND, key):
        rows = [(uid, "drop" if one.drop else "keep", one.author, one.reason) for uid, one in overrides.by_uid.items()]
        table = pa.table([pa.array(column, pa.string()) for column in zip(*rows, strict=True)], list(COLUMNS))
        with version.lake.new_artifact(KIND, key) as folder:
            write_table(folder / "overrides.parquet", table)
    return {KIND: key}


def of_uid(version: Version, uid: str) -> dict[str, str] | None:
    """What a person decided of a sample by hand: action, author, reason; None where nobody did."""
    if KIND not in version.artifacts:
        return None
    table = read_table(version.artifact(KIND) / "overrides.parquet")
    found: list[dict[str, str]] = table.filter(pc.equal(table["uid"], uid)).select(COLUMNS[1:]).to_pylist()
    return found[0] if found else None


def _found(overrides: Overrides, rows: Rows, drop: bool) -> NDArray[np.int64]:
    """The usable rows that are to be dropped, or to be kept."""
    wanted = {uid for uid, override in overrides.by_uid.items() if override.drop == drop}
    found = [row for row in np.flatnonzero(rows.usable).tolist() if rows.uid[row] in wanted]
    return np.array(found, np.int64)
