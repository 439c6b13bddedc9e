"""Decontamination: samples near to an image of a reference set, say an evaluation's, leave the pool.

A model that was trained on a benchmark's images, or on near-copies of them, is not measured by it. Every sample is
compared with every reference image, exactly, whatever the search for pairs found; who goes represents nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.duplicates.exact_queries import near_given
from tasks.duplicates.preferred import Pool
from tasks.duplicates.stored import MapParts
from tasks.errors import EncoderError
from tasks.samples import FILTERED

if TYPE_CHECKING:
    from tasks.lake import Version

REASON = "near-duplicate of the reference set"


class Reference(NamedTuple):
    """The images whose near-duplicates leave the pool."""

    vectors: NDArray[np.float16]  # (q, d), unit norm, of the encoder that embedded the pool
    digest: str  # of the files
    unusable: int = 0  # images that could not be read


def reference_key(version: Version, digest: str) -> str:
    """Of artifact `reference`: the set of that digest, embedded as the version was."""
    return version.lake.key("reference", digest, version.columns["embedding"])


def contaminated(pool: Pool, reference: Reference | None, threshold: float, map_parts: MapParts) -> NDArray[np.int64]:
    """The kept samples, as rows of the pool, whose cosine with a reference image reaches the threshold.

    Raises EncoderError where the reference has vectors of another size.
    """
    if reference is None or pool.kinds == 0 or len(reference.vectors) == 0:
        return np.empty(0, np.int64)
    if reference.vectors.shape[1] != pool.stored.dim:
        raise EncoderError(
            f"reference vectors of {pool.stored.dim} numbers, as the pool's, were expected; "
            f"{reference.vectors.shape[1]} were found; embed both with one encoder"
        )
    near = near_given(pool.stored, reference.vectors, threshold, map_parts)
    return np.flatnonzero(near[pool.kind] & pool.kept)


def without(pool: Pool, rows: NDArray[np.int64]) -> Pool:
    """The pool with those rows filtered."""
    gone = np.zeros(len(pool.sample), np.bool_)
    gone[rows] = True
    verdict = pc.if_else(pa.array(gone), FILTERED, pool.table["verdict"].combine_chunks())
    return pool._replace(table=pool.table.set_column(pool.table.schema.get_field_index("verdict"), "verdict", verdict))


def told(reference: Reference | None, removed: NDArray[np.int64]) -> dict[str, Any] | None:
    """What the summary says of it."""
    if reference is None:
        return None
    counts = {"images": len(reference.vectors), "unusable": reference.unusable, "removed": len(removed)}
    return {"digest": reference.digest, **counts}
