"""What each dedup threshold would do, before one is chosen: similarities, examples to look at, what would go.

No number is right for every encoder and pool, so a team chooses by looking: a histogram of each usable sample's
similarity to its nearest neighbour, pairs of pictures drawn at random from each band of it, and how many samples and
groups each threshold removes, by dedup's own rule. Nothing is written to the version.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.duplicates.preferred import PREFERRED, Pool, read_pool
from tasks.duplicates.stored import gather
from tasks.errors import UsageError
from tasks.lake import Version
from tasks.looking.similarity import Answer, Survey, ask, survey
from tasks.samples import DUPLICATE, KEPT

THRESHOLDS: Final = (0.80, 0.85, 0.88, 0.90, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995)
EXACT_UP_TO: Final = 200_000  # distinct vectors: five minutes of one core for 512 dimensions
QUERIES: Final = 5_000  # where there are more
PAIRS: Final = 6  # examples of a band
BIN: Final = 0.005  # width of the histogram's bins


class Pair(NamedTuple):
    """Two samples of the version, by row, and their cosine."""

    similarity: float
    rows: tuple[int, int]
    uids: tuple[str, str]
    captions: tuple[str, str]


class Band(NamedTuple):
    """The samples whose nearest neighbour is in [low, high), and pairs drawn from them at random."""

    low: float
    high: float
    samples: int  # of those that were asked
    pairs: list[Pair]


class Removal(NamedTuple):
    """What one threshold would remove of what the filter kept; None is not known without all products."""

    threshold: float
    removed: int | None
    share: float | None  # of what the filter kept
    groups: int | None  # survivors for which a sample went; dedup files it under its nearest, so counts a few more
    at_most: float  # upper limit of the share: 95% confidence where a sample was asked, else the share itself


class Preview(NamedTuple):
    pool: str
    version: int | None
    usable: int  # samples
    candidates: int  # of them, those that the filter kept; removed ones among them are judged anew
    copies: int  # of the candidates, those that share bytes or vector with a preferred candidate: gone at any threshold
    distinct: int  # vectors that were compared
    asked: int  # usable samples whose nearest neighbour was searched
    exact: bool  # whether that is all of them
    chosen: float | None  # the version's own threshold, where dedup ran
    edges: list[float]  # of the histogram
    counts: list[int]  # samples by cosine to the nearest neighbour; below the first edge is not counted
    bands: list[Band]
    removals: list[Removal]


class Look(NamedTuple):
    """The pool's usable samples, the preferred first, and what is nearest to those that were asked."""

    pool: Pool
    candidate: NDArray[np.bool_]  # (usable,), what the filter kept
    asked: NDArray[np.int64]  # (q,), rows of the pool
    nearest: NDArray[np.float64]  # (q,), cosine to the most similar other sample
    neighbour: NDArray[np.int64]  # (q,), its row of the pool
    removals: list[Removal]

    @property
    def exact(self) -> bool:
        return len(self.asked) == len(self.pool.sample)


def look(version: Version, exact_up_to: int = EXACT_UP_TO, queries: int = QUERIES, seed: int = 0) -> Look:
    """Compare the samples of a version that has embeddings, whatever stage made it.

    Exact up to so many distinct vectors; beyond, so many samples in proportion to the parts are compared with all.
    Raises UsageError where the version has no embeddings, EncoderError where a usable sample has no proper vector.
    """
    if "embedding" not in version.columns:
        raise UsageError(
            f"version {version.number} ({version.stage}) has no embeddings to compare; name one that stage embed or a "
            "later one made: see `sluice versions`"
        )
    settings: Mapping[str, Any] = version.config.get("dedup") or {}
    pool = read_pool(version, settings.get("prefer", PREFERRED))
    candidate = np.asarray(pc.is_in(pool.table["verdict"], value_set=pa.array([KEPT, DUPLICATE])))
    if pool.kinds <= exact_up_to:
        order, may_stay = _visited(pool, candidate)
        found = survey(gather(pool.stored, order), may_stay, THRESHOLDS)
        asked = np.arange(len(pool.sample))
        copied = np.bincount(pool.kind[candidate], minlength=pool.kinds)[order] > 1
        near = _of_samples(pool, order, found)
        return Look(pool, candidate, asked, *near, _removals(found, copied, int(candidate.sum())))
    asked = _drawn(pool, queries, seed)
    answer = ask(pool.stored, pool.kind[asked])
    near = _with_copies(pool, asked, answer.nearest, answer.neighbour)
    return Look(pool, candidate, asked, *near, _bounds(pool, asked, answer, candidate))


def preview(version: Version, seen: Look, seed: int = 0) -> Preview:
    """What a team looks at to choose a threshold."""
    pool, candidates = seen.pool, int(seen.candidate.sum())
    edges, counts = _histogram(seen.nearest)
    return Preview(
        version.lake.pool,
        version.number,
        len(pool.sample),
        candidates,
        candidates - len(np.unique(pool.kind[seen.candidate])),
        pool.kinds,
        len(seen.asked),
        seen.exact,
        threshold_of(version),
        edges,
        counts,
        _bands(seen, seed),
        seen.removals,
    )


def threshold_of(version: Version) -> float | None:
    """The dedup threshold that the version was made with; None where dedup did not run."""
    settings: Mapping[str, Any] = version.config.get("dedup") or {}
    return settings.get("threshold")


def _visited(pool: Pool, candidate: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The kinds in the order in which dedup visits them, and whether each has a candidate. (kinds,), (kinds,)"""
    n = len(pool.sample)
    leader = np.full(pool.kinds, n)
    np.minimum.at(leader, pool.kind[candidate], np.flatnonzero(candidate))
    order = np.argsort(leader, kind="stable")
    return order, leader[order] < n


def _of_samples(pool: Pool, order: NDArray[np.int64], found: Survey) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """What was found of kinds in `order`, for each sample: cosine to its nearest one, and that one's row."""
    nearest = np.empty(len(order))
    neighbour = np.empty(len(order), np.int64)
    nearest[order] = found.nearest
    neighbour[order] = order[found.neighbour] if len(order) > 1 else 0
    return _with_copies(pool, np.arange(len(pool.sample)), nearest[pool.kind], neighbour[pool.kind])


def _with_copies(
    pool: Pool, asked: NDArray[np.int64], nearest: NDArray[np.float64], neighbour: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Cosine and row of the pool of each asked sample's nearest one, which is a copy of it where it has one."""
    kinds, first, size = np.unique(pool.kind, return_index=True, return_counts=True)
    last = np.empty(len(kinds), np.int64)
    last[pool.kind] = np.arange(len(pool.kind))
    kind = pool.kind[asked]
    copied = size[kind] > 1
    other = np.where(asked == first[kind], last[kind], first[kind])
    return np.where(copied, 1.0, nearest), np.where(copied, other, first[neighbour])


def _drawn(pool: Pool, queries: int, seed: int) -> NDArray[np.int64]:
    """So many rows of the pool, each part in proportion: every k-th in the version's order, from a random start."""
    order = np.argsort(pool.sample)
    step = len(order) / queries
    start = np.random.default_rng(seed).random() * step
    return np.asarray(order[(start + step * np.arange(queries)).astype(np.int64)])


def _removals(found: Survey, copied: NDArray[np.bool_], candidates: int) -> list[Removal]:
    """`copied` (kinds,) as visited: more than one candidate has the vector, so all but one of them go."""
    removed = candidates - found.survives.sum(axis=1)
    share = removed / max(candidates, 1)
    groups = (found.leads | (found.survives & copied)).sum(axis=1)
    return [
        Removal(t, int(r), float(s), int(g), float(s))
        for t, r, s, g in zip(THRESHOLDS, removed, share, groups, strict=True)
    ]


def _bounds(pool: Pool, asked: NDArray[np.int64], answer: Answer, candidate: NDArray[np.bool_]) -> list[Removal]:
    """Whoever is removed has a preferred one near to it; the limit is the exact binomial's."""
    from scipy.stats import beta

    first = np.unique(pool.kind, return_index=True)[1]
    before = np.where(asked != first[pool.kind[asked]], 1.0, answer.before)[candidate[asked]]
    n = len(before)
    found = []
    for threshold in THRESHOLDS:
        k = int((before >= threshold).sum())
        found.append(Removal(threshold, None, None, None, float(beta.ppf(0.95, k + 1, n - k)) if k < n else 1.0))
    return found


def _histogram(nearest: NDArray[np.float64]) -> tuple[list[float], list[int]]:
    """From the lowest hundredth of the samples up to 1; the last bin includes 1."""
    known = nearest[np.isfinite(nearest)]
    low = np.floor(np.quantile(known, 0.01) / BIN) * BIN if len(known) else THRESHOLDS[0]
    bins = max(round((1 - min(low, THRESHOLDS[0])) / BIN), 1)
    edges = 1 - BIN * np.arange(bins, -1, -1)
    return [round(float(e), 4) for e in edges], [int(c) for c in np.histogram(known, edges)[0]]


def _bands(seen: Look, seed: int) -> list[Band]:
    """One band between neighbouring thresholds, the highest first; every sample is as likely to be drawn as another."""
    edges = [*THRESHOLDS, 1.0, np.inf]
    order = np.random.default_rng(seed).permutation(len(seen.asked))
    bands = []
    for low, high in pairwise(edges):
        here = order[(seen.nearest[order] >= low) & (seen.nearest[order] < high)]
        pairs: dict[tuple[int, int], float] = {}
        for place in here:
            if len(pairs) < PAIRS:
                first, second = sorted((int(seen.asked[place]), int(seen.neighbour[place])))
                pairs.setdefault((first, second), float(seen.nearest[place]))
        shown = [_pair(seen.pool, *both, cosine) for both, cosine in pairs.items()]
        bands.append(Band(low, min(high, 1.0), len(here), shown))
    return bands[::-1]


def _pair(pool: Pool, first: int, second: int, cosine: float) -> Pair:
    told = pool.table.select(["uid", "caption"]).take([first, second])
    captions = [caption or "" for caption in told["caption"].to_pylist()]
    return Pair(
        cosine,
        (int(pool.sample[first]), int(pool.sample[second])),
        (told["uid"][0].as_py(), told["uid"][1].as_py()),
        (captions[0], captions[1]),
    )


def facts(found: Preview) -> dict[str, Any]:
    """As plain values for JSON."""
    bands = [{**band._asdict(), "pairs": [pair._asdict() for pair in band.pairs]} for band in found.bands]
    return {**found._asdict(), "bands": bands, "removals": [removal._asdict() for removal in found.removals]}
