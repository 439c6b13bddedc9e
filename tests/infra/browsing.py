"""The dashboard's server as `sluice dashboard` starts it, and Debian's Chromium to look at it.

Used by tests and benchmarks. Where Chromium or playwright is absent a test skips.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flows.serving.dashboard import command
from flows.serving.listening import LOOPBACK, Listen

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SCREEN: Any = {"width": 1280, "height": 800}
PICTURE = '[class*="st-key-picture-large-"]'
AT_REST = '[data-test-script-state="notRunning"]'


class Server:
    """The dashboard of one pool on a free port."""

    def __init__(self, lake: Path, pool: str = "small", **listen: Any) -> None:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            self.port = probe.getsockname()[1]
        self.command = command(lake.resolve(), pool, Listen(self.port, **listen))
        self.address = f"http{'s' if listen else ''}://{LOOPBACK}:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while True:
            try:
                return socket.create_connection((LOOPBACK, self.port)).close()
            except ConnectionRefusedError:
                assert self.process.poll() is None, "the dashboard ended"
                assert time.monotonic() < until, "the dashboard does not listen"
                time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL: nothing is tidied up."""
        self.process.kill()
        self.process.wait()


@contextmanager
def serving(lake: Path, pool: str = "small", **listen: Any) -> Iterator[Server]:
    """`listen`: the fields of Listen besides the port."""
    server = Server(lake, pool, **listen)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Headless Chromium; skips where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium on this machine; Debian's package of that name has it")
    with api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path)
        yield browser
        browser.close()


def ready(page: Page, what: str = AT_REST) -> None:
    """Wait until `what` is there and the page at rest: its keys count from then on."""
    page.wait_for_selector(what, state="attached")
    page.wait_for_selector(AT_REST, state="attached")
    page.evaluate("new Promise(requestIdleCallback)")  # keys are bound after the buttons are drawn


def shown(page: Page) -> str:
    """The uid of the one sample on the page."""
    name = page.locator(PICTURE).get_attribute("class") or ""
    return name.partition("st-key-picture-large-")[2][:32]


def answer(page: Page, key: str) -> str:
    """Press a key and wait for another sample, or for the end; returns the uid that was answered."""
    ready(page)
    uid = shown(page)
    page.keyboard.press(key)
    gone(page, uid)
    return uid


def gone(page: Page, uid: str) -> None:
    """Wait until the page shows something else."""
    page.wait_for_selector(f'[class*="st-key-picture-large-{uid}"]', state="detached")
    ready(page)
