"""Captions become words, in the order in which they stand.

A word is a run of letters and digits with inner apostrophes, in NFC and lower case (METHODS, section 2). Scripts that
write no spaces have no such runs, so there every character is a token and a word is a phrase of characters: "女性" is
then found wherever the two stand side by side, without a dictionary that would have to know it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import regex
from numpy.typing import NDArray

Ints = NDArray[np.int64]

TOKENS = pa.schema([("tokens", pa.list_(pa.dictionary(pa.int32(), pa.string())))])

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


def token_lists(captions: pa.Array | pa.ChunkedArray) -> pa.Table:
    """(n,) captions → TOKENS: one row a caption, its tokens in order, repeats included; none of a null.

    No token has a space in it: captions are cut at spaces, and of the pieces each different one is cut into words once.
    Measured on captions of ten words, three times faster than cutting every caption's bytes.
    """
    captions = pc.fill_null(pc.cast(captions, pa.large_string()), "")
    if isinstance(captions, pa.ChunkedArray):
        captions = captions.combine_chunks()
    pieces, bounds = _pieces(captions)
    starts, words = _words(pieces.dictionary)
    places, codes = pieces.indices.to_numpy(), words.indices.to_numpy()
    lengths = np.diff(starts)[places]
    if (lengths == 1).all():
        ends, found = bounds, codes[starts[places]]
    else:
        ends = np.zeros(len(lengths) + 1, np.int32)
        np.cumsum(lengths, out=ends[1:])
        found = codes[np.repeat(starts[places] - ends[:-1], lengths) + np.arange(ends[-1], dtype=np.int32)]
        ends = ends[bounds]
    tokens = pa.DictionaryArray.from_arrays(pa.array(found), words.dictionary.cast(pa.string()))
    return pa.table([pa.ListArray.from_arrays(pa.array(ends, pa.int32()), tokens)], schema=TOKENS)


def _pieces(captions: pa.LargeStringArray) -> tuple[pa.DictionaryArray, Ints]:
    """(n,) → the pieces that end with a space or with their caption, and (n + 1,) where each caption's begin."""
    _, offsets_buffer, data = captions.buffers()
    offsets = np.frombuffer(offsets_buffer or b"\0" * 8, np.int64)[
        captions.offset : captions.offset + len(captions) + 1
    ]
    text = np.frombuffer(data or b"", np.uint8)[offsets[0] : offsets[-1]]
    offsets = offsets - offsets[0]
    begins = np.zeros(len(text) + 1, np.bool_)
    np.equal(text, ord(" "), out=begins[1:])
    begins[offsets] = True
    starts = np.flatnonzero(begins)
    pieces = pa.LargeStringArray.from_buffers(len(starts) - 1, pa.py_buffer(starts), pa.py_buffer(text))
    return pieces.dictionary_encode(), np.searchsorted(starts, offsets)


def _words(pieces: pa.LargeStringArray) -> tuple[NDArray[np.int32], pa.DictionaryArray]:
    """(n,) → (n + 1,) where each piece's words begin, and the words.

    Plain ASCII pieces are cut as one byte array, measured five times faster than one by one; the rest are not.
    """
    plain = pc.string_is_ascii(pieces)
    others = np.flatnonzero(~plain.to_numpy(zero_copy_only=False))
    rows, words = _ascii_words(pc.if_else(plain, pieces, "") if len(others) else pieces)
    if len(others):
        other_rows, other_words = _unicode_words(others, pieces.take(pa.array(others)).to_pylist())
        rows, words = np.concatenate([rows, other_rows]), pa.concat_arrays([words, other_words])
        order = np.argsort(rows, kind="stable")
        rows, words = rows[order], words.take(pa.array(order))
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(pieces)))])
    return starts.astype(np.int32), words.dictionary_encode()


def _byte_classes() -> tuple[np.ndarray, np.ndarray]:
    """(256,) lower-cased byte, and (256,) whether it is a letter or digit."""
    lower = np.frombuffer(bytes(range(256)).lower(), np.uint8)
    return lower, np.array([chr(b).isalnum() and b < 128 for b in range(256)])


_LOWER, _ALNUM = _byte_classes()


def _ascii_words(captions: pa.LargeStringArray) -> tuple[Ints, pa.LargeStringArray]:
    """(n,) ASCII captions → (k,) rows and (k,) words, in order."""
    end = pa.scalar("\n", pa.large_string())  # so that no word spans two captions
    lines = pc.binary_join_element_wise(captions, pa.scalar("", pa.large_string()), end)
    _, offsets_buffer, data = lines.buffers()
    if len(lines) == 0 or data is None:
        return np.empty(0, np.int64), pa.array([], pa.large_string())
    offsets = np.frombuffer(offsets_buffer, np.int64)[lines.offset : lines.offset + len(lines) + 1]
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


def _unicode_words(rows: Ints, captions: Sequence[str]) -> tuple[Ints, pa.LargeStringArray]:
    """(n,) rows and their captions → (k,) rows and (k,) words."""
    words = [tokenise(caption) for caption in captions]
    flat = [word for caption in words for word in caption]
    return np.repeat(rows, [len(caption) for caption in words]), pa.array(flat, pa.large_string())
