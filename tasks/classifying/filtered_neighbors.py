"""Near-duplicates of what was filtered, which are filtered too: copies that a classifier or a person overlooked.

Exact, and one pass: what is filtered here filters nothing further, so no chain leads away from what was judged.
Results do not depend on the number of threads: products are made in blocks of a fixed size, each on one thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.duplicates.candidates import DECIMALS, SLACK
from tasks.duplicates.clustering import blocks, parallel, unit

if TYPE_CHECKING:
    from torch import Tensor

ROWS = 2048  # samples, and filtered samples, of one product; fixed: results must not depend on the machine
VERIFIED = 256  # samples verified at a time

Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]


class Near(NamedTuple):
    """Samples near to a filtered one, in order."""

    row: Rows  # (m,)
    of: Rows  # (m,), the most similar filtered sample; of equals the first
    similarity: NDArray[np.float64]  # (m,), cosine, rounded


class Block(NamedTuple):
    """Up to ROWS samples of one part."""

    part: NDArray[np.float16]
    local: Rows  # in the part
    row: Rows  # in the version


def near_filtered(parts: Sequence[NDArray[np.float16]], filtered: Mask, exempt: Mask, threshold: float) -> Near:
    """Samples, neither filtered nor exempt, whose cosine to a filtered one is at least `threshold`, in (0, 1].

    `parts` hold the version's n embeddings, (rows, d) of about unit norm, zero where there is none; `filtered` and
    `exempt` (labelled negative, kept by hand) are (n,). Compared in float32, decided in float64 from the embeddings as
    stored, rounded as dedup rounds. f filtered samples cost n·f products; memory: f·d float16, a few blocks a thread.
    """
    import torch

    held = [block.part[block.local] for block in _blocks(parts, filtered)]
    known = np.flatnonzero(filtered)
    found = [Near(known[:0], known[:0], np.empty(0))]
    if held:
        sources = torch.from_numpy(np.concatenate(held))  # (f, d) float16
        work = _blocks(parts, ~filtered & ~exempt)
        found += parallel(lambda block: _near(block, sources, threshold), work)
    row, of, similarity = (np.concatenate(columns) for columns in zip(*found, strict=True))
    return Near(row, known[of], similarity)


def reason(uid: str) -> str:
    """What a decision says of a sample near to the filtered sample `uid`."""
    return f"near-duplicate of filtered {uid}"


def _blocks(parts: Sequence[NDArray[np.float16]], wanted: Mask) -> Iterator[Block]:
    start = 0
    for part in parts:
        local = np.flatnonzero(wanted[start : start + len(part)])
        for first in range(0, len(local), ROWS):
            here = local[first : first + ROWS]
            yield Block(part, here, start + here)
        start += len(part)


def _near(block: Block, sources: Tensor, threshold: float) -> Near:
    """Those of the block that are near, `of` counting through the sources."""
    import torch

    stored = torch.from_numpy(block.part[block.local])
    vectors, best = unit(stored), torch.full((len(stored),), -1.0)
    for those in blocks(sources, ROWS):
        similarity = (vectors @ unit(those).T).nan_to_num_(-1.0)  # what is no number is near to nothing
        best = torch.maximum(best, similarity.amax(1))
    candidates = np.flatnonzero((best >= threshold - SLACK).numpy())
    chosen = [_most_similar(stored[torch.from_numpy(some)], sources) for some in _chunks(candidates)]
    if not chosen:
        return Near(block.row[:0], block.row[:0], np.empty(0))
    of, cosine = (np.concatenate(columns) for columns in zip(*chosen, strict=True))
    near = cosine >= threshold
    return Near(block.row[candidates[near]], of[near], cosine[near].clip(max=1.0))


def _chunks(rows: Rows) -> Iterator[Rows]:
    return (rows[first : first + VERIFIED] for first in range(0, len(rows), VERIFIED))


def _most_similar(stored: Tensor, sources: Tensor) -> tuple[Rows, NDArray[np.float64]]:
    """Each (m, d) vector's most similar source, the first of equals, and their cosine in float64, rounded."""
    of, best = np.zeros(len(stored), np.int64), np.full(len(stored), -1.0)
    vectors = _unit64(stored)
    for number, those in enumerate(blocks(sources, ROWS)):
        cosine = (vectors @ _unit64(those).T).nan_to_num_(-1.0).numpy().round(DECIMALS)
        first = cosine.argmax(axis=1)
        value = cosine[np.arange(len(cosine)), first]
        better = value > best
        of[better], best[better] = number * ROWS + first[better], value[better]
    return of, best


def _unit64(vectors: Tensor) -> Any:
    import torch

    return torch.nn.functional.normalize(vectors.double(), dim=1)
