"""Samples whose caption has one of a subgroup's terms: whom a category's filter finds less often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.words import tokens

Mask = NDArray[np.bool_]


def members(captions: pa.ChunkedArray, subgroups: Mapping[str, Sequence[str]]) -> dict[str, Mask]:
    """Name → (n,) whether one of its terms, word or phrase, stands in the caption."""
    plain = pc.utf8_lower(pc.utf8_normalize(pc.fill_null(captions, ""), "NFC"))
    plain = pc.replace_substring(plain, "’", "'")
    return {name: _any(plain, terms) for name, terms in subgroups.items()}


def _any(plain: pa.ChunkedArray, terms: Sequence[str]) -> Mask:
    found = np.zeros(len(plain), np.bool_)
    for term in terms:
        words = tokens.tokenise(term)
        if not words:
            continue
        # Few captions hold the first word's letters, and only these are cut into words.
        rows = np.flatnonzero(pc.match_substring(plain, words[0]).to_numpy(zero_copy_only=False))
        phrase = " ".join(words)
        has = [tokens.has_phrase(caption, phrase) for caption in plain.take(rows).to_pylist()]
        found[rows] |= np.array(has, dtype=np.bool_)
    return found
