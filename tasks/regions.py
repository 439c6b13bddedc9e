"""Regions of the embedding space, made once for a pool's embeddings: an Annoy index and a spherical k-means clustering.

Active learning asks them two things: what lies near a sample (the article's second arm), and where no one has looked
(its blind spot: that arm cannot reach a cluster of positives that lies far from the known ones). METHODS.md, section 1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tasks import clustering, neighbors
from tasks.errors import LakeError
from tasks.files import write_json

REVISION: Final = 1
TREES: Final = 10
SAMPLE: Final = 50_000  # embeddings that k-means is trained on
ITERATIONS: Final = 8
SMALL: Final = 20  # samples a region, where the pool is small
MOST: Final = 2048  # regions at most: the assignment costs one product of all samples with all centres
NOWHERE: Final = -1
INDEX: Final = "index.ann"
REGION: Final = "region.npy"
FACTS: Final = "regions.json"

Parts = Sequence[NDArray[np.float16]]  # (rows, d) each, as Version.embeddings()


class Regions:
    """The index and the clustering of a pool's n samples; both are memory-mapped."""

    def __init__(self, index: neighbors.Index, region: NDArray[np.int32], count: int) -> None:
        self.index = index
        self.region = region  # (n,) number of the region of each sample, NOWHERE for one without an embedding
        self.count = count  # K

    @cached_property
    def members(self) -> list[NDArray[np.int64]]:
        """The rows of each region, ascending."""
        order = np.argsort(self.region, kind="stable")
        return np.split(order, np.searchsorted(self.region[order], np.arange(self.count)))[1:]

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """(K,) samples of each region."""
        return np.bincount(self.region[self.region >= 0], minlength=self.count)


def number_of(rows: int) -> int:
    """K for that many samples: regions of about SMALL samples, 4·√n of them where that is less, MOST at most."""
    return max(1, min(rows // SMALL, round(4 * rows**0.5), MOST))


def build(parts: Parts, folder: Path, seed: int = 0) -> Regions:
    """Cluster and index the embeddings of a pool, write both into an empty folder, and open them.

    Rows of zeros (samples that could not be embedded) are in no region. Raises LakeError where there is no other.
    The same embeddings and seed give the same bytes. Annoy needs all vectors in memory as float32.
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
    region[present] = clustering.assign(torch.from_numpy(rows), trained, 1, 0.0).labels[present, 0]
    np.save(folder / REGION, region)
    neighbors.save(neighbors.build(rows, TREES, seed), folder / INDEX)
    facts = {"rows": len(rows), "dim": rows.shape[1], "regions": len(trained.centroids), "seed": seed}
    write_json(folder / FACTS, {**facts, "digest": _digest(folder / REGION)})
    return load(folder)


def load(folder: Path) -> Regions:
    """What `build` wrote. LakeError where a file is absent or not what was written."""
    facts = _facts(folder)
    path = folder / REGION
    if not path.is_file() or _digest(path) != facts.get("digest"):
        raise LakeError(f"{path}: the file that {FACTS} describes was expected, another or none was found; {_ADVICE}")
    region = np.load(path, mmap_mode="r")
    return Regions(neighbors.load(folder / INDEX, facts["dim"]), region, facts["regions"])


_ADVICE: Final = "remove the folder and run again, it will be rebuilt"


def _facts(folder: Path) -> dict[str, Any]:
    path = folder / FACTS
    try:
        facts = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise LakeError(f"{path} was expected, there is none; {_ADVICE}") from None
    except ValueError as problem:
        raise LakeError(f"{path} is not JSON ({problem}); {_ADVICE}") from None
    if not isinstance(facts, dict) or not {"rows", "dim", "regions", "digest"} <= facts.keys():
        raise LakeError(f"{path} does not describe regions; {_ADVICE}")
    return facts


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
