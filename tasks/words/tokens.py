"""Each part's captions cut into words once; and all parts' words under one vocabulary, caption by caption.

What the audit and the weights count is the second, whatever is filtered later: it is read in blocks of captions, so
that a pool of any size is counted in the same memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.files import read_table, write_array, write_table
from tasks.lake import Lake, MapParts, Part, Version
from tasks.storing.copying import fetch
from tasks.words.cutting import TOKENS, has_phrase, token_lists, tokenise

__all__ = ["TOKENS", "TermLists", "Tokens", "Words", "has_phrase", "key", "read_tokens", "read_words", "tokenise"]

REVISION = 2
BLOCK = 250_000  # captions that are merged, and counted, at a time
THREADS = 2  # that read parts' files: more wait for each other

Ints = NDArray[np.int64]


class TermLists(NamedTuple):
    """Which terms each caption has: of caption i, terms[ends[i] : ends[i + 1]]."""

    ends: Ints  # (n + 1,)
    terms: NDArray[np.int32]  # (k,); a term that stood in the caption before is ~term

    def blocks(self, rows: int = BLOCK) -> Iterator[slice]:
        """The captions in runs of this many."""
        count = len(self.ends) - 1
        return (slice(start, min(start + rows, count)) for start in range(0, count, rows))

    def read(self, rows: slice) -> TermLists:
        """These captions' lists, in memory."""
        ends = self.ends[rows.start : rows.stop + 1]
        if isinstance(self.terms, np.memmap) and self.terms.filename:  # what was mapped counts as memory in use
            place = self.terms.offset + self.terms.itemsize * int(ends[0])
            terms = np.fromfile(self.terms.filename, np.int32, int(ends[-1] - ends[0]), offset=place)
        else:
            terms = self.terms[ends[0] : ends[-1]]
        return TermLists(ends - ends[0], terms)

    def gather(self, rows: Ints) -> TermLists:
        """These captions' lists, in memory."""
        starts = self.ends[rows]
        lengths = self.ends[rows + 1] - starts
        ends = np.append(0, lengths.cumsum())
        return TermLists(ends, self.terms[np.repeat(starts - ends[:-1], lengths) + np.arange(ends[-1])])

    @property
    def lengths(self) -> Ints:
        return np.diff(self.ends)


class Words(NamedTuple):
    """All parts' words in the captions' order."""

    vocabulary: pa.StringArray  # (v,)
    captions: Ints  # (v,) of all samples, those with the word
    lists: TermLists  # (n,) mapped from the file; the words of a caption in order


@dataclass(frozen=True)
class Tokens:
    """The pool's tokens: row i says that sample `samples[i]` has the word `vocabulary[terms[i]]`."""

    samples: np.ndarray  # (k,) int32, index into the version's tables
    terms: np.ndarray  # (k,) int32
    vocabulary: pa.StringArray  # (v,)


def key(version: Version) -> str:
    return Lake.key("tokens", REVISION, version.columns["samples"])


def words_key(version: Version) -> str:
    return Lake.key("words", key(version), [part.part for part in version.parts])


def write_tokens(version: Version, map_parts: MapParts) -> str:
    """Write artifacts/tokens-<key>/<part>.parquet where it is missing; returns the key."""
    folder = version.lake.artifact_place("tokens", key(version))
    folder.mkdir(parents=True, exist_ok=True)
    tokens = [folder / f"{part.part}.parquet" for part in version.parts]
    fetch(tokens)
    paths = zip(version.column_paths("samples"), tokens, strict=True)
    map_parts(_write_part, [(samples, tokens) for samples, tokens in paths if not tokens.exists()])
    fetch(tokens)  # what workers elsewhere wrote
    return key(version)


def _write_part(paths: tuple[Path, Path]) -> None:
    samples, tokens = paths
    write_table(tokens, token_lists(read_table(samples, ["caption"])["caption"]))


def read_words(version: Version) -> Words:
    """All parts' words, from artifacts/words-<key>, which is made of the parts' tokens where it is missing."""
    lake, name = version.lake, words_key(version)
    if not lake.has_artifact("words", name):
        with lake.new_artifact("words", name) as folder:
            _write_words(version, folder)
    folder = lake.artifact_path("words", name)
    table = read_table(folder / "words.parquet").combine_chunks()
    vocabulary = table["word"].chunk(0) if len(table) else pa.array([], pa.string())
    return Words(vocabulary, table["captions"].to_numpy(), read_lists(folder))


def read_tokens(version: Version) -> Tokens:
    """Every sample with each of its words, once."""
    words = read_words(version)
    samples = np.repeat(np.arange(version.rows, dtype=np.int32), words.lists.lengths)
    first = words.lists.terms >= 0
    return Tokens(samples[first], words.lists.terms[first], words.vocabulary)


def _write_words(version: Version, folder: Path) -> None:
    merged, folder_of_parts = Merged(), version.lake.artifact_place("tokens", key(version))
    ends, row = np.zeros(version.rows + 1, np.int64), 0
    with growing(folder / "terms.npy") as file, ThreadPoolExecutor(THREADS) as pool:
        for batch in _batches(version.parts):
            paths = [folder_of_parts / f"{part.part}.parquet" for part in batch]
            found = list(pool.map(_read_part, paths))
            for part, terms in zip(found, merged.add(found), strict=True):
                ends[row + 1 : row + 1 + len(part.lengths)] = ends[row] + part.lengths.cumsum()
                row += len(part.lengths)
                file.write(terms.data)
    write_array(folder / "ends.npy", ends)
    write_table(folder / "words.parquet", pa.table({"word": merged.vocabulary, "captions": merged.captions}))


def _read_part(path: Path) -> PartTerms:
    return part_terms(pq.read_table(path, partitioning=None, use_threads=False))


def _batches(parts: Iterable[Part]) -> Iterator[list[Part]]:
    """Parts in order, in runs of about BLOCK samples."""
    batch: list[Part] = []
    for part in parts:
        batch.append(part)
        if sum(one.rows for one in batch) >= BLOCK:
            yield batch
            batch = []
    if batch:
        yield batch


class PartTerms(NamedTuple):
    """A part's tokens by their places in its own dictionary."""

    words: pa.StringArray  # (w,)
    captions: Ints  # (w,) with each word
    lengths: NDArray[np.int32]  # (n,) of the captions
    terms: NDArray[np.int32]  # (k,) as in TermLists


def part_terms(table: pa.Table) -> PartTerms:
    """TOKENS → the same with repeats marked."""
    column = table["tokens"].combine_chunks()
    tokens, lengths = column.flatten(), column.value_lengths().to_numpy()
    terms, size = tokens.indices.to_numpy().copy(), len(tokens.dictionary)
    captions = np.bincount(terms, minlength=size)
    pairs = np.repeat(np.arange(len(lengths)) * max(size, 1), lengths) + terms
    order = np.argsort(pairs, kind="stable")
    again = order[1:][np.diff(pairs[order]) == 0]
    captions -= np.bincount(terms[again], minlength=size)
    terms[again] = ~terms[again]
    return PartTerms(tokens.dictionary, captions, lengths, terms)


class Merged:
    """The vocabulary so far, in order of appearance, and how many captions have each word."""

    def __init__(self) -> None:
        self.vocabulary: pa.StringArray = pa.array([], pa.string())
        self.captions: Ints = np.empty(0, np.int64)

    def add(self, parts: Sequence[PartTerms]) -> Iterator[NDArray[np.int32]]:
        """Each part's terms under this vocabulary."""
        words = pa.concat_arrays([pa.array([], pa.string()), *(part.words for part in parts)]).dictionary_encode()
        number = self._numbers(words.dictionary)[words.indices.to_numpy()]
        np.add.at(self.captions, number, np.concatenate([np.empty(0, np.int64), *(part.captions for part in parts)]))
        starts = np.cumsum([0, *(len(part.words) for part in parts)])
        for start, part in zip(starts, parts, strict=False):
            again = part.terms >> 31  # −1 where the term stood in the caption before, else 0
            yield number[start : start + len(part.words)][part.terms ^ again] ^ again

    def _numbers(self, words: pa.StringArray) -> NDArray[np.int32]:
        """(w,) different words → their places in the vocabulary, behind which new ones are put."""
        known = pc.index_in(words, self.vocabulary)
        new = words.filter(known.is_null())
        number = pc.fill_null(known, -1).to_numpy().copy()
        number[number < 0] = np.arange(len(self.vocabulary), len(self.vocabulary) + len(new))
        self.vocabulary = pa.concat_arrays([self.vocabulary, new])
        self.captions = np.concatenate([self.captions, np.zeros(len(new), np.int64)])
        return number


@contextmanager
def growing(path: Path) -> Iterator[IO[bytes]]:
    """A .npy file of int32 that is written bit by bit; its length is set when the block ends."""
    with path.open("w+b") as file:
        header = {"descr": "<i4", "fortran_order": False, "shape": (0,)}
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        yield file
        count = (file.tell() - start) // 4
        file.seek(0)
        np.lib.format.write_array_header_1_0(file, {**header, "shape": (count,)})


def read_lists(folder: Path) -> TermLists:
    """The lists of a folder's ends.npy and terms.npy, the latter mapped."""
    return TermLists(np.load(folder / "ends.npy"), read_numbers(folder / "terms.npy"))


def read_numbers(path: Path) -> NDArray[np.int32]:
    """What `growing` wrote, mapped: it takes no memory until it is read."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        (count,), *_ = np.lib.format.read_array_header_1_0(file)
    return np.load(path, mmap_mode="r" if count else None)
