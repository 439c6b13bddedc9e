"""The samples that near-duplicates are searched among: all usable ones, the preferred first, each content once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.errors import EncoderError
from tasks.samples import KEPT, OK, QUARANTINED

if TYPE_CHECKING:
    from tasks.lake import Version

NOBODY = -1


class Pool(NamedTuple):
    """The n usable samples, the preferred first; what stands for each kind, and which filter verdict they have."""

    sample: NDArray[np.int64]  # (n,), index in the version
    table: pa.Table  # (n rows) uid, caption, sha256, verdict
    kind: NDArray[np.int64]  # (n,), row of its vector; samples with the same bytes or vector share one
    vectors: NDArray[np.float16]  # (kinds, d), distinct, in order of their most preferred sample

    @property
    def kept(self) -> NDArray[np.bool_]:
        return np.asarray(self.table["verdict"]) == KEPT

    def leaders(self) -> NDArray[np.int64]:
        """The most preferred kept sample of each kind, NOBODY where the filter left none. (kinds,)"""
        leader = np.full(len(self.vectors), NOBODY, dtype=np.int64)
        rows = np.flatnonzero(self.kept)[::-1]
        leader[self.kind[rows]] = rows  # the last assignment stands: the most preferred
        return leader


def read_pool(version: Version) -> Pool:
    """The usable samples of a version in order of preference, with their vectors. Memory: one vector a sample."""
    samples = version.table("samples", ["uid", "key", "caption", "width", "height", "sha256", "status"])
    table = samples.append_column("verdict", version.table("decision", ["verdict"])["verdict"])
    usable = pc.and_(pc.equal(table["status"], OK), pc.not_equal(table["verdict"], QUARANTINED))
    sample = np.flatnonzero(np.asarray(usable))
    table = table.take(sample)
    pixels = pc.multiply(table["width"].cast("int64"), table["height"].cast("int64"))
    length = pc.fill_null(pc.utf8_length(table["caption"]), 0)
    order = preference(np.asarray(pixels), np.asarray(length, dtype=np.int64), table["uid"].to_pylist())
    sample, table = sample[order], table.take(order)
    vectors = gather(version.embeddings(), sample)
    check_vectors(vectors, table)
    first, kind = np.unique(first_of_kind(table["sha256"].to_pylist(), vectors), return_inverse=True)
    return Pool(sample, table.select(["uid", "caption", "sha256", "verdict"]), kind, vectors[first])


def gather(parts: list[NDArray[np.float16]], sample: NDArray[np.int64]) -> NDArray[np.float16]:
    """The vectors of those samples, whose numbers run through the (rows, d) parts. (n, d)"""
    sizes = sorted({part.shape[1] for part in parts})
    if len(sizes) > 1:
        raise EncoderError(f"embeddings of one dimension were expected, dimensions {sizes} were found; embed anew")
    vectors = np.empty((len(sample), *sizes), dtype=np.float16)
    start = 0
    for part in parts:
        here = np.flatnonzero((sample >= start) & (sample < start + len(part)))
        vectors[here] = part[sample[here] - start]
        start += len(part)
    return vectors


def check_vectors(vectors: NDArray[np.float16], table: pa.Table) -> None:
    """EncoderError naming the first sample whose vector is zero or not finite; `table` has uid and key, row by row."""
    if len(vectors) == 0:
        return
    largest, smallest = vectors.max(axis=1), vectors.min(axis=1)
    bad = np.flatnonzero(~np.isfinite(largest) | ~np.isfinite(smallest) | ((largest == 0) & (smallest == 0)))
    if len(bad):
        row = int(bad[0])
        raise EncoderError(
            f"finite vectors of unit norm were expected; {len(bad)} usable samples have a zero, infinite or NaN "
            f"vector, first uid {table['uid'][row]} (key {table['key'][row]}); embed that shard anew"
        )


def preference(pixels: NDArray[np.int64], captions: NDArray[np.int64], uids: Sequence[str]) -> NDArray[np.int64]:
    """The order in which samples are preferred: more pixels, longer caption (characters), lower uid. (n,) indices"""
    return np.lexsort((np.asarray(uids, dtype=np.str_), -captions, -pixels))


def first_of_kind(sha256: Sequence[str], vectors: NDArray[np.floating]) -> NDArray[np.int64]:
    """For each of n samples the first with the same bytes, or else with the same vector. (n,)

    The first of a kind stands for it in every search: n identical images are one vector, not n² pairs.
    """
    files: dict[str, int] = {}
    same: dict[bytes, int] = {}
    first = np.empty(len(sha256), dtype=np.int64)
    for row, (digest, vector) in enumerate(zip(sha256, vectors, strict=True)):
        copied = files.setdefault(digest, row)
        code = hashlib.blake2b(vector.tobytes(), digest_size=16).digest() if copied == row else b""
        first[row] = same.setdefault(code, row) if copied == row else first[copied]
    return first
