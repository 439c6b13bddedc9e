"""Captions become words, once: what the audit and the weights count is this table, whatever is filtered later.

A word is a run of letters and digits with inner apostrophes, in NFC and lower case (METHODS, section 2). Scripts that
write no spaces have no such runs, so there every character is a token and a word is a phrase of characters: "女性" is
then found wherever the two stand side by side, without a dictionary that would have to know it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import regex

from tasks.files import read_table, write_table
from tasks.lake import Lake, MapParts, Version

REVISION = 1

TOKENS = pa.schema([("row", pa.int32()), ("term", pa.dictionary(pa.int32(), pa.string()))])

# Script extensions, so that the long-vowel mark "ー" counts as kana. A combining mark belongs to the letter before it:
# some letters have no composed form, and without their vowel signs the words of Indic scripts would fall apart.
_SPACELESS = "[" + "".join(rf"\p{{scx={s}}}" for s in ("Han", "Hira", "Kana", "Thai", "Laoo", "Khmr", "Mymr")) + "]"
_RUN = rf"(?:[\p{{L}}--{_SPACELESS}][\p{{Mn}}\p{{Mc}}]*|[\p{{N}}--{_SPACELESS}])+"
_WORD = regex.compile(rf"(?V1)[[\p{{L}}\p{{N}}]&&{_SPACELESS}][\p{{Mn}}\p{{Mc}}]*|{_RUN}(?:'{_RUN})*")


# Latin, Greek, Cyrillic and Hangul letters, and the usual punctuation: no marks, no spaceless script. There
# the short pattern finds the same words, measured six times faster.
_UNUSUAL = re.compile(r"[^\x00-\u02bb\u02bd-\u02ff\u0370-\u0482\u048a-\u052f\u2010-\u2027\uac00-\ud7a3]")
_SHORT = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def tokenise(caption: str) -> list[str]:
    """A caption's tokens in order, repeats included; typographic apostrophes count as the plain one."""
    text = unicodedata.normalize("NFC", caption).lower().replace("’", "'").replace("ʼ", "'")
    return _WORD.findall(text) if _UNUSUAL.search(text) else _SHORT.findall(text)


def has_phrase(caption: str, phrase: str) -> bool:
    """Whether the caption's tokens hold the phrase, which is tokens joined by spaces, one beside the other."""
    return f" {phrase} " in f" {' '.join(tokenise(caption))} "


def token_table(captions: pa.Array | pa.ChunkedArray) -> pa.Table:
    """(n,) captions → TOKENS: one row a caption and distinct term of it, by row, then by place in the dictionary.

    Plain ASCII captions are cut as one byte array, measured five times faster than one by one; the rest are not.
    """
    captions = pc.fill_null(pc.cast(captions, pa.large_string()), "")
    if isinstance(captions, pa.ChunkedArray):
        captions = captions.combine_chunks()
    plain = pc.string_is_ascii(captions)
    others = np.flatnonzero(~plain.to_numpy(zero_copy_only=False))
    plain_rows, plain_words = _ascii_words(pc.if_else(plain, captions, ""))
    other_rows, other_words = _unicode_words(others, captions.take(pa.array(others)).to_pylist())
    words = pa.concat_arrays([plain_words, other_words]).dictionary_encode()
    size = max(len(words.dictionary), 1)
    rows = np.concatenate([plain_rows, other_rows])
    pairs = np.sort(rows * size + words.indices.to_numpy())
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]  # np.unique hashes, measured four times slower here
    terms = pa.DictionaryArray.from_arrays(
        pa.array((pairs % size).astype(np.int32)), words.dictionary.cast(pa.string())
    )
    return pa.table([pa.array((pairs // size).astype(np.int32)), terms], schema=TOKENS)


def _byte_classes() -> tuple[np.ndarray, np.ndarray]:
    """(256,) lower-cased byte, and (256,) whether it is a letter or digit."""
    lower = np.frombuffer(bytes(range(256)).lower(), np.uint8)
    return lower, np.array([chr(b).isalnum() and b < 128 for b in range(256)])


_LOWER, _ALNUM = _byte_classes()


def _ascii_words(captions: pa.LargeStringArray) -> tuple[np.ndarray, pa.LargeStringArray]:
    """(n,) ASCII captions → (k,) int64 rows and (k,) words, in order."""
    end = pa.scalar("\n", pa.large_string())  # so that no word spans two captions
    lines = pc.binary_join_element_wise(captions, pa.scalar("", pa.large_string()), end)
    _, offsets_buffer, data = lines.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64)[lines.offset : lines.offset + len(lines) + 1]
    if len(lines) == 0 or data is None:
        return np.empty(0, np.int64), pa.array([], pa.large_string())
    text = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    inside = _ALNUM[text]
    apostrophes = np.flatnonzero(text == ord("'"))
    inner = apostrophes[(apostrophes > 0) & (apostrophes < len(text) - 1)]
    inside[inner[inside[inner - 1] & inside[inner + 1]]] = True
    edges = np.flatnonzero(np.diff(inside, prepend=False, append=False))
    starts, ends = edges[::2], edges[1::2]
    letters = pa.py_buffer(_LOWER[text[inside]])
    bounds = np.concatenate([[0], np.cumsum(ends - starts)]).astype(np.int64)
    words = pa.LargeStringArray.from_buffers(len(starts), pa.py_buffer(bounds), letters)
    firsts = np.searchsorted(starts, offsets - offsets[0])  # of each caption, its first word
    return np.repeat(np.arange(len(lines)), np.diff(firsts)), words


def _unicode_words(rows: np.ndarray, captions: Sequence[str]) -> tuple[np.ndarray, pa.LargeStringArray]:
    """(n,) rows and their captions → (k,) int64 rows and (k,) words."""
    words = [tokenise(caption) for caption in captions]
    flat = [word for caption in words for word in caption]
    return np.repeat(rows, [len(caption) for caption in words]), pa.array(flat, pa.large_string())


def key(version: Version) -> str:
    return Lake.key("tokens", REVISION, version.columns["samples"])


def write_tokens(version: Version, map_parts: MapParts) -> str:
    """Write artifacts/tokens-<key>/<part>.parquet where it is missing; returns the key."""
    folder = version.lake.artifact_path("tokens", key(version))
    folder.mkdir(parents=True, exist_ok=True)
    paths = [(version.column_path("samples", part), folder / f"{part.part}.parquet") for part in version.parts]
    map_parts(_write_part, [(samples, tokens) for samples, tokens in paths if not tokens.exists()])
    return key(version)


def _write_part(paths: tuple[Path, Path]) -> None:
    samples, tokens = paths
    write_table(tokens, token_table(read_table(samples, ["caption"])["caption"]))


@dataclass(frozen=True)
class Tokens:
    """The pool's tokens: row i says that sample `samples[i]` has the word `vocabulary[terms[i]]`."""

    samples: np.ndarray  # (k,) int32, index into the version's tables
    terms: np.ndarray  # (k,) int32
    vocabulary: pa.StringArray  # (v,)


def read_tokens(version: Version) -> Tokens:
    """All parts' tokens under one vocabulary."""
    folder = version.lake.artifact_path("tokens", key(version))
    start, samples, terms = 0, [], [TOKENS.empty_table()["term"]]
    for part in version.parts:
        table = pq.read_table(folder / f"{part.part}.parquet", partitioning=None)
        samples.append(table["row"].to_numpy() + np.int32(start))
        terms.append(table["term"])
        start += part.rows
    return _unified(samples, terms)


def _unified(samples: list[np.ndarray], terms: list[pa.ChunkedArray]) -> Tokens:
    chunks = [chunk for column in terms for chunk in column.chunks]
    column = pa.chunked_array(chunks, TOKENS.field("term").type).unify_dictionaries()
    codes = [chunk.indices.to_numpy() for chunk in column.chunks]
    empty = np.empty(0, np.int32)
    vocabulary = column.chunk(0).dictionary if column.num_chunks else pa.array([], pa.string())
    return Tokens(np.concatenate([empty, *samples]), np.concatenate([empty, *codes]), vocabulary)
