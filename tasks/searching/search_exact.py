"""The nearest of a pool's vectors by exact cosine: blocked matrix products over memory-mapped parts, nothing skipped.

A block is multiplied in bfloat16 where that is faster, and its similarities are not sorted: groups of neighbouring
vectors whose maximum is out of reach are passed over, and what is within reach is computed again in float32. Rounding
moves a cosine by less than MARGIN, so nothing is lost by it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.errors import EncoderError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BLOCK: Final = 8192  # vectors multiplied at a time
GROUP: Final = 64  # vectors of which only the highest similarity is compared first
QUERIES: Final = 1024  # queries multiplied at a time
# Cosines that rounding can lose. bfloat16: each vector is moved by 2⁻⁹ of its length, the result by 2⁻⁹ of its own.
MARGIN: Final = {"bfloat16": 3 * 2**-9 + 2**-12, "float32": 2**-14}
MANY: Final = 50  # a query, that are computed one by one; more (a pool of copies) are a product of all
SPARE: Final = 2  # more than k are taken, for float32 may order two of nearly the same cosine wrongly

Parts = Sequence[NDArray[np.floating]]  # (rows, d) each, unit norm or zero, as Version.embeddings()


class Nearest(NamedTuple):
    """The nearest first; of equal cosines the lower row. Where the pool has fewer than k: row -1, cosine NaN."""

    rows: NDArray[np.int64]  # (q, k) numbers that run through the parts
    cosines: NDArray[np.float64]  # (q, k), from the stored vectors, rounded to 6 digits


def nearest(parts: Parts, queries: NDArray[np.floating], k: int) -> Nearest:
    """The k nearest vectors of each of (q, d) queries of unit norm; rows of zeros, or not finite, are none.

    One block of a part and its similarities to QUERIES queries are in memory at a time. EncoderError: another d.
    """
    return searched(parts, queries, k, lambda chunk: _candidates(parts, chunk, k + SPARE))


def searched(
    parts: Parts, queries: NDArray[np.floating], k: int, candidates: Callable[[NDArray[np.floating]], NDArray[np.int64]]
) -> Nearest:
    """The k best of the (q, c) rows that `candidates` finds for (q, d) queries, QUERIES at a time. Raises as check."""
    check(parts, queries)
    chunks = [queries[start : start + QUERIES] for start in range(0, len(queries), QUERIES)]
    found = [verified(parts, chunk, candidates(chunk), k) for chunk in chunks]
    empty = Nearest(np.empty((0, k), np.int64), np.empty((0, k)))
    return Nearest(*(np.concatenate(columns) for columns in zip(empty, *found, strict=True)))


def check(parts: Parts, queries: NDArray[np.floating]) -> None:
    """EncoderError where queries and vectors are not of one dimension, or a query is no direction."""
    sizes = {part.shape[1] for part in parts if len(part)}
    if queries.ndim != 2 or not sizes <= {queries.shape[1]}:
        raise EncoderError(
            f"queries of the pool's {sorted(sizes)} dimensions were expected, their shape is {queries.shape}; "
            "embed them with the encoder that embedded the pool"
        )
    norms = np.linalg.norm(np.asarray(queries, np.float32), axis=1)
    wrong = np.flatnonzero(~(np.abs(norms - 1) < 0.01))
    if len(wrong):
        raise EncoderError(f"queries of norm 1 were expected, number {wrong[0]} has norm {norms[wrong[0]]:.4g}")


def blocks(parts: Parts, size: int = BLOCK) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Number of the first row and (at most size, d) float32 of each block of the parts, in order; copies."""
    import torch

    start = 0
    for part in parts:
        for first in range(0, len(part), size):
            stored = torch.from_numpy(np.array(part[first : first + size]))  # numpy is ten times slower from float16
            yield start + first, stored.float().numpy()
        start += len(part)


def present(block: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(b,) whether a row of a (b, d) block is a vector: finite and not zero."""
    norms = np.linalg.norm(block, axis=1)
    there: NDArray[np.bool_] = np.isfinite(norms) & (norms > 0)
    return there


def _candidates(parts: Parts, queries: NDArray[np.floating], k: int) -> NDArray[np.int64]:
    """(q, k) rows of the highest similarities in float32, -1 where there are fewer."""
    import torch

    asked = torch.from_numpy(np.asarray(queries, np.float32))
    best = Best(torch.full((len(asked), k), -torch.inf), torch.full((len(asked), k), -1, dtype=torch.int64))
    rough = asked.to(rough_type())
    for start, block in blocks(parts):
        vectors = torch.from_numpy(block)
        norms = torch.linalg.vector_norm(vectors, dim=1)
        here = torch.isfinite(norms) & (norms > 0)
        vectors /= norms[:, None]  # float16 misses norm one by about 1e-4
        vectors[~here] = 0
        vectors, here = (_padded(tensor, -len(block) % GROUP) for tensor in (vectors, here))
        found = _beating(best, rough, vectors.to(rough.dtype), here)
        if found is None:
            best = _merged(best, asked @ vectors.T, here, start)
        else:
            query, place = found
            value = (asked[query] * vectors[place]).sum(dim=1)
            best = _with(best, query, value, start + place)
    return best.rows.numpy()


def _padded(tensor: Tensor, more: int) -> Tensor:
    import torch

    return torch.cat([tensor, tensor.new_zeros(more, *tensor.shape[1:])]) if more else tensor


class Best(NamedTuple):
    """The k highest similarities so far of each of q queries, and their rows; the highest first."""

    value: Tensor  # (q, k) float32
    rows: Tensor  # (q, k) int64


@cache
def rough_type() -> torch.dtype:
    """The type that multiplies fastest here. What is found does not depend on it: `MARGIN` covers its rounding."""
    import torch

    seconds = {}
    for kind in MARGIN:
        block = torch.ones((1024, 512), dtype=getattr(torch, kind))
        times = []
        for _ in range(3):
            begun = time.perf_counter()
            block @ block.T
            times.append(time.perf_counter() - begun)
        seconds[kind] = min(times)
    fastest: torch.dtype = getattr(torch, min(seconds, key=lambda name: seconds[name]))
    return fastest


def _beating(best: Best, rough: Tensor, vectors: Tensor, here: Tensor) -> tuple[Tensor, Tensor] | None:
    """Queries and places of all that may beat the k-th best so far; None where these are too many to do one by one."""
    import torch

    bar = best.value[:, -1] - MARGIN[str(rough.dtype).removeprefix("torch.")]
    q, b = len(rough), len(vectors)
    if torch.isinf(bar).any():
        return None
    grouped = (rough @ vectors.T).view(q, b // GROUP, GROUP)
    query, group = (grouped.amax(dim=2) >= bar[:, None]).nonzero(as_tuple=True)
    if len(query) > MANY * q:
        return None
    pair, place = (grouped[query, group] >= bar[query, None]).nonzero(as_tuple=True)
    query, place = query[pair], group[pair] * GROUP + place
    return (query[here[place]], place[here[place]]) if len(query) <= MANY * q else None


def _merged(best: Best, similarity: Tensor, here: Tensor, start: int) -> Best:
    """`best` and a block's (q, b) similarities of the vectors that are `here`."""
    import torch

    similarity[:, ~here] = -torch.inf
    value, place = similarity.topk(min(best.value.shape[1], similarity.shape[1]), dim=1)
    value, rows = torch.cat([best.value, value], dim=1), torch.cat([best.rows, start + place], dim=1)
    value, chosen = value.topk(best.value.shape[1], dim=1)
    return Best(value, torch.where(value == -torch.inf, -1, rows.gather(1, chosen)))


def _with(best: Best, query: Tensor, value: Tensor, rows: Tensor) -> Best:
    """`best` and (e,) more similarities, each of one query and one row."""
    import torch

    q, k = best.value.shape
    owner = torch.cat([torch.arange(q).repeat_interleave(k), query])
    values, everything = torch.cat([best.value.flatten(), value]), torch.cat([best.rows.flatten(), rows])
    order = torch.from_numpy(np.lexsort((-values.numpy(), owner.numpy())))
    first = torch.searchsorted(owner[order], torch.arange(q))
    chosen = order[first[:, None] + torch.arange(k)]
    return Best(values[chosen], everything[chosen])


def verified(parts: Parts, queries: NDArray[np.floating], rows: NDArray[np.int64], k: int) -> Nearest:
    """The k best of (q, c) candidate rows (-1: none) by a cosine computed anew in float64 from the stored vectors."""
    cosines = np.full(rows.shape, -np.inf)
    asked = _unit(np.asarray(queries, np.float64))
    start = 0
    for part in parts:
        query, place = np.nonzero((rows >= start) & (rows < start + len(part)))
        if len(query):
            wanted, where = np.unique(rows[query, place] - start, return_inverse=True)
            vectors = _unit(part[wanted].astype(np.float64))
            cosines[query, place] = np.einsum("nd,nd->n", vectors[where], asked[query]).round(6)
        start += len(part)
    order = np.lexsort((rows, -cosines))[:, :k]
    cosines, rows = np.take_along_axis(cosines, order, 1), np.take_along_axis(rows, order, 1)
    missing = k - rows.shape[1]
    if missing > 0:
        cosines = np.pad(cosines, ((0, 0), (0, missing)), constant_values=-np.inf)
        rows = np.pad(rows, ((0, 0), (0, missing)), constant_values=-1)
    return Nearest(rows, np.where(rows < 0, np.nan, cosines))


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
