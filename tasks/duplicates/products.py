"""Which of many vectors are near to which: products in half precision where the machine has them, decided finely.

A cosine in bfloat16 is wrong by at most 2⁻⁸ for the rounding of both vectors (Cauchy-Schwarz) and 2⁻⁹ for its own, so a
screen that lies that much below the threshold loses no pair. What passes it is decided by a cosine in float64 from the
vectors as stored, rounded. Where more than a few pass, as among thousands of very similar pictures, the screen is made
again in float32.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

DECIMALS = 6  # of a similarity
SLACK = 1e-5  # cosine; far above the rounding error of float32 products, about 1e-6
HALF_SLACK = 0.007  # of bfloat16: 2⁻⁸ + 2⁻⁹, and the accumulation
FEW = 8  # pairs a row that pass the screen, above which it is made again in float32
BLOCK = 512  # vectors brought to another precision at a time
STEP = 64  # rows that products in half precision are filled up to
VERIFIED = 131_072  # numbers of either side that are decided at a time: in float64 they fit a core's cache


class Screened(NamedTuple):
    """Vectors as stored, and in the precision and on the device of the products."""

    stored: Tensor  # (n, d) float16 or float32
    fast: Tensor  # (n, d) bfloat16 or float32

    def part(self, start: int, stop: int) -> Screened:
        return Screened(self.stored[start:stop], self.fast[start:stop])


@cache
def half() -> bool:
    """Whether products in bfloat16 are faster here than those in float32, measured at twice as fast or more."""
    import torch

    able = torch.cpu.get_capabilities()
    return torch.cuda.is_available() or bool(able.get("avx512_bf16") or able.get("amx_bf16"))


@cache
def device() -> str:
    """Where products are made: a GPU where there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def fast(vectors: Tensor) -> Tensor:
    """In the precision and on the device of the products."""
    import torch

    seen = vectors.to(device()).float()  # straight from float16 to bfloat16 takes five times as long
    return seen.to(torch.bfloat16) if half() else seen


def product(left: Tensor, right: Tensor) -> Tensor:
    """All dot products of (n, d) with (m, d) vectors. (n, m)

    oneDNN compiles a kernel for each new shape, which takes longer than a cluster's product: so there are few shapes.
    """
    import torch

    if left.dtype != torch.bfloat16:
        return left @ right.T
    return (_filled_up(left) @ _filled_up(right).T)[: len(left), : len(right)]


def _filled_up(vectors: Tensor) -> Tensor:
    import torch

    lacking = -len(vectors) % STEP
    return torch.nn.functional.pad(vectors, (0, 0, 0, lacking)) if lacking else vectors


def unit(vectors: Tensor) -> Tensor:
    """Float32 of norm one; float16 embeddings miss it by about 1e-4."""
    import torch

    return torch.nn.functional.normalize(vectors.float(), dim=1)


def directions(stored: Tensor, mean: Tensor | None = None) -> Tensor:
    """At unit norm, seen from the mean, ready for products; in blocks that fit a core's cache. (n, d)"""
    import torch

    seen = (unit(block) if mean is None else unit(block) - mean for block in torch.split(stored, BLOCK))
    return torch.cat([fast(block) for block in seen]) if len(stored) else fast(unit(stored))


def screened(stored: Tensor) -> Screened:
    """Ready to be compared."""
    return Screened(stored, fast(stored))


def norm_error(stored: Tensor) -> float:
    """The largest distance of a norm from one among (n, d) vectors."""
    import torch

    norms = [block.float().norm(dim=1) for block in torch.split(stored, BLOCK)]
    return max((float((norm - 1).abs().max()) for norm in norms if len(norm)), default=0.0)


class Passed(NamedTuple):
    """Pairs that may reach a threshold, row by row."""

    row: Tensor  # (m,) int64
    column: Tensor  # (m,) int64, ascending in a row
    similarity: Tensor  # (m,) float32, cosine
    slack: float  # how far the cosines may be wrong


def near(rows: Screened, columns: Screened, threshold: float, norms: float, before: Tensor | None = None) -> Passed:
    """Which pairs may reach the threshold (cosine); of a row only the columns `before` (rows,) some, which ascend.

    `norms` is the largest norm_error of the vectors.
    """
    slack = (HALF_SLACK if half() else SLACK) + 3 * norms
    most = FEW * len(rows.stored) if slack > SLACK else None
    passed = _at_least(product(rows.fast, columns.fast), (threshold, slack), before, most)
    if passed is None:
        fine = unit(rows.stored.to(device())) @ unit(columns.stored.to(device())).T
        passed = _at_least(fine, (threshold, SLACK), before, None)
    assert passed is not None  # there is no limit the second time
    return passed


def _at_least(
    similarity: Tensor, screen: tuple[float, float], before: Tensor | None, most: int | None
) -> Passed | None:
    """What passes a screen of (threshold, slack), None where that is more than `most`. Uses similarity up.

    Most rows have no near one: one pass finds those that have, and only these are looked at.
    """
    import torch

    if before is not None:
        _blank(similarity, before)
    least = screen[0] - screen[1]
    asked = _highest(similarity) >= least if least > 0 else torch.ones(len(similarity), dtype=torch.bool)
    some = asked.nonzero()[:, 0]
    looked = similarity[some].float().cpu()
    near, some = looked >= least, some.cpu()
    if before is not None:
        near &= torch.arange(looked.shape[1]) < before[some, None]
    if most is not None and int(near.count_nonzero()) > most:
        return None
    place = torch.from_numpy(near.numpy().ravel().nonzero()[0])
    width = max(looked.shape[1], 1)
    return Passed(some[place // width], place % width, looked.view(-1)[place], screen[1])


def _highest(similarity: Tensor) -> Tensor:
    """The largest number of each row where one is positive, else one that is not. (rows,)

    The bits of positive bfloat16 numbers are in the numbers' order, and integers are compared faster.
    """
    import torch

    if similarity.shape[1] == 0:
        return similarity.new_zeros(len(similarity)) - 1
    if similarity.dtype != torch.bfloat16:
        return similarity.amax(1)
    return similarity.view(torch.int16).amax(1).view(torch.bfloat16)


def _blank(similarity: Tensor, before: Tensor) -> None:
    """Zero in place of what no row asks for, where each row asks for one column more than the row above it."""
    short = int((before < similarity.shape[1]).sum())
    if short and int(before[short - 1] - before[0]) == short - 1:
        similarity[:short].tril_(int(before[0]) - 1)


def cosines(left: Tensor, row: Tensor, right: Tensor, column: Tensor) -> NDArray[np.float64]:
    """Of the m pairs of a row of `left` with one of `right`: in float64 from the vectors as stored, rounded. (m,)"""
    import torch

    found = np.empty(len(row))
    step = max(1, VERIFIED // left.shape[1])
    for start in range(0, len(row), step):
        some = slice(start, start + step)
        one, other = left[row[some]].float().double(), right[column[some]].float().double()
        norms = torch.linalg.vector_norm(one, dim=1) * torch.linalg.vector_norm(other, dim=1)
        found[some] = (torch.linalg.vecdot(one, other) / norms).numpy()
    return found.round(DECIMALS).clip(max=1.0)
