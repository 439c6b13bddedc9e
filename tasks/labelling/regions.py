"""Regions of the embedding space, made once for a pool's embeddings: an Annoy index and a spherical k-means clustering.

Active learning asks them two things: what lies near a sample (the article's second arm), and where no one has looked
(that arm's blind spot: positives that lie far from the known ones). METHODS.md, section 1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks import neighbors
from tasks.duplicates import clustering
from tasks.errors import LakeError
from tasks.files import write_json

if TYPE_CHECKING:
    from torch import Tensor

REVISION: Final = 1
TREES: Final = 10
SAMPLE: Final = 50_000  # embeddings that k-means is trained on
ITERATIONS: Final = 8
SMALL: Final = 20  # samples a region, where the pool is small
MOST: Final = 2048  # regions at most: each embedding is compared with each centre once
NOWHERE: Final = -1
INDEX: Final = "index.ann"
FACTS: Final = "regions.json"
ARRAYS: Final = ("region", "similarity", "centre")
ADVICE: Final = "remove the folder and run again, it will be rebuilt"

Parts = Sequence[NDArray[np.floating]]  # (rows, d) float16 each, as Version.embeddings()


class Regions(NamedTuple):
    """The index and the clustering of a pool's n samples, memory-mapped."""

    annoy: neighbors.Index
    region: NDArray[np.int32]  # (n,) number of the region of each sample, NOWHERE for one without an embedding
    similarity: NDArray[np.float32]  # (n,) cosine to the region's centre, both seen from the pool's mean
    centre: NDArray[np.float32]  # (K, d) unit norm, seen from the pool's mean


def number_of(rows: int) -> int:
    """K for that many samples: regions of about SMALL samples, MOST of them at most."""
    return max(1, min(rows // SMALL, MOST))


def build(parts: Parts, folder: Path, seed: int = 0) -> Regions:
    """Cluster and index the embeddings of a pool, write both into an empty folder, and open them.

    Rows of zeros (samples that could not be embedded) are in no region. LakeError where there is no other row. The
    same embeddings and seed give the same bytes. Annoy needs all vectors in memory as float32.
    """
    import torch

    rows = np.concatenate([np.asarray(part, dtype=np.float32) for part in parts] or [np.zeros((0, 1), np.float32)])
    present = np.flatnonzero(np.einsum("nd,nd->n", rows, rows) > 0)
    if not len(present):
        raise LakeError("regions: at least one sample with an embedding was expected, none was found; embed the pool")
    rng = np.random.default_rng(seed)
    chosen = present if len(present) <= SAMPLE else np.sort(rng.choice(present, SAMPLE, replace=False))
    trained = clustering.train(torch.from_numpy(rows[chosen]), number_of(len(present)), SAMPLE, ITERATIONS, rng)
    region = np.full(len(rows), NOWHERE, dtype=np.int32)
    similarity = np.zeros(len(rows), dtype=np.float32)
    nearest, cosine = _assign(torch.from_numpy(rows), trained)
    region[present], similarity[present] = nearest[present], cosine[present]
    for name, array in zip(ARRAYS, (region, similarity, trained.centroids.numpy()), strict=True):
        np.save(_path(folder, name), array)
    neighbors.save(neighbors.build(rows, TREES, seed), folder / INDEX)
    digests = {name: _digest(_path(folder, name)) for name in ARRAYS}
    write_json(folder / FACTS, {"dim": rows.shape[1], "seed": seed, "digests": digests})
    return load(folder)


def _assign(rows: Tensor, trained: clustering.Clustering) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(n,) nearest centre of each row, and the cosine to it; in blocks."""
    import torch

    def nearest(block: Tensor) -> tuple[Tensor, Tensor]:
        seen = clustering.unit(clustering.unit(block) - trained.mean)
        best = (seen @ trained.centroids.T).max(dim=1)
        return best.indices, best.values

    label, cosine = zip(*clustering.parallel(nearest, clustering.blocks(rows)), strict=True)
    return torch.cat(label).numpy(), torch.cat(cosine).numpy()


def load(folder: Path) -> Regions:
    """What `build` wrote, memory-mapped. LakeError where a file is absent or not what was written."""
    facts = _facts(folder)
    for name in ARRAYS:
        path = _path(folder, name)
        if not path.is_file() or _digest(path) != facts["digests"].get(name):
            raise LakeError(f"{path}: the file that {FACTS} describes was expected, another or none is there; {ADVICE}")
    index = neighbors.load(folder / INDEX, facts["dim"])
    region, similarity, centre = (np.load(_path(folder, name), mmap_mode="r") for name in ARRAYS)
    return Regions(index, region, similarity, centre)


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.npy"


def _facts(folder: Path) -> dict[str, Any]:
    path = folder / FACTS
    try:
        facts = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise LakeError(f"{path} was expected, there is none; {ADVICE}") from None
    except ValueError as problem:
        raise LakeError(f"{path} is not JSON ({problem}); {ADVICE}") from None
    if not isinstance(facts, dict) or not isinstance(facts.get("digests"), dict) or "dim" not in facts:
        raise LakeError(f"{path} does not describe regions; {ADVICE}")
    return facts


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
