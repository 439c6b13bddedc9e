"""Memory that a thread uses again and again.

New memory is cleared page by page when it is first touched: a search would spend much of its time on that.
"""

from __future__ import annotations

from math import prod
from threading import local
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

KEPT = 1 << 25  # bytes of one use, at most: what is larger is let go after use
_OWN = local()


def scratch(use: str, shape: tuple[int, ...], kind: torch.dtype, device: str = "cpu") -> Tensor:
    """Uninitialised memory of this thread, which the next call for the same use overwrites."""
    import torch

    size = prod(shape) * kind.itemsize
    if device != "cpu" or size > KEPT:
        return torch.empty(shape, dtype=kind, device=device)
    held: Tensor | None = getattr(_OWN, use, None)
    if held is None or len(held) < size:
        held = torch.empty(1 << size.bit_length(), dtype=torch.uint8)  # a power of two: it seldom grows
        setattr(_OWN, use, held)
    return held[:size].view(kind).view(shape)
