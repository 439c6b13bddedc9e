"""One thread for sums whose last bits count: with more they are taken in another order, on another machine another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread while the block runs."""
    with _threads(1):
        yield


@contextmanager
def all_cores() -> Iterator[None]:
    """Torch on every core that the process may use while the block runs: an encoder leaves it on its own few."""
    with _threads(len(os.sched_getaffinity(0))):
        yield


@contextmanager
def _threads(count: int) -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
