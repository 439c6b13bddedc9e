"""An index of a pool's embeddings for searching: built once, memory-mapped, never opened unless it is whole.

    artifacts/search-<key>/
      vectors.npy     (n, d) the embeddings that are there, as stored, cell after cell
      rows.npy        (n,) the version's row of each
      starts.npy      (K + 1,) where each cell begins, and n
      centroids.npy   (K, d) float32, seen from the mean
      mean.npy        (d,) float32
      index.json      what it was made of, and the files' sha256

An inverted file (Jégou, Douze and Schmid 2011, section IV, without quantisation): k-means cuts the pool into cells, and
search_cells.py compares a query with the vectors of the nearest ones. Cells and probed vectors grow as √n. The files
are plain arrays that numpy maps; the digests are computed before it does, and an index that is not what its key
promises is built anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tasks.duplicates import centroids
from tasks.duplicates.assignment import Reach, assign
from tasks.duplicates.centroids import Centroids, Plan
from tasks.duplicates.clustering import parallel
from tasks.duplicates.stored import Stored, lay_out, stored
from tasks.errors import LakeError
from tasks.files import TEMPORARY, write_json
from tasks.lake import Version
from tasks.lock import hold
from tasks.searching.search_cells import Index
from tasks.searching.search_exact import Parts, blocks, present

REVISION: Final = 2
KIND: Final = "search"
CELLS: Final = 2.0  # times √n
TRAINED: Final = 25  # vectors a cell to train on, at most centroids.SAMPLE in all
ITERATIONS: Final = 4
SEED: Final = 1
FILES: Final = {name: f"{name}.npy" for name in Index._fields}
FACTS: Final = "index.json"


def made_of(version: Version) -> dict[str, Any]:
    """What an index is made of: versions that share their embeddings share it."""
    return {"embedding": version.columns["embedding"], "parts": [[part.part, part.rows] for part in version.parts]}


def index_key(version: Version) -> str:
    return version.lake.key(KIND, REVISION, CELLS, TRAINED, ITERATIONS, SEED, made_of(version))


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

    Blocks of vectors are in memory, and those that k-means trains on. LakeError where there is no vector.
    """
    there = [start + np.flatnonzero(present(block)) for start, block in blocks(parts)]
    rows = np.concatenate([np.empty(0, np.int64), *there])
    if not len(rows):
        raise LakeError("at least one sample with an embedding was expected, the version has none; see `sluice show`")
    vectors = stored(parts, rows)
    k = round(CELLS * len(rows) ** 0.5)
    plan = Plan(k, min(TRAINED * k, centroids.SAMPLE), ITERATIONS, levels=2)
    trained = centroids.train(vectors, plan, np.random.default_rng(SEED))
    used, cell = np.unique(_cells(vectors, trained, folder), return_inverse=True)
    order = np.argsort(cell, kind="stable")
    lay_out(vectors, order, folder / FILES["vectors"])
    starts = np.searchsorted(cell[order], np.arange(len(used) + 1))
    arrays = {"mean": trained.mean.numpy(), "centroids": trained.fine.numpy()[used], "starts": starts}
    for name, array in {**arrays, "rows": rows[order]}.items():
        np.save(folder / FILES[name], array)
    write_json(
        folder / FACTS, {"made_of": sources, "digests": {name: _digest(folder / name) for name in FILES.values()}}
    )


def _cells(vectors: Stored, trained: Centroids, folder: Path) -> NDArray[np.int32]:
    """(n,) the centroid of each vector: the nearest in its coarse cell."""
    path = folder / "trained.npz"
    centroids.save(trained, path)
    home = assign(vectors, path, Reach(probes=1, distance=0.0), parallel).home
    path.unlink()
    return home


def open_index(folder: Path, sources: dict[str, Any]) -> Index:
    """The index of a folder, memory-mapped. LakeError where it was made of something else, or is not whole."""
    facts = _facts(folder)
    if facts["made_of"] != sources:
        raise LakeError(f"{folder}: an index of other embeddings than this version's was found; remove the folder")
    for name in FILES.values():
        recorded, found = facts["digests"].get(name), _digest(folder / name)
        if recorded != found:
            raise LakeError(
                f"{folder / name}: sha256 {str(recorded)[:16]} is recorded, {found[:16]} was found: it is not whole"
            )
    try:
        index = Index(**{name: np.load(folder / file, mmap_mode="c") for name, file in FILES.items()})
    except ValueError as problem:  # objects, which would have to be unpickled, among others
        raise LakeError(f"{folder}: plain arrays were expected ({problem}); remove the folder") from None
    if not _fits(index):
        shapes = {name: array.shape for name, array in index._asdict().items()}
        raise LakeError(f"{folder}: arrays of an index were expected, {shapes} were found; remove the folder")
    return index


def _fits(index: Index) -> bool:
    """Whether the arrays are those of one index."""
    if index.vectors.ndim != 2 or index.starts.ndim != 1 or not len(index.starts):
        return False
    (n, d), k = index.vectors.shape, len(index.starts) - 1
    shapes = (index.mean.shape, index.centroids.shape, index.rows.shape) == ((d,), (k, d), (n,))
    return shapes and index.starts[0] == 0 and index.starts[-1] == n and bool((np.diff(index.starts) > 0).all())


def _facts(folder: Path) -> dict[str, Any]:
    """What is recorded beside the index. LakeError where something of it is missing."""
    try:
        facts: dict[str, Any] = json.loads((folder / FACTS).read_text("utf-8"))
        whole = "made_of" in facts and isinstance(facts["digests"], dict)
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise LakeError(f"{folder / FACTS}: no record of an index ({type(problem).__name__}: {problem})") from None
    if not whole:
        raise LakeError(f"{folder / FACTS}: the record of an index was expected; remove the folder")
    return facts


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as problem:
        raise LakeError(f"{path}: cannot be read ({problem.strerror})") from None
