"""Vectors that stay in their files: read by part, gathered by row, or laid out anew in an order that is read in one go.

Nothing here needs all vectors in memory: files are mapped while a block is read and let go afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.duplicates.scratch import scratch
from tasks.errors import EncoderError

if TYPE_CHECKING:
    from torch import Tensor

File = Path | NDArray[np.floating[Any]]
MapParts = Callable[[Callable[[Any], Any], Sequence[Any]], list[Any]]

CHUNK = 16_384  # vectors read at a time: 17 MB at d = 512
MAPS = 30_000  # files mapped at a time; Linux allows 65,530 maps (vm.max_map_count)


class Stored(NamedTuple):
    """n vectors, row k being number[k] of all the files' rows laid end to end."""

    files: tuple[File, ...]  # .npy files or arrays, (rows, d) each
    starts: NDArray[np.int64]  # (files + 1,), rows before each file
    number: NDArray[np.int64]  # (n,)

    @property
    def dim(self) -> int:
        return int(_open(self.files[0]).shape[1]) if self.files else 0

    @property
    def kind(self) -> np.dtype[np.floating[Any]]:
        return _open(self.files[0]).dtype if self.files else np.dtype(np.float16)


class Chunk(NamedTuple):
    """Some vectors of one file, in the file's order."""

    file: File
    local: NDArray[np.int64]  # (k,), rows of the file, ascending
    rows: NDArray[np.int64]  # (k,), which vectors they are


class Piece(NamedTuple):
    """Some vectors, from the files that hold them."""

    vectors: Stored  # (k,)
    rows: NDArray[np.int64]  # (k,), which vectors they are


def stored(files: Sequence[File], number: NDArray[np.int64] | None = None) -> Stored:
    """The vectors of those numbers, by default all. EncoderError where the files' vectors differ in dimension."""
    shapes = [_open(file).shape for file in files]
    sizes = sorted({shape[1] for shape in shapes})
    if len(sizes) > 1:
        raise EncoderError(f"embeddings of one dimension were expected, dimensions {sizes} were found; embed anew")
    starts = np.cumsum([0, *(shape[0] for shape in shapes)])
    return Stored(tuple(files), starts, np.arange(starts[-1]) if number is None else number)


def chunks(vectors: Stored, wanted: NDArray[np.int64] | None = None) -> list[Chunk]:
    """All vectors, or those rows, file by file, at most CHUNK at a time."""
    rows = np.arange(len(vectors.number)) if wanted is None else wanted
    rows = rows[np.argsort(vectors.number[rows], kind="stable")]
    number = vectors.number[rows]
    bounds = np.searchsorted(number, vectors.starts)
    found = []
    for file, start, first, last in zip(vectors.files, vectors.starts, bounds, bounds[1:], strict=False):
        for at in range(first, last, CHUNK):
            some = slice(at, min(at + CHUNK, last))
            found.append(Chunk(file, number[some] - start, rows[some]))
    return found


def pieces(vectors: Stored, size: int) -> list[Piece]:
    """All vectors in the files' order, `size` at a time, whatever the size of the files."""
    order = np.argsort(vectors.number, kind="stable")
    found = []
    for begin in range(0, len(order), size):
        rows = order[begin : begin + size]
        number = vectors.number[rows]
        first, last = (int(place) for place in np.searchsorted(vectors.starts, number[[0, -1]], side="right"))
        start = vectors.starts[first - 1]
        some = Stored(vectors.files[first - 1 : last], vectors.starts[first - 1 : last + 1] - start, number - start)
        found.append(Piece(some, rows))
    return found


def read(chunk: Chunk) -> NDArray[np.floating[Any]]:
    """The chunk's vectors. (k, d)"""
    local = chunk.local
    if len(local) and (np.diff(local) == 1).all():
        return np.array(_open(chunk.file)[local[0] : local[-1] + 1])
    return np.asarray(_open(chunk.file)[local])


def gather(
    vectors: Stored, rows: NDArray[np.int64], out: NDArray[np.floating[Any]] | None = None
) -> NDArray[np.floating[Any]]:
    """Those vectors, in that order, to be read only; in new memory or `out`, or where they lie if together. (k, d)"""
    number = vectors.number[rows]
    if len(vectors.files) == 1:
        every = _open(vectors.files[0])
        if len(number) and every.flags.writeable and (np.diff(number) == 1).all():  # torch takes no others
            return every[number[0] : number[-1] + 1]
        return np.take(every, number, axis=0, out=out, mode="clip" if out is not None else "raise")  # others copy `out`
    found = np.empty((len(rows), vectors.dim), vectors.kind) if out is None else out
    order = np.argsort(number, kind="stable")
    bounds = np.searchsorted(number[order], vectors.starts)
    for file, start, first, last in zip(vectors.files, vectors.starts, bounds, bounds[1:], strict=False):
        if first < last:
            some = order[first:last]
            found[some] = _open(file)[number[some] - start]
    return found


def gather_again(vectors: Stored, rows: NDArray[np.int64]) -> Tensor:
    """The same in memory that this thread uses again when it asks again. (k, d)"""
    import torch

    kind = torch.from_numpy(np.empty(0, vectors.kind)).dtype
    memory = scratch("gathered", (len(rows), vectors.dim), kind)
    return torch.from_numpy(gather(vectors, rows, memory.numpy()))


def opened(vectors: Stored) -> Stored:
    """The same from files that stay mapped until others are: each page of a new map is a fault once more."""
    paths = [file for file in vectors.files if isinstance(file, Path)]
    if len(paths) < len(vectors.files) or len(paths) > MAPS:
        return vectors
    return vectors._replace(files=_maps(tuple((path, state(path)) for path in paths)))


def lay_out(vectors: Stored, order: NDArray[np.int64], path: Path) -> None:
    """Write the vectors as .npy in that order, so that neighbours in it are read in one go.

    It writes blocks, not into a map: a page of a map is fetched before it is changed, and a full disk kills who writes
    there.
    """
    shape, kind = (len(order), vectors.dim), _open(vectors.files[0]).dtype
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
        )
        for start in range(0, len(order), CHUNK):
            gather(vectors, order[start : start + CHUNK]).tofile(file)


def _open(file: File) -> NDArray[np.floating[Any]]:
    return np.load(file, mmap_mode="c") if isinstance(file, Path) else file  # what is written stays in memory


@lru_cache(maxsize=1)
def _maps(files: tuple[tuple[Path, tuple[int, ...]], ...]) -> tuple[NDArray[np.floating[Any]], ...]:
    return tuple(_mapped(path) for path, _ in files)


def _mapped(path: Path) -> NDArray[np.floating[Any]]:
    """As `_open`, without the descriptor that Python's map keeps: parts may be thousands, descriptors often 1,024."""
    import torch

    found = np.load(path, mmap_mode="c")
    if not found.flags.c_contiguous:
        return found
    header = found.offset // found.itemsize  # a multiple of 64 bytes (the .npy format, version 1.0)
    kind = torch.from_numpy(np.empty(0, found.dtype)).dtype
    every = torch.from_file(str(path), shared=False, size=header + found.size, dtype=kind)
    return every.numpy()[header:].reshape(found.shape)


def state(path: Path) -> tuple[int, ...]:
    """What changes where a file is written again."""
    facts = path.stat()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns
