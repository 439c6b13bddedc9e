"""Which of many vectors are near to which: products in half precision where the machine has them, decided finely.

A cosine of unit vectors in bfloat16 is wrong by at most 2⁻⁸ for the rounding of both (Cauchy-Schwarz) and 2⁻⁹ for its
own, so a screen that lies that much below the threshold loses no pair. What passes it is decided by a cosine in float64
from the vectors as stored, rounded. Where more than a few pass, as among thousands of very similar pictures, the screen
is made again in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.duplicates.scratch import scratch

if TYPE_CHECKING:
    import torch
    from torch import Tensor

DECIMALS = 6  # of a similarity
SLACK = 1e-5  # cosine; far above the rounding error of float32 products, about 1e-6
HALF_SLACK = 0.007  # of bfloat16: 2⁻⁸ + 2⁻⁹, and the accumulation
FEW = 8  # pairs a row that pass the screen, above which it is made again in float32
BLOCK = 512  # vectors brought to another precision at a time: they fit a core's cache
SMALLEST = 1e-12  # norm that is divided by
STEP = 64  # rows that products in half precision are filled up to
VERIFIED = 65_536  # numbers of either side that are decided at a time: in float64 they fit a core's cache


class Screened(NamedTuple):
    """Vectors as stored, and ready for products."""

    stored: Tensor  # (n, d) float16 or float32
    fast: Tensor  # (≥ n, d) of unit norm, bfloat16 or float32, on the device of the products; those behind n fill up

    def part(self, start: int, stop: int) -> Screened:
        return Screened(self.stored[start:stop], self.fast[start:])

    def full(self) -> Tensor:
        """The fast ones, and as many behind them as a product is filled up with."""
        return self.fast[: filled(len(self.stored))]

    def some(self, rows: NDArray[np.int64]) -> Screened:
        import torch

        chosen = torch.from_numpy(rows)
        return Screened(self.stored.index_select(0, chosen), self.fast.index_select(0, chosen.to(self.fast.device)))


@cache
def half() -> bool:
    """Whether products in bfloat16 are faster here than those in float32, measured at twice as fast or more."""
    import torch

    able = torch.cpu.get_capabilities()
    return torch.cuda.is_available() or bool(able.get("avx512_bf16") or able.get("amx_bf16"))


@cache
def device() -> str:
    """Where products are made: a GPU where there is one, which then adds them up in float32, as the slack reckons."""
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    return "cuda"


def fast(vectors: Tensor) -> Tensor:
    """In the precision and on the device of the products."""
    import torch

    seen = vectors.to(device()).float()  # straight from float16 to bfloat16 takes far longer
    return seen.to(torch.bfloat16) if half() else seen


def product(left: Tensor, right: Tensor) -> Tensor:
    """All dot products of (n, d) with (m, d) vectors, until this thread makes the next ones. (n, m)

    oneDNN compiles a kernel for each new shape, which takes longer than a cluster's product: so there are few shapes.
    """
    import torch

    n, m = len(left), len(right)
    if left.dtype == torch.bfloat16:
        left, right = _filled_up(left), _filled_up(right)
    out = scratch("product", (len(left), len(right)), left.dtype, device())
    return torch.mm(left, right.T, out=out)[:n, :m]


def filled(n: int) -> int:
    """The rows of a product of n vectors."""
    return -(-n // STEP) * STEP if half() else n


def _filled_up(vectors: Tensor) -> Tensor:
    import torch

    lacking = filled(len(vectors)) - len(vectors)
    return torch.nn.functional.pad(vectors, (0, 0, 0, lacking)) if lacking else vectors


def unit(vectors: Tensor) -> Tensor:
    """Float32 of norm one; float16 embeddings miss it by about 1e-4."""
    import torch

    return _to_unit(vectors.to(torch.float32, copy=True))


def _to_unit(vectors: Tensor) -> Tensor:
    """Float32 vectors, in place."""
    import torch

    if vectors.is_cuda:
        norm = torch.linalg.vector_norm(vectors, dim=1)
    else:  # faster than torch's
        norm = torch.from_numpy(np.sqrt(np.vecdot(vectors.numpy(), vectors.numpy())))
    return vectors.mul_(norm.clamp_(min=SMALLEST).reciprocal_()[:, None])


def directions(stored: Tensor, mean: Tensor | None = None, out: Tensor | None = None) -> Tensor:
    """At unit norm, seen from the mean, ready for products; by default in new memory. (n, d)"""
    ready = space(*stored.shape) if out is None else out
    for rows, block in unit_blocks(stored):
        ready[rows] = block if mean is None else block.sub_(mean.to(device()))
    return ready


def unit_blocks(stored: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Which vectors, and these at unit norm in float32 on the device of the products, in memory that is used again."""
    import torch

    step = BLOCK if device() == "cpu" else max(len(stored), 1)
    block = scratch("unit", (min(step, len(stored)), stored.shape[1]), torch.float32, device())
    for start in range(0, len(stored), step):
        some = stored[start : start + step]
        yield slice(start, start + step), _to_unit(block[: len(some)].copy_(some))


def space(n: int, d: int) -> Tensor:
    """Memory for n vectors that are ready for products."""
    import torch

    return torch.empty((n, d), dtype=_kind(), device=device())


def space_again(n: int, d: int) -> Tensor:
    """The same, until this thread asks again."""
    return scratch("ready", (n, d), _kind(), device())


def _kind() -> torch.dtype:
    import torch

    return torch.bfloat16 if half() else torch.float32


def screened(stored: Tensor, memory: Callable[[int, int], Tensor] = space) -> Screened:
    """Ready to be compared, in that memory."""
    ready = memory(len(stored) + STEP, stored.shape[1])
    directions(stored, out=ready[: len(stored)])
    ready[len(stored) :] = 0
    return Screened(stored, ready)


class Passed(NamedTuple):
    """Pairs that may reach a threshold, row by row."""

    row: NDArray[np.int64]  # (m,)
    column: NDArray[np.int64]  # (m,), ascending in a row
    certain: NDArray[np.bool_]  # (m,), whether it is reached beyond doubt


def near(rows: Screened, columns: Screened, threshold: float, before: NDArray[np.int64] | None = None) -> Passed:
    """Which pairs may reach the threshold (cosine); of a row only the columns `before` (rows,) some, which ascend."""
    n, m = len(rows.stored), len(columns.stored)
    slack = HALF_SLACK if half() else SLACK
    passed = _at_least(product(rows.full(), columns.full())[:n, :m], (threshold, slack), before, slack > SLACK)
    if passed is None:
        fine = unit(rows.stored.to(device())) @ unit(columns.stored.to(device())).T
        passed = _at_least(fine, (threshold, SLACK), before, False)
    assert passed is not None  # there is no limit the second time
    return passed


def _at_least(
    similarity: Tensor, screen: tuple[float, float], before: NDArray[np.int64] | None, few: bool
) -> Passed | None:
    """What passes a screen of (threshold, slack), None where that is more than a `few`. Uses similarity up.

    Most rows have no near one: one pass finds those that have, and only these are looked at. In numpy, and in few
    calls: threads that make many of them wait for each other.
    """
    import torch

    if before is not None:
        _blank(similarity, before)
    numbers, least, sure = _ordered(similarity, screen[0] - screen[1], screen[0] + screen[1])
    if 0 in numbers.shape:
        return Passed(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.bool_))
    some = (numbers.amax(1).cpu().numpy() >= least).nonzero()[0]
    looked = numbers[torch.from_numpy(some)].cpu().numpy() if numbers.is_cuda else numbers.numpy()[some]
    near = (looked >= least).ravel()
    if few and np.count_nonzero(near) > FEW * len(numbers):
        return None
    passed = near.nonzero()[0]
    place, column = np.divmod(passed, looked.shape[1])
    found = Passed(some[place], column, looked.ravel()[passed] >= sure)
    if before is None:
        return found
    asked = column < before[found.row]
    return Passed(found.row[asked], column[asked], found.certain[asked])


def _ordered(similarity: Tensor, least: float, sure: float) -> tuple[Tensor, float, float]:
    """Numbers in the order of the similarities, and those of two bounds.

    The bits of positive bfloat16 numbers are in the numbers' order, and integers are compared faster.
    """
    import torch

    if similarity.dtype != torch.bfloat16 or least <= 0:
        return similarity.float(), least, sure
    return similarity.view(torch.int16), _bits(least), _bits(sure)


@cache
def _bits(least: float) -> int:
    """Of the smallest bfloat16 number that is as large."""
    import torch

    rounded = torch.tensor(least).to(torch.bfloat16)
    return int(rounded.view(torch.int16)) + (float(rounded) < least)


def _blank(similarity: Tensor, before: NDArray[np.int64]) -> None:
    """Zero in place of what no row asks for, where each row asks for one column more than the row above it."""
    short = int(np.searchsorted(before, similarity.shape[1]))
    if short and before[short - 1] - before[0] == short - 1:
        similarity[:short].tril_(int(before[0]) - 1)


def cosines(left: Tensor, row: NDArray[np.int64], right: Tensor, column: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of the m pairs of a row of `left` with one of `right`: in float64 from the vectors as stored, rounded. (m,)"""
    import torch

    found = np.empty(len(row))
    step = max(1, VERIFIED // left.shape[1])
    memory = scratch("cosines", (2, min(step, len(row)), left.shape[1]), torch.float64)
    for start in range(0, len(row), step):
        some = slice(start, start + step)
        for side, vectors, rows in ((0, left, row), (1, right, column)):
            chosen = vectors.index_select(0, torch.from_numpy(rows[some]))
            memory[side, : len(chosen)] = chosen.float()  # straight from float16 takes far longer
        one, other = memory[:, : len(chosen)].numpy()
        found[some] = np.vecdot(one, other) / np.sqrt(np.vecdot(one, one) * np.vecdot(other, other))
    return found.round(DECIMALS).clip(max=1.0)
