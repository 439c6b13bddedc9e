"""Families of one template in a version: near-duplicates, and pairs just below the threshold, that differ in a region.

Where the threshold lies above their similarity such pictures all pass, though they repeat one drawing; where it lies
below, all but one are lost, though their captions tell them apart. A team decides: `cap` keeps several of a group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.duplicates.stored import gather
from tasks.files import read_table
from tasks.lake import Version
from tasks.looking.preview import Look, threshold_of
from tasks.looking.similarity import cosines
from tasks.looking.templates import Difference, compare, square
from tasks.reporting.pictures import images, thumbnails

BELOW: Final = 0.05  # cosine: how far below the threshold a pair may be
DEFAULT: Final = 0.95  # threshold of a version that dedup has not seen
MOST: Final = 4_000  # pairs whose pictures are compared: some ten seconds
SETS: Final = 20  # connected sets among which these are shared at least, so that a crowd of copies leaves room
OF_ONE_GROUP: Final = 24  # members of a near-duplicate group that are compared with its first
PIXELS: Final = 128  # of a picture's longer side

Link = tuple[int, int, float]  # two rows of the version, the lower first, and their cosine


class Member(NamedTuple):
    row: int  # of the version
    difference: Difference | None  # to the family's first member, which has none


class Family(NamedTuple):
    """Pictures of one template, the one that most others are like first."""

    members: list[Member]
    rank: float  # median over its template pairs
    equal: float  # median over its template pairs
    similarity: tuple[float, float]  # lowest and highest cosine of its template pairs


class Found(NamedTuple):
    families: list[Family]
    compared: int  # pairs
    unread: int  # pairs that were to be compared too, without a picture that could be read again
    of: int  # pairs that there were


def find(version: Version, seen: Look, most: int = MOST, seed: int = 0) -> Found:
    """Families among the version's near-duplicate groups and its nearest neighbours down to BELOW the threshold.

    Of each connected set of pairs at most a SETS-th of `most` are compared, at random, the largest sets first; then at
    most a quarter of `most` between families, the most similar first.
    """
    floor = (threshold_of(version) or DEFAULT) - BELOW
    every = sorted({(a, b): c for a, b, c in _grouped(version, seen) + _neighbours(seen, floor)}.items())
    links = _some([(a, b, c) for (a, b), c in every], most, seed) if every else []
    squares = {row: square(image) for row, image in images(version, (row for a, b, _ in links for row in (a, b)))}
    readable = [link for link in links if link[0] in squares and link[1] in squares]
    told = local_pairs(readable, squares)
    degree = Counter(row for rows in told for row in rows)
    firsts = [_first(members, degree) for members in joined(list(told))]
    told |= local_pairs(_between(seen, firsts, floor, most // 4), squares)
    return Found(families(told, squares), len(readable), len(links) - len(readable), len(every))


Told = dict[tuple[int, int], tuple[Difference, float]]  # template pairs with their cosine
Squares = Mapping[int, NDArray[np.int16]]  # pictures by row, (3, SIDE, SIDE)


def local_pairs(links: Sequence[Link], squares: Squares) -> Told:
    """Those links that are template pairs."""
    told = {(a, b): (compare(squares[a], squares[b]), c) for a, b, c in links}
    return {rows: both for rows, both in told.items() if both[0].local}


def families(local: Told, squares: Squares) -> list[Family]:
    """Template pairs joined, the family with the most members · rank first.

    Members that others join need not be a template pair with each other.
    """
    degree = Counter(row for rows in local for row in rows)
    made = [_family(members, _first(members, degree), local, squares) for members in joined(list(local))]
    return sorted(made, key=lambda one: (-len(one.members) * one.rank, one.members[0].row))


def _family(members: list[int], first: int, local: Told, squares: Squares) -> Family:
    inside = set(members)
    here = {rows: told for rows, told in local.items() if rows[0] in inside}
    others = [Member(row, compare(squares[row], squares[first])) for row in members if row != first]
    similar = [cosine for _, cosine in here.values()]
    return Family(
        [Member(first, None), *others],
        float(np.median([difference.rank for difference, _ in here.values()])),
        float(np.median([difference.equal for difference, _ in here.values()])),
        (min(similar), max(similar)),
    )


def _first(members: Sequence[int], degree: Mapping[int, int]) -> int:
    """The member of most pairs; of several the lowest row."""
    return max(members, key=lambda row: (degree[row], -row))


def joined(pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Connected sets of rows, each in order."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not pairs:
        return []
    rows, flat = np.unique(np.asarray(pairs), return_inverse=True)
    ends = flat.reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(rows), len(rows)))
    _, label = connected_components(graph, directed=False)
    order = np.argsort(label, kind="stable")
    return [[int(row) for row in rows[one]] for one in np.split(order, np.flatnonzero(np.diff(label[order])) + 1)]


def _neighbours(seen: Look, floor: float) -> list[Link]:
    """Nearest neighbours that are no copies of each other."""
    pool = seen.pool
    near = (seen.nearest >= floor) & (pool.kind[seen.asked] != pool.kind[seen.neighbour])
    return _links(pool.sample[seen.asked[near]], pool.sample[seen.neighbour[near]], seen.nearest[near])


def _grouped(version: Version, seen: Look) -> list[Link]:
    """Each member of a near-duplicate group with the group's first, copies left out."""
    if "groups" not in version.artifacts:
        return []
    table = read_table(version.artifact("groups") / "groups.parquet", ["group", "uid"])
    place = {uid: i for i, uid in enumerate(seen.pool.table["uid"].to_pylist())}
    number = np.asarray(table["group"])
    row = np.array([place.get(uid, -1) for uid in table["uid"].to_pylist()], np.int64)
    first = row[np.searchsorted(number, number)]
    kind = seen.pool.kind
    real = (row >= 0) & (first >= 0)
    real &= np.arange(len(number)) - np.searchsorted(number, number) < OF_ONE_GROUP
    row, first = row[real], first[real]
    row, first = row[kind[row] != kind[first]], first[kind[row] != kind[first]]
    sample = seen.pool.sample
    return _links(sample[first], sample[row], _cosines(seen, first, row))


def _between(seen: Look, rows: Sequence[int], floor: float, most: int) -> list[Link]:
    """Pairs of these rows of the version that are at least `floor` similar, the most similar ones: families are joined
    by their first."""
    place = {int(row): i for i, row in enumerate(seen.pool.sample)}
    here = np.array([place[row] for row in rows], np.int64)
    vectors = gather(seen.pool.stored, seen.pool.kind[here]).astype(np.float32)
    left, right = np.triu(vectors @ vectors.T >= floor, k=1).nonzero()
    cosine = _cosines(seen, here[left], here[right])
    links = _links(seen.pool.sample[here[left]], seen.pool.sample[here[right]], cosine)
    return sorted(links, key=lambda link: (-link[2], link))[:most]


def _cosines(seen: Look, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of rows of the pool. (k,)"""
    kinds, place = np.unique(seen.pool.kind[np.concatenate([left, right])], return_inverse=True)
    return cosines(gather(seen.pool.stored, kinds), place[: len(left)], place[len(left) :])


def _links(left: NDArray[np.int64], right: NDArray[np.int64], cosine: NDArray[np.float64]) -> list[Link]:
    low, high = np.minimum(left, right), np.maximum(left, right)
    return [(int(a), int(b), float(c)) for a, b, c in zip(low, high, cosine, strict=True)]


def _some(links: list[Link], most: int, seed: int) -> list[Link]:
    sets = joined([(a, b) for a, b, _ in links])
    of = {row: number for number, members in enumerate(sets) for row in members}
    at = np.array([of[a] for a, _, _ in links])
    size = np.bincount(at)[at]
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(links)), rng.permutation(len(sets))[at], -size))  # set by set
    place = np.arange(len(links))
    start = np.maximum.accumulate(np.where(np.diff(at[order], prepend=-1) != 0, place, 0))
    return [links[i] for i in np.sort(order[place - start < most // SETS][:most])]


def strips(version: Version, found: Found, most: int = 24, members: int = 24) -> list[dict[str, Any]]:
    """The first families for a template of the page: pictures, captions, verdicts, the region's frame in percent."""
    shown = found.families[:most]
    rows = [member.row for family in shown for member in family.members[:members]]
    place = pa.array(rows, pa.int64())
    texts = version.table("samples", ["caption"])["caption"].take(place).to_pylist()
    judged = version.table("decision", ["verdict"])["verdict"].take(place).to_pylist()
    told = {row: (text or "", verdict) for row, text, verdict in zip(rows, texts, judged, strict=True)}
    pictures = thumbnails(version, rows, PIXELS)
    return [
        {
            **family._asdict(),
            "size": len(family.members),
            "members": [
                {
                    "data": pictures[member.row],
                    "caption": told[member.row][0],
                    "verdict": told[member.row][1],
                    "box": [round(100 * edge, 1) for edge in member.difference.box] if member.difference else None,
                }
                for member in family.members[:members]
            ],
        }
        for family in shown
    ]


def facts(version: Version, found: Found) -> list[dict[str, Any]]:
    """Families as plain values for JSON."""
    uids = version.table("samples", ["uid"])["uid"]
    return [
        {
            "rank": round(family.rank, 4),
            "equal": round(family.equal, 4),
            "similarity": family.similarity,
            "members": [
                {
                    "uid": uids[member.row].as_py(),
                    "box": member.difference.box if member.difference else None,
                    "equal": round(member.difference.equal, 4) if member.difference else None,
                }
                for member in family.members
            ],
        }
        for family in found.families
    ]
