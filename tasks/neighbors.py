"""Nearest neighbours by Annoy: (n, d) vectors in, ids and distances out.

The metric is Euclidean: of unit vectors, distance² = 2 − 2·cosine. CLIP-like vectors sit in a narrow cone, and Annoy's
`angular` metric cuts it through the origin: recall 0.75 to 0.80 where Euclidean gives 0.998 and more. One build thread
and a seed make an index byte-reproducible. Annoy opens a truncated file without complaint and crashes on a damaged one,
so a saved index has its digest, dim, metric and count beside it, and a file that does not match is refused before Annoy
sees it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.errors import LakeError

if TYPE_CHECKING:
    from annoy import AnnoyIndex

METRIC: Final = "euclidean"


class Index(NamedTuple):
    """An Annoy forest over vectors that were centred by `mean` first."""

    forest: AnnoyIndex
    mean: NDArray[np.float32]  # (d,)
    size: int  # vectors in it


class Neighbors(NamedTuple):
    """The nearest first. Where fewer than k were found: id -1 and distance infinity."""

    ids: NDArray[np.int64]  # (q, k)
    distances: NDArray[np.float32]  # (q, k), Euclidean


def build(vectors: NDArray[np.floating], trees: int = 20, seed: int = 0) -> Index:
    """A forest over (n, d) vectors, n ≥ 1, whose ids are the row numbers."""
    from annoy import AnnoyIndex

    rows = np.asarray(vectors, dtype=np.float32)
    mean = rows.mean(axis=0, dtype=np.float64).astype(np.float32) if len(rows) else rows.sum(axis=0)
    forest = AnnoyIndex(rows.shape[1], METRIC)
    forest.set_seed(seed)
    for row, vector in enumerate(rows - mean):
        forest.add_item(row, vector)
    forest.build(trees, n_jobs=1)  # with more threads the trees depend on timing
    return Index(forest, mean, len(rows))


def nearest(index: Index, queries: NDArray[np.floating], k: int, search_k: int = 400) -> Neighbors:
    """The k nearest of each of (q, d) queries among `search_k` inspected nodes; a query in the index finds itself.

    Raises LakeError where the queries have another dimension than the index.
    """
    rows = np.asarray(queries, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] != index.forest.f:
        found = rows.shape[-1] if rows.ndim else 0
        raise LakeError(f"queries of dimension {index.forest.f} were expected, like the index, {found} was found")
    ids = np.full((len(rows), k), -1, dtype=np.int64)
    distances = np.full((len(rows), k), np.inf, dtype=np.float32)
    for row, query in enumerate(rows - index.mean):
        near, apart = index.forest.get_nns_by_vector(query, k, search_k, include_distances=True)
        ids[row, : len(near)] = near
        distances[row, : len(near)] = apart
    return Neighbors(ids, distances)


def save(index: Index, path: Path) -> None:
    """Write the index to `path` and what `load` checks to `path` + `.json`, the latter last."""
    index.forest.save(str(path))  # annoy maps the file afterwards: the index stays usable
    facts = {
        "digest": _digest(path),
        "dim": index.forest.f,
        "metric": METRIC,
        "count": index.size,
        "mean": [float(value) for value in index.mean],
    }
    _facts_path(path).write_text(json.dumps(facts), "utf-8")


def load(path: Path, dim: int) -> Index:
    """The index of `path`, memory-mapped. LakeError where it is absent, damaged, or of another dimension or metric."""
    from annoy import AnnoyIndex

    facts = _facts(path)
    found = {"digest": _digest(path), "dim": dim, "metric": METRIC}
    for name, value in found.items():
        if facts.get(name) != value:
            raise LakeError(
                f"{path}: {name} {facts.get(name)!r} is recorded beside the index, {value!r} was found or asked for; "
                "remove the index and run again, it will be rebuilt"
            )
    forest = AnnoyIndex(dim, METRIC)
    forest.load(str(path))
    if forest.get_n_items() != facts.get("count"):
        raise LakeError(
            f"{path}: {facts.get('count')} vectors are recorded, {forest.get_n_items()} are in it; remove the index"
        )
    return Index(forest, np.array(facts["mean"], dtype=np.float32), forest.get_n_items())


def _facts_path(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _facts(path: Path) -> dict[str, Any]:
    beside = _facts_path(path)
    if not path.is_file() or not beside.is_file():
        raise LakeError(f"{path} and {beside.name} were expected, one is missing; run again, the index will be rebuilt")
    try:
        facts = json.loads(beside.read_text("utf-8"))
    except ValueError as problem:
        raise LakeError(f"{beside} is not JSON ({problem}); remove the index, it will be rebuilt") from None
    if not isinstance(facts, dict) or len(facts.get("mean", ())) != facts.get("dim"):
        raise LakeError(f"{beside} does not describe an index; remove the index, it will be rebuilt")
    return facts


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
