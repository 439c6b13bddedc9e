"""Queries answered exactly, by comparing them with every vector: nothing else tells what a search missed."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.duplicates import products
from tasks.duplicates.stored import Chunk, MapParts, Stored, chunks, gather, opened, read

ROWS, COLUMNS = 1_024, 8_192  # of one product
PAIRS = 16_384  # decided at a time: at most 32 MB of float16 vectors at d = 512


class Queries(NamedTuple):
    """What is asked of each chunk."""

    rows: NDArray[np.int64]  # (q,)
    vectors: NDArray[np.floating[Any]]  # (q, d)
    threshold: float


def near_to(
    vectors: Stored,
    queries: NDArray[np.int64],
    threshold: float,
    map_parts: MapParts,
    among: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(query, other row) for all near rows of each query, or those `among` (n,), and their cosine. (m, 2) and (m,)"""
    wanted = None if among is None else np.flatnonzero(among)
    if len(queries) == 0 or len(vectors.number) == 0:
        return np.empty((0, 2), np.int64), np.empty(0)
    asked = Queries(queries, gather(vectors, queries), threshold)
    found = map_parts(partial(_near_in, asked), chunks(vectors, wanted))
    pairs = np.concatenate([part[0] for part in found])
    similarity = np.concatenate([part[1] for part in found])
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    return pairs[order], similarity[order]


def near_given(
    vectors: Stored, given: NDArray[np.floating[Any]], threshold: float, map_parts: MapParts
) -> NDArray[np.bool_]:
    """Which of n vectors are near to one of (q, d) others. (n,)"""
    near = np.zeros(len(vectors.number), np.bool_)
    asked = Queries(-1 - np.arange(len(given)), given, threshold)
    for pairs, _ in map_parts(partial(_near_in, asked), chunks(vectors)):
        near[pairs[:, 1]] = True
    return near


def cosines_of(vectors: Stored, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of (m, 2) rows, in float64 from the vectors as stored, rounded. (m,)"""
    import torch

    vectors, found = opened(vectors), np.empty(len(pairs))
    for start in range(0, len(pairs), PAIRS):
        some = slice(start, start + PAIRS)
        rows, place = np.unique(pairs[some], return_inverse=True)  # in a crowd each is in many pairs
        held = torch.from_numpy(gather(vectors, rows))
        found[some] = products.cosines(held, place[:, 0], held, place[:, 1])
    return found


def _near_in(asked: Queries, chunk: Chunk) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    import torch

    pairs, similarity = [np.empty((0, 2), np.int64)], [np.empty(0)]
    queries, stored = torch.from_numpy(asked.vectors), torch.from_numpy(read(chunk))
    screened = [products.screened(block) for block in torch.split(queries, ROWS)]
    for begin in range(0, len(stored), COLUMNS):
        columns = products.screened(stored[begin : begin + COLUMNS])
        for number, rows in enumerate(screened):
            row, column, *_ = products.near(rows, columns, asked.threshold)
            cosine = products.cosines(rows.stored, row, columns.stored, column)
            pair = np.column_stack([asked.rows[row + ROWS * number], chunk.rows[column + begin]])
            upheld = (cosine >= asked.threshold) & (pair[:, 0] != pair[:, 1])
            pairs.append(pair[upheld])
            similarity.append(cosine[upheld])
    return np.concatenate(pairs), np.concatenate(similarity)
