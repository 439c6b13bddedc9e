"""Coarse features of a sample: a few principal components of the embedding, and the words of the caption.

Weights may only be a smooth function of these. On the embedding itself a filter is a threshold and leaves no overlap
that weights could repair (METHODS, section 2); on coarse features what was kept still resembles what was removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks import samples
from tasks.files import read_table
from tasks.lake import MapParts, Version
from tasks.threads import one_thread
from tasks.words.tokens import Tokens, has_phrase, tokenise

if TYPE_CHECKING:
    from scipy.sparse import csc_array

ROWS = 8192  # samples a block: bounds the memory that float64 copies take

Floats = NDArray[np.float64]


class Pool(NamedTuple):
    """Who is in the pool, once each near-duplicate group counts as one unit."""

    kept: NDArray[np.bool_]  # (n,)
    usable: NDArray[np.bool_]  # (n,)
    unit: NDArray[np.int64]  # (n,), number of the sample's unit, in order of first appearance; -1 where not usable
    share: Floats  # (n,), 1 / usable samples of the unit, 0 where not usable

    def mean(self, values: Floats) -> Floats:
        """(n, p) features of samples → (p,) mean over units of the mean over a unit's members."""
        mean: Floats = dot(self.share, values) / self.share.sum()
        return mean

    def spread(self, values: Floats) -> Floats:
        """(n, p) → (p,) standard deviations about that mean, 1 where a feature does not vary."""
        variance = self.mean(values**2) - self.mean(values) ** 2
        return np.where(variance > 1e-12, np.sqrt(np.maximum(variance, 1e-12)), 1.0)

    def counts(self, terms: Terms) -> Floats:
        """(t,) units with each term; of a unit, the part of its captions that has it."""
        counted: Floats = terms.has.T @ self.share
        return counted


class Components(NamedTuple):
    """Principal components of the pool's embeddings."""

    mean: Floats  # (d,)
    basis: Floats  # (d, k), orthonormal; of each column the entry of largest size is positive


class Terms(NamedTuple):
    """Which captions have which term."""

    names: tuple[str, ...]  # (t,)
    has: csc_array  # (n, t) float64, 1 where the caption has the term


def dot(left: Floats, right: Floats) -> Floats:
    """The matrix product by torch, whose threads we set; those of NumPy's library we cannot."""
    import torch

    product: Floats = (torch.from_numpy(np.ascontiguousarray(left)) @ torch.from_numpy(right)).numpy()
    return product


def pool_of(verdicts: pa.ChunkedArray, uids: pa.ChunkedArray | None, groups: pa.Table | None) -> Pool:
    """(n,) verdicts; with uids and the table group, uid where near-duplicates are known, else each sample is a unit."""
    kept = pc.equal(verdicts, samples.KEPT).to_numpy()
    usable = pc.not_equal(verdicts, samples.QUARANTINED).to_numpy()
    unit = np.arange(len(kept))
    if uids is not None and groups is not None and len(groups):
        groups = groups.sort_by([("group", "ascending")])  # a uid in two groups counts in the first, as in the audit
        place = pc.index_in(uids, groups["uid"].combine_chunks()).combine_chunks()
        numbers = groups["group"].dictionary_encode().combine_chunks().indices.take(place.fill_null(0)).to_numpy()
        unit = np.where(place.is_valid().to_numpy(zero_copy_only=False), len(kept) + numbers, unit)
    return Pool(kept, usable, *_units(unit, usable))


def _units(label: NDArray[np.int64], usable: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Floats]:
    """(n,) any labels → (n,) numbers in order of first appearance, and (n,) 1 / size of the unit."""
    _, first, inverse, sizes = np.unique(label[usable], return_index=True, return_inverse=True, return_counts=True)
    number = np.empty(len(first), np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    unit, share = np.full(len(label), -1, np.int64), np.zeros(len(label))
    unit[usable], share[usable] = number[inverse], 1 / sizes[inverse]
    return unit, share


def components(version: Version, map_parts: MapParts, count: int) -> Components:
    """The `count` leading principal components of the usable samples' embeddings; fewer where there are no more."""
    paths = [(version.column_path("embedding", p), version.column_path("decision", p)) for p in version.parts]
    return components_of(map_parts(part_moments, paths), count)


def part_moments(paths: tuple[Path, Path]) -> tuple[int, Floats, Floats]:
    """One part's embedding and decision files → usable samples, (d,) their sum, (d, d) sum of their outer products."""
    embedding, decision = paths
    usable = pc.not_equal(read_table(decision, ["verdict"])["verdict"], samples.QUARANTINED).to_numpy()
    return moments(np.load(embedding, mmap_mode="r"), usable)


def moments(embedding: NDArray[np.floating], usable: NDArray[np.bool_]) -> tuple[int, Floats, Floats]:
    """(n, d), (n,) → usable samples, (d,) their sum, (d, d) sum of their outer products, in blocks of a fixed size."""
    width = embedding.shape[1]
    total, products = np.zeros(width), np.zeros((width, width))
    with one_thread():
        for start in range(0, len(embedding), ROWS):
            block = embedding[start : start + ROWS][usable[start : start + ROWS]].astype(np.float64)
            total += block.sum(axis=0)
            products += dot(block.T, block)
    return int(usable.sum()), total, products


def components_of(parts: Sequence[tuple[int, Floats, Floats]], count: int) -> Components:
    """Moments of the parts, added up in their order → the components. Directions without variance are left out."""
    import torch

    number = sum(part[0] for part in parts)
    if number < 2:
        width = len(parts[0][1]) if parts else 0
        return Components(np.zeros(width), np.zeros((width, 0)))
    mean = np.add.reduce([part[1] for part in parts]) / number
    covariance = np.add.reduce([part[2] for part in parts]) / number - np.outer(mean, mean)
    with one_thread():
        values, vectors = (x.numpy() for x in torch.linalg.eigh(torch.from_numpy(covariance)))
    leading = np.arange(len(values))[::-1][:count]  # eigh sorts upwards
    basis = vectors[:, leading[values[leading] > 1e-9 * max(values[-1], 1e-12)]]
    largest = np.abs(basis).argmax(axis=0)
    return Components(mean, basis * np.sign(basis[largest, np.arange(basis.shape[1])]))


def project(embeddings: Sequence[NDArray[np.floating]], found: Components) -> Floats:
    """Parts of (rows, d) → (n, k) scores on the components."""
    scores = [np.empty((0, found.basis.shape[1]))]
    with one_thread():
        for part in embeddings:
            for start in range(0, len(part), ROWS):
                scores.append(dot(part[start : start + ROWS].astype(np.float64) - found.mean, found.basis))
    return np.concatenate(scores)


def frequent_words(tokens: Tokens, usable: NDArray[np.bool_], min_count: int) -> Terms:
    """Words of at least `min_count` usable captions, the most frequent first, then alphabetical."""
    usable_token = usable[tokens.samples]
    counts = np.bincount(tokens.terms[usable_token], minlength=len(tokens.vocabulary))
    words = tokens.vocabulary.to_pylist()
    chosen = sorted(np.flatnonzero(counts >= max(min_count, 1)).tolist(), key=lambda i: (-counts[i], words[i]))
    column = np.full(len(words), -1)
    column[chosen] = np.arange(len(chosen))
    used = usable_token & (column[tokens.terms] >= 0)
    return _terms([words[i] for i in chosen], tokens.samples[used], column[tokens.terms[used]], len(usable))


def named_terms(names: Sequence[str], tokens: Tokens, captions: pa.ChunkedArray, usable: NDArray[np.bool_]) -> Terms:
    """The given words or phrases, in their order; a name that no usable caption has gets an empty column."""
    held = [_captions_with(name, tokens, captions) for name in names]
    held = [rows[usable[rows]] for rows in held]
    columns = np.repeat(np.arange(len(names)), [len(rows) for rows in held])
    return _terms(list(names), np.concatenate([np.empty(0, np.int64), *held]), columns, len(usable))


def _captions_with(name: str, tokens: Tokens, captions: pa.ChunkedArray) -> NDArray[np.int64]:
    """Rows of the captions that have a word, or a phrase's words side by side; the latter are read again."""
    words = tokenise(name)
    places = pc.index_in(pa.array(words, pa.string()), tokens.vocabulary)
    if not words or places.null_count:
        return np.empty(0, np.int64)
    found = [np.unique(tokens.samples[tokens.terms == place]) for place in set(places.to_pylist())]
    rows: NDArray[np.int64] = found[0].astype(np.int64)
    for other in found[1:]:
        rows = np.intersect1d(rows, other)
    if len(words) == 1:
        return rows
    phrase = " ".join(words)
    texts = captions.take(pa.array(rows)).to_pylist()
    held: NDArray[np.int64] = rows[np.array([has_phrase(text or "", phrase) for text in texts], dtype=bool)]
    return held


def _terms(names: list[str], rows: NDArray[np.integer], columns: NDArray[np.integer], count: int) -> Terms:
    from scipy.sparse import csc_array

    return Terms(tuple(names), csc_array((np.ones(len(rows)), (rows, columns)), shape=(count, len(names))))
