"""An Annoy index of a pool's embeddings for searching: built once, memory-mapped, never opened unless it is whole.

    artifacts/search-<key>/
      index.ann     the forest over the embeddings that are there, less their mean, Euclidean (see tasks/neighbors.py)
      rows.npy      (n,) the version's row of each vector in it
      mean.npy      (d,)
      index.json    what it was made of, and the files' sha256

Annoy opens a truncated file without complaint and crashes on a damaged one. So the digests are computed before it sees
the file, and an index that is not what its key promises is built anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.errors import LakeError
from tasks.files import TEMPORARY, write_json
from tasks.lake import Version
from tasks.lock import hold
from tasks.searching.search_exact import SPARE, Nearest, Parts, blocks, check, present, verified

if TYPE_CHECKING:
    from annoy import AnnoyIndex

REVISION: Final = 1
KIND: Final = "search"
TREES: Final = 10
SEARCH_K: Final = 1000  # nodes inspected a query
METRIC: Final = "euclidean"
SEED: Final = 1
FOREST, ROWS, MEAN, FACTS = "index.ann", "rows.npy", "mean.npy", "index.json"


class Index(NamedTuple):
    """An opened index."""

    forest: AnnoyIndex
    mean: NDArray[np.float32]  # (d,)
    rows: NDArray[np.int64]  # (n,) the version's row of each vector


def made_of(version: Version) -> dict[str, Any]:
    """What an index is made of: versions that share their embeddings share it."""
    return {"embedding": version.columns["embedding"], "parts": [[part.part, part.rows] for part in version.parts]}


def index_key(version: Version) -> str:
    return version.lake.key(KIND, REVISION, TREES, SEED, made_of(version))


def index_of(version: Version) -> tuple[Index, str]:
    """The version's index, built where there is none or where what is there is not it; and which of these it was.

    LakeError where a run holds the lake while the index has to be built, or where no sample has an embedding.
    """
    lake, key = version.lake, index_key(version)
    folder = lake.artifact_path(KIND, key)
    what = "built, since there was none"
    if folder.is_dir():
        try:
            return open_index(folder, made_of(version)), "opened, its digests as recorded"
        except LakeError as problem:
            what = f"built anew: {problem}"
    with hold(lake.home, f"search index {key}"):
        if folder.is_dir():
            aside = folder.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
            folder.rename(aside)
            shutil.rmtree(aside)
        with lake.new_artifact(KIND, key) as made:
            build(version.embeddings(), made, made_of(version))
    return open_index(folder, made_of(version)), what


def build(parts: Parts, folder: Path, sources: dict[str, Any]) -> None:
    """Write the index of all vectors that are there (finite and not zero) into an empty folder.

    On the disk from the beginning: a block of vectors is in memory. LakeError where there is no vector.
    """
    from annoy import AnnoyIndex

    there = [start + np.flatnonzero(present(block)) for start, block in blocks(parts)]
    rows = np.concatenate([np.empty(0, np.int64), *there])
    if not len(rows):
        raise LakeError("at least one sample with an embedding was expected, the version has none; see `sluice show`")
    mean = _mean(parts, len(rows))
    forest = AnnoyIndex(len(mean), METRIC)
    forest.set_seed(SEED)
    forest.on_disk_build(str(folder / FOREST))
    item = 0
    for _, block in blocks(parts):
        for vector in (block[present(block)] - mean).tolist():  # lists: Annoy takes an array's values one by one
            forest.add_item(item, vector)
            item += 1
    forest.build(TREES, n_jobs=1)  # with more threads the trees depend on timing
    forest.unload()
    np.save(folder / ROWS, rows)
    np.save(folder / MEAN, mean)
    digests = {name: _digest(folder / name) for name in (FOREST, ROWS, MEAN)}
    facts = {"dim": len(mean), "metric": METRIC, "count": len(rows), "digests": digests}
    write_json(folder / FACTS, {"made_of": sources, **facts})


def _mean(parts: Parts, count: int) -> NDArray[np.float32]:
    total = sum(block[present(block)].sum(axis=0, dtype=np.float64) for _, block in blocks(parts))
    mean: NDArray[np.float32] = (np.asarray(total) / count).astype(np.float32)
    return mean


def open_index(folder: Path, sources: dict[str, Any]) -> Index:
    """The index of a folder, memory-mapped. LakeError where it was made of something else, or is not whole."""
    from annoy import AnnoyIndex

    facts = _facts(folder)
    if facts.get("made_of") != sources:
        raise LakeError(f"{folder}: an index of other embeddings than this version's was found; remove the folder")
    for name in (FOREST, ROWS, MEAN):
        recorded, found = facts["digests"].get(name), _digest(folder / name)
        if recorded != found:
            raise LakeError(
                f"{folder / name}: sha256 {str(recorded)[:16]} is recorded, {found[:16]} was found: it is not whole"
            )
    forest = AnnoyIndex(facts["dim"], METRIC)
    forest.load(str(folder / FOREST))
    return Index(forest, np.load(folder / MEAN), np.load(folder / ROWS, mmap_mode="r"))


def _facts(folder: Path) -> dict[str, Any]:
    """What is recorded beside the index. LakeError where something of it is missing."""
    try:
        facts: dict[str, Any] = json.loads((folder / FACTS).read_text("utf-8"))
        whole = facts["metric"] == METRIC and isinstance(facts["dim"], int) and isinstance(facts["digests"], dict)
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise LakeError(f"{folder / FACTS}: no record of an index ({type(problem).__name__}: {problem})") from None
    if not whole:
        raise LakeError(f"{folder / FACTS}: the record of a {METRIC} index was expected; remove the folder")
    return facts


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as problem:
        raise LakeError(f"{path}: cannot be read ({problem.strerror})") from None


def nearest(index: Index, parts: Parts, queries: NDArray[np.floating], k: int, search_k: int = SEARCH_K) -> Nearest:
    """The k nearest of (q, d) queries of unit norm among what Annoy inspects; each verified by exact cosine."""
    check(parts, queries)
    found = np.full((len(queries), k + SPARE), -1, np.int64)
    for row, query in enumerate((np.asarray(queries, np.float32) - index.mean).tolist()):
        items = index.forest.get_nns_by_vector(query, k + SPARE, search_k)
        found[row, : len(items)] = index.rows[items]
    return verified(parts, queries, found, k)
