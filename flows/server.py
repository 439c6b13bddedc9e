"""A Prefect server on loopback that lives and dies with this process, for runs that have no server of their own.

Prefect's own temporary server outlives a killed run, and dies of the Ctrl-C that the run should report to it. Ours has
a session of its own, and watches the pipe from the run: when the run is gone, however it went, the pipe closes.
`python -m flows.server PORT` is the server's side.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.error import URLError
from urllib.request import urlopen

from tasks.errors import SluiceError

SECONDS = 90  # that a slow machine may take to start it; 6 to 12 are usual
TEMPORARY = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}


@contextmanager
def embedded(meanwhile: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Point Prefect to a temporary server, unless the settings name one. SluiceError where it does not start.

    It takes some four seconds to start, in which `meanwhile` is called, and what a run needs is imported.
    """
    if os.environ.get("PREFECT_API_URL"):  # a profile may name one too, which only Prefect can tell
        meanwhile()
        yield
        return
    port = _free_port()
    with tempfile.TemporaryFile() as log:
        process = _start(port, log)
        try:
            meanwhile()
            _import_what_a_run_needs()
            from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

            if get_current_settings().api.url:
                _stop(process)
                yield
                return
            _wait(process, port, log)
            with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{port}/api"}):
                yield
        finally:
            _stop(process)


def _import_what_a_run_needs() -> None:
    import flows.curate  # noqa: F401
    from tasks import gates

    gates.load()


def _start(port: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "flows.server", str(port)],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, **TEMPORARY},
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.wait(10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    """Return when the server answers."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with urlopen(f"http://127.0.0.1:{port}/api/health", timeout=5):
                return
        except (URLError, TimeoutError, ConnectionError):
            time.sleep(0.1)
    log.seek(0)
    said = log.read().decode(errors="replace").strip().splitlines()[-3:]
    raise SluiceError(
        f"Prefect's embedded server did not answer within {SECONDS} s ({' / '.join(said) or 'it said nothing'}); "
        "start one with `prefect server start`, and set PREFECT_API_URL to its address"
    )


def serve(port: int) -> None:
    """Serve until standard input ends."""
    import uvicorn

    threading.Thread(target=_exit_with_parent, daemon=True).start()
    factory = "prefect.server.api.server:create_app"
    uvicorn.run(factory, factory=True, host="127.0.0.1", port=port, log_level="error", lifespan="on")


def _exit_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)  # nothing to save: the run's truth is in the lake


if __name__ == "__main__":
    serve(int(sys.argv[1]))
