"""Regurgitation search: does a model give back images that it was trained on? METHODS.md, section 3.

Each generated image is compared with all training images, kept and removed: what was removed and is generated all the
same came from somewhere else. A rate of near-copies means little alone, since flat graphics resemble each other by
chance, so held-out real images are searched for in the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.errors import UsageError
from tasks.files import read_table
from tasks.lake import Version
from tasks.samples import KEPT
from tasks.searching import search_cells, search_exact, search_index
from tasks.searching.search_exact import Nearest
from tasks.searching.search_images import Images
from tasks.threads import all_cores

LEVELS: Final = (0.9, 0.95, 0.98, 0.99)  # similarities whose rates are told besides the asked one
CONFIDENCE: Final = 0.95  # of the upper bounds, one-sided
CHECKED: Final = 100  # queries whose neighbours by the index are compared with the exact ones
SEED: Final = 0


@dataclass(frozen=True)
class Config:
    above: float = 0.95  # cosine from which an image counts as a near-copy
    neighbors: int = 5  # training images told of each image
    index: bool = False  # compare the vectors of an index's nearest cells instead of all

    def __post_init__(self) -> None:
        if not 0 < self.above <= 1:
            raise UsageError(f"--above: a cosine in (0, 1] was expected, {self.above!r} was found")
        if not 1 <= self.neighbors <= 100:
            raise UsageError(f"--neighbors: 1 to 100 was expected, {self.neighbors} was found")


class Found(NamedTuple):
    """The nearest training images of some images, and how they were searched."""

    nearest: Nearest
    method: str  # exact | index
    remark: str | None  # of the index: where it comes from
    recall: float | None  # of the index: the share of the exact neighbours that it found
    checked: int  # images by which that was measured


def find(version: Version, queries: NDArray[np.floating], config: Config) -> Found:
    """The nearest of the version's embeddings, of all samples that have one. Raises what the searches do."""
    with all_cores():
        return _find(version, queries, config)


def _find(version: Version, queries: NDArray[np.floating], config: Config) -> Found:
    parts = version.embeddings()
    if not config.index:
        return Found(search_exact.nearest(parts, queries, config.neighbors), "exact", None, None, 0)
    search_exact.check(parts, queries)
    index, remark = search_index.index_of(version)
    found = search_cells.nearest(index, parts, queries, config.neighbors)
    some = np.random.default_rng(SEED).permutation(len(queries))[:CHECKED]
    exact = search_exact.nearest(parts, queries[some], config.neighbors)
    return Found(found, "index", remark, recall(Nearest(found.rows[some], found.cosines[some]), exact), len(some))


def recall(found: Nearest, exact: Nearest) -> float | None:
    """The share of the exact neighbours that were found; an equally near one counts as well. None where none are."""
    there = exact.rows >= 0
    if not there.any():
        return None
    last = np.where(there, exact.cosines, np.inf).min(axis=1, keepdims=True)
    hits = np.minimum((found.cosines >= last).sum(axis=1), there.sum(axis=1))
    return float(hits.sum() / there.sum())


def upper(hits: int, n: int) -> float | None:
    """The exact upper bound of a rate where `hits` of n were seen (Clopper-Pearson): 1 − 0.05^(1/n) where none was."""
    from scipy.special import betaincinv

    if n == 0:
        return None
    return 1.0 if hits == n else float(betaincinv(hits + 1, n - hits, CONFIDENCE))


def rates(cosines: NDArray[np.float64], levels: Sequence[float]) -> list[dict[str, Any]]:
    """Of (n,) cosines to the nearest training image: similarity, images, above, rate, upper; one a level."""
    told = []
    for level in levels:
        hits, n = int((cosines >= level).sum()), len(cosines)
        told.append(
            {"similarity": level, "images": n, "above": hits, "rate": hits / n if n else None, "upper": upper(hits, n)}
        )
    return told


def levels(above: float) -> list[float]:
    return sorted({*LEVELS, above})


def told_rates(found: Found, config: Config) -> list[dict[str, Any]]:
    first = found.nearest.cosines[:, 0]
    return rates(np.where(np.isnan(first), -1, first), levels(config.above))


def by_verdict(matches: Sequence[Sequence[dict[str, Any]]], above: float) -> dict[str, int]:
    """What became of the nearest training image of those images that are near-copies: verdict → images."""
    nearest = [near[0] for near in matches if near and near[0]["similarity"] >= above]
    return dict(sorted(Counter(near["verdict"] for near in nearest).items()))


def matches(version: Version, images: Images, nearest: Nearest) -> list[list[dict[str, Any]]]:
    """Of each image its nearest training images: uid, similarity, same_bytes, caption, shard, verdict, stage, reason,
    group_size (1: no near-duplicates; None: not searched), let_in (the first published version, or this one, in which
    it was kept; None: never), row."""
    rows = np.unique(nearest.rows[nearest.rows >= 0])
    known = {fact["row"]: fact for fact in _facts(version, rows)}
    told = []
    for digest, places, cosines in zip(images.sha256, nearest.rows.tolist(), nearest.cosines.tolist(), strict=True):
        near = []
        for row, cosine in zip(places, cosines, strict=True):
            if row >= 0:
                fact = dict(known[row])
                near.append({"similarity": cosine, "same_bytes": fact.pop("sha256") == digest, **fact})
        told.append(near)
    return told


def _facts(version: Version, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
    """What is known of those rows of the version."""
    places = pa.array(rows, pa.int64())
    facts = version.table("samples", ["uid", "caption", "sha256"]).take(places)
    decided = version.table("decision", ["verdict", "stage", "reason"]).take(places)
    starts = np.cumsum([0, *(part.rows for part in version.parts)])
    uids = facts["uid"].to_pylist()
    sizes, since = _group_sizes(version, uids), let_in(version, uids)
    return [
        {
            **fact,
            **decision,
            "row": row,
            "shard": version.parts[int(np.searchsorted(starts, row, "right")) - 1].path,
            "group_size": None if sizes is None else sizes.get(fact["uid"], 1),
            "let_in": since.get(fact["uid"]),
        }
        for row, fact, decision in zip(rows.tolist(), facts.to_pylist(), decided.to_pylist(), strict=True)
    ]


def _group_sizes(version: Version, uids: Sequence[str]) -> dict[str, int] | None:
    """Members of the near-duplicate group of each of these samples that is in one; None before dedup."""
    if "groups" not in version.artifacts:
        return None
    table = read_table(version.artifact("groups") / "groups.parquet", ["uid", "group"])
    sizes = {row["values"]: row["counts"] for row in table["group"].value_counts().to_pylist()}
    here = table.filter(pc.is_in(table["uid"], value_set=pa.array(uids, pa.string())))
    return {row["uid"]: sizes[row["group"]] for row in here.to_pylist()}


def let_in(version: Version, uids: Sequence[str]) -> dict[str, int]:
    """uid → number of the oldest published version up to this one, or this one, in which it was kept."""
    lake, wanted = version.lake, pa.array(uids, pa.string())
    numbers = [n for n in lake.numbers() if version.number is not None and n < version.number]
    older = [past for past in map(lake.version, numbers) if past.manifest["complete"] and not past.missing()]
    found: dict[str, int] = {}
    for past in [*older, version]:
        uid, verdict = past.table("samples", ["uid"])["uid"], past.table("decision", ["verdict"])["verdict"]
        here = uid.filter(pc.and_(pc.equal(verdict, KEPT), pc.is_in(uid, value_set=wanted)))
        for one in here.to_pylist():
            found.setdefault(one, past.number or 0)
    return found


def held_out(version: Version, images: Images) -> NDArray[np.bool_]:
    """(n,) whether an image's bytes are those of no sample of the version: a control that was trained on is none."""
    known = set(version.table("samples", ["sha256"])["sha256"].to_pylist())
    return np.array([digest not in known for digest in images.sha256], np.bool_)
