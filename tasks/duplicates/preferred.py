"""The samples that near-duplicates are searched among: all usable ones, the preferred first, each content once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.duplicates.clustering import parallel
from tasks.duplicates.stored import Chunk, MapParts, Stored, chunks, gather, read, stored
from tasks.duplicates.vector_codes import vector_codes
from tasks.errors import EncoderError
from tasks.samples import KEPT, OK, QUARANTINED

if TYPE_CHECKING:
    from tasks.lake import Version

NOBODY = -1
PREFERRED: Final = ("resolution", "caption", "uid")
PREFER: Final = {  # how a sample can be better than its near-duplicate, and which way to sort for it
    "resolution": "descending",  # pixels
    "caption": "descending",  # characters
    "oldest": "ascending",  # place in the version: parts in source-path order, rows in theirs
    "uid": "ascending",
}


class Pool(NamedTuple):
    """The n usable samples, the preferred first; what stands for each kind, and which filter verdict they have."""

    sample: NDArray[np.int64]  # (n,), index in the version
    table: pa.Table  # (n rows) uid, caption, sha256, verdict
    kind: NDArray[np.int64]  # (n,), row of its vector; samples with the same bytes or vector share one
    stored: Stored  # (kinds,) distinct vectors, in order of their most preferred sample
    code: NDArray[np.uint64]  # (n, 2), what tells the vectors apart

    @property
    def kinds(self) -> int:
        return len(self.stored.number)

    @property
    def vectors(self) -> NDArray[np.floating[Any]]:
        """All of them, in memory. (kinds, d)"""
        return gather(self.stored, np.arange(self.kinds))

    @property
    def kept(self) -> NDArray[np.bool_]:
        return np.asarray(pc.equal(self.table["verdict"], KEPT))

    def leaders(self) -> NDArray[np.int64]:
        """The most preferred kept sample of each kind, NOBODY where the filter left none. (kinds,)"""
        leader = np.full(self.kinds, NOBODY, dtype=np.int64)
        rows = np.flatnonzero(self.kept)[::-1]
        leader[self.kind[rows]] = rows  # the last assignment stands: the most preferred
        return leader


def read_pool(
    version: Version,
    prefer: Sequence[str] = PREFERRED,
    map_parts: MapParts = parallel,
    first: NDArray[np.bool_] | None = None,
    known: NDArray[np.uint64] | None = None,
) -> Pool:
    """The usable samples of a version in order of preference, and where their vectors lie.

    `first` (rows,) are samples that come before all others, in the same order among themselves. `known` (rows, 2) are
    the codes of the vectors that were read before, 0 of the others: only these are read.
    Raises EncoderError where a usable sample has a zero or non-finite vector, or parts have vectors of several sizes.
    """
    samples = version.table("samples", ["uid", "key", "caption", "width", "height", "sha256", "status"])
    samples = samples.append_column("verdict", version.table("decision", ["verdict"])["verdict"])
    usable = pc.and_(pc.equal(samples["status"], OK), pc.not_equal(samples["verdict"], QUARANTINED))
    sample = np.flatnonzero(np.asarray(pc.fill_null(usable, False)))
    table = samples.take(pa.array(sample))
    order = preference(table, sample, prefer)
    if first is not None:
        order = order[np.argsort(~first[sample[order]], kind="stable")]
    sample, table = sample[order], table.take(pa.array(order))
    files = [version.column_path("embedding", part) for part in version.parts]
    vectors = stored(files, sample)
    code = codes(table, vectors, map_parts, known)
    first_of = first_of_kind(table["sha256"], code)
    stands = first_of == np.arange(len(first_of))
    kind = (np.cumsum(stands) - 1)[first_of]
    facts = table.select(["uid", "caption", "sha256", "verdict"])
    return Pool(sample, facts, kind, vectors._replace(number=sample[stands]), code)


def preference(table: pa.Table, sample: NDArray[np.int64], prefer: Sequence[str]) -> NDArray[np.int64]:
    """The order in which samples are preferred: by each of PREFER that is named, in that order, then the lower uid.

    `table` has width, height, caption and uid; `sample` (n,) is the place of each row in the version. (n,) indices
    """
    pixels = pc.multiply(pc.cast(table["width"], pa.int64()), pc.cast(table["height"], pa.int64()))
    columns = {
        "resolution": pc.fill_null(pixels, 0),
        "caption": pc.fill_null(pc.utf8_length(table["caption"]), 0),
        "oldest": pa.array(sample),
        "uid": table["uid"],
    }
    keys = [*prefer, *([] if "uid" in prefer else ["uid"]), "oldest"]
    chosen = {f"{place}": columns[name] for place, name in enumerate(keys)}
    sort_keys: list[Any] = [(f"{place}", PREFER[name]) for place, name in enumerate(keys)]
    return np.asarray(pc.sort_indices(pa.table(chosen), sort_keys=sort_keys)).astype(np.int64)


def codes(
    table: pa.Table, vectors: Stored, map_parts: MapParts, known: NDArray[np.uint64] | None = None
) -> NDArray[np.uint64]:
    """128 bits of each of n vectors, those that are `known` as they are. (n, 2)

    EncoderError where one is zero or not finite; `table` has uid and key.
    """
    code = np.zeros((len(vectors.number), 2), np.uint64) if known is None else known[vectors.number]
    work = chunks(vectors, np.flatnonzero(code[:, 0] == 0))
    for chunk, found in zip(work, map_parts(_codes, work), strict=True):
        check_vectors(table, chunk.rows[found[:, 0] == 0])
        code[chunk.rows] = found
    return code


def first_of_kind(sha256: pa.ChunkedArray, code: NDArray[np.uint64]) -> NDArray[np.int64]:
    """For each of n samples the first with the same bytes, or else with the same vector. (n,)

    The first of a kind stands for it in every search: n identical images are one vector, not n² pairs.
    """
    by_file = _first(sha256.combine_chunks())
    alone = np.flatnonzero(by_file == np.arange(len(by_file)))
    bits = pa.py_buffer(np.ascontiguousarray(code[alone]))
    by_vector = np.arange(len(by_file))
    by_vector[alone] = alone[_first(pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(alone), [None, bits]))]
    return by_vector[by_file]


def check_vectors(table: pa.Table, bad: NDArray[np.int64]) -> None:
    """EncoderError naming the first of the bad rows, if there are any; `table` has uid and key."""
    if len(bad):
        row = int(bad.min())
        raise EncoderError(
            f"finite vectors of unit norm were expected; {len(bad)} usable samples have a zero, infinite or NaN "
            f"vector, first uid {table['uid'][row]} (key {table['key'][row]}); embed that shard anew"
        )


def _codes(chunk: Chunk) -> NDArray[np.uint64]:
    return vector_codes(read(chunk))


def _first(values: pa.Array) -> NDArray[np.int64]:
    """For each of n values the first place with the same. (n,)"""
    label = np.asarray(values.dictionary_encode().indices)  # numbered as they first appear
    return np.flatnonzero(np.diff(np.maximum.accumulate(label), prepend=-1))[label]
