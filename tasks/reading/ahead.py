"""Work done by threads ahead of its taker, in order: decoding overlaps with the forward pass."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD: Final = 128  # items: two forward passes of 64, one being filled while the other runs
AHEAD_BYTES: Final = 256 << 20  # of items that wait, besides the one that exceeds it


def in_order(
    work: Callable[[T], R],
    items: Iterator[T],
    threads: int,
    size: Callable[[T], int] = lambda item: 0,
    ahead: int = AHEAD,
) -> Iterator[R]:
    """Results of `work` in the items' order, computed by threads before they are taken.

    At most `ahead` items and AHEAD_BYTES, as `size` tells them, are begun and not taken. What `work` or `items` raises
    is raised here, in its place; what was begun after it is dropped.
    """
    pool = ThreadPoolExecutor(threads)
    waiting: deque[tuple[Future[R], int]] = deque()
    held = 0
    try:
        for item in items:
            waiting.append((pool.submit(work, item), size(item)))
            held += waiting[-1][1]
            while waiting and (len(waiting) >= ahead or held > AHEAD_BYTES):
                future, weight = waiting.popleft()
                yield future.result()
                held -= weight
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        pool.shutdown(cancel_futures=True)
