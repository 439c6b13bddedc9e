"""An interrupt is raised until it is heard."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import pytest

from flows.serving import interrupts


def press_and_wait(seconds: float) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(seconds)


def test_an_interrupt_that_was_swallowed_is_raised_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "AGAIN", 0.05)
    with pytest.raises(KeyboardInterrupt), interrupts.insistent():
        with contextlib.suppress(KeyboardInterrupt):  # as a library that ignores it
            press_and_wait(1)
        time.sleep(5)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_cleans_up_behind_a_heard_interrupt_is_left_in_peace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "AGAIN", 0.05)
    cleaned = False
    with pytest.raises(KeyboardInterrupt), interrupts.insistent():
        try:
            press_and_wait(1)
        except KeyboardInterrupt:
            interrupts.heard()
            time.sleep(0.3)
            cleaned = True
            raise
    assert cleaned
