"""Ctrl-C that is not lost: a library that is being imported, or a callback, may swallow it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN = 3.0  # seconds until an interrupt that nobody heard is raised once more

_waiting: list[threading.Timer] = []


@contextmanager
def insistent() -> Iterator[None]:
    """Raise KeyboardInterrupt at Ctrl-C, again until `heard` is called or the block ends. Main thread only."""
    before = signal.signal(signal.SIGINT, _pressed)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        heard()


def heard() -> None:
    """The interrupt is on its way out: what cleans up behind it is not to be interrupted."""
    while _waiting:
        _waiting.pop().cancel()


def _pressed(number: int, frame: FrameType | None) -> None:
    heard()
    timer = threading.Timer(AGAIN, os.kill, (os.getpid(), signal.SIGINT))
    timer.daemon = True
    timer.start()
    _waiting.append(timer)
    raise KeyboardInterrupt
