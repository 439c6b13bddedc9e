"""A search that is made again with wider visits where a pilot of exact queries finds that it missed too much.

How near to a boundary the pairs of a pool lie depends on the encoder and on how crowded the pool is: the reach that
loses one pair in ten thousand of photographs loses one in a hundred of flat drawings.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tasks.duplicates import probing
from tasks.duplicates.candidates import Found, Search, find
from tasks.duplicates.pair_recall import Asked, estimate
from tasks.duplicates.stored import MapParts, Stored

PILOT = 500  # exact queries; the recall that is told is estimated from others


class Ask(NamedTuple):
    """How all are searched."""

    method: str  # one of METHODS
    search: Search


def find_wider(vectors: Stored, ask: Ask, folder: Path, map_parts: MapParts) -> tuple[Found, float]:
    """Near pairs of n distinct vectors, and the reach: the first of probing.REACHES that attains search.recall.

    Other methods than `probes` have no reach to widen, and are asked once.
    """
    reaches = probing.REACHES if ask.method == "probes" else probing.REACHES[:1]
    for number, reach in enumerate(reaches, 1):
        found = find(vectors, ask.method, replace(ask.search, reach=reach), folder, map_parts)
        if number == len(reaches):
            break
        pilot = Asked(ask.search.threshold, PILOT, ask.search.seed + number, map_parts)
        if estimate(vectors, found, pilot)[0].estimate >= ask.search.recall:
            break
    return found, reach
