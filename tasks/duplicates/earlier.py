"""The version before: its survivors rank first, and its pairs are known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.duplicates import queried
from tasks.duplicates.pair_recall import Earlier
from tasks.duplicates.preferred import NOBODY, Pool
from tasks.files import read_table
from tasks.samples import KEPT

if TYPE_CHECKING:
    from tasks.lake import Version

FACTS = "facts.json"
QUERIED = "queried.npz"  # the exact queries that estimate the residual rate, and what they found


def comparable(previous: Version | None, version: Version, settings: Mapping[str, Any], revision: int) -> bool:
    """Whether the previous version's near-duplicates were decided alike, on the same columns, and are still there."""
    if previous is None or not {"pairs", "groups"} <= previous.artifacts.keys():
        return False
    same = [previous.columns.get(name) == version.columns[name] for name in ("samples", "embedding")]
    same.append(_searched(previous.config.get("dedup", {})) == _searched(settings))
    shared = {part.part for part in version.parts}
    files = [previous.column_path("decision", part) for part in previous.parts if part.part in shared]
    there = [path.exists() for path in (*files, previous.artifact("pairs"), previous.artifact("groups") / FACTS)]
    return all(same) and all(there) and facts(previous).get("revision") == revision


def _searched(settings: Mapping[str, Any]) -> str:
    """The settings but for the reference set, which decides of no pair and no rank."""
    return json.dumps({name: value for name, value in settings.items() if name != "reference"}, sort_keys=True)


def facts(version: Version) -> dict[str, Any]:
    """What its groups artifact says of how it was made."""
    found: dict[str, Any] = json.loads((version.artifact("groups") / FACTS).read_text("utf-8"))
    return found


def key_after(previous: Version, inputs: str) -> str:
    """The key of groups decided after the previous ones; theirs where they were decided of the same inputs."""
    own: str = previous.artifacts["groups"]
    return own if facts(previous)["inputs"] == inputs else previous.lake.key(inputs, own)


def renumbered(previous: Version, version: Version) -> NDArray[np.int64]:
    """The number that each sample of the previous version has in this one, NOBODY where its part went away. (rows,)"""
    starts = np.cumsum([0, *(part.rows for part in version.parts)]).tolist()
    start = {part.part: at for part, at in zip(version.parts, starts, strict=False)}
    numbers = [
        start[part.part] + np.arange(part.rows) if part.part in start else np.full(part.rows, NOBODY)
        for part in previous.parts
    ]
    return np.concatenate([np.empty(0, np.int64), *numbers])


def survivors(previous: Version, version: Version) -> NDArray[np.bool_]:
    """Which samples of this version the previous one kept. (rows,)"""
    shared = {part.part for part in previous.parts}
    survived = np.zeros(version.rows, np.bool_)
    at = 0
    for part in version.parts:
        if part.part in shared:
            verdict = read_table(previous.column_path("decision", part), ["verdict"])["verdict"]
            survived[at : at + part.rows] = np.asarray(pc.equal(verdict, KEPT))
        at += part.rows
    return survived


def asked(previous: Version, first: NDArray[np.bool_] | None, pool: Pool, leads: NDArray[np.bool_]) -> Earlier | None:
    """The exact queries among the previous survivors, and the new ones; None where one of the previous went.

    `first` (rows,) as of `survivors`; `leads` (kinds,) are the survivors now.
    """
    before = queried.load(previous.artifact("groups") / QUERIED)
    known = np.zeros(pool.kinds, np.bool_)
    if first is not None:
        known[pool.kind[first[pool.sample]]] = True
    if (leads & known).sum() != before.size.sum():
        return None
    return Earlier(before, np.flatnonzero(leads & ~known))
