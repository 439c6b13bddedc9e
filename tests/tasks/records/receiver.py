"""A collector on loopback for tests: takes events, or answers as it is told to."""

from __future__ import annotations

import json
import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest.mock import patch

HANG = 0  # no answer at all


class Receiver(ThreadingHTTPServer):
    """`answers` are the statuses of the next requests, the last one for all that follow."""

    daemon_threads = True

    def __init__(self, *answers: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers or [201])
        self.taken: list[dict[str, Any]] = []
        self.asked = 0
        self.keys: set[str | None] = set()
        self.over = threading.Event()
        self.scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up, as one that does not accept a certificate does, is nothing to print."""


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        receiver = self.server
        receiver.asked += 1
        receiver.keys.add(self.headers["Authorization"])
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = receiver.answers.pop(0) if len(receiver.answers) > 1 else receiver.answers[0]
        if status == HANG:
            receiver.over.wait(60)
            return
        if status == 201:
            receiver.taken.append(json.loads(body))
        self.send_response(status)
        if status == 302:
            self.send_header("Location", f"{receiver.url}/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def no_collector() -> Iterator[None]:
    """An environment that names no collector, for tests that name one; loopback is reached without a proxy."""
    with patch.dict(os.environ):
        for name in [name for name in os.environ if name.startswith("OPENLINEAGE")]:
            del os.environ[name]
        os.environ["NO_PROXY"] = "127.0.0.1"
        yield


@contextmanager
def receiving(*answers: int, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    receiver = Receiver(*answers)
    if tls is not None:
        receiver.scheme = "https"
        receiver.socket = tls.wrap_socket(receiver.socket, server_side=True)
    thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.over.set()
        receiver.shutdown()
        receiver.server_close()
        thread.join()
