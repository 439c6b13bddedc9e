"""Prefect's server: the one that the settings name, or one on loopback that lives and dies with this process.

Prefect's own temporary server outlives a killed run, and dies of the Ctrl-C that the run should report to it. Ours has
a session of its own, and watches the pipe from the run: when the run is gone, however it went, the pipe closes.
`python -m flows.serving.server PORT` is the server's side.
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
from typing import IO, TYPE_CHECKING, Final
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from flows.checks.self_check import check_api
from tasks.errors import Unavailable, UsageError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

SECONDS: Final = 90  # that a slow machine may take to start it; 6 to 12 are usual
LOOPBACK: Final = "127.0.0.1"
TEMPORARY: Final = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
QUIET: Final = {"PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false"}


@contextmanager
def embedded(meanwhile: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Point Prefect to a temporary server, unless the settings name one, and say in our words what it refuses.

    It takes some four seconds to start, in which `meanwhile` is called, and what a run needs is imported.

    Unavailable: the server does not start, does not answer, or stops answering. UsageError: a parameter of the flow.
    """
    if os.environ.get("PREFECT_API_URL"):  # a profile may name one too, which only Prefect can tell
        meanwhile()
        with _named():
            yield
        return
    port = _free_port()
    with tempfile.TemporaryFile() as log:
        process = _start(port, log, TEMPORARY)
        try:
            meanwhile()
            _import_what_a_run_needs()
            from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

            if get_current_settings().api.url:
                _stop(process)
                with _named():
                    yield
                return
            _wait(process, port, log)
            with temporary_settings({PREFECT_API_URL: f"http://{LOOPBACK}:{port}/api"}), _in_our_words():
                yield
        finally:
            _stop(process)


@contextmanager
def full(port: int) -> Iterator[str]:
    """The server that the settings name, else one of our own with schedules and UI on a port; yields the UI's address.

    UsageError: the port is taken. Unavailable: the server does not start, or does not answer.
    """
    from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

    if url := get_current_settings().api.url:
        with _named():
            yield _shown(url).removesuffix("/api")
        return
    _check_free(port)
    address = f"http://{LOOPBACK}:{port}"
    with tempfile.TemporaryFile() as log:
        process = _start(port, log, {**QUIET, "PREFECT_UI_URL": address, "PREFECT_UI_API_URL": f"{address}/api"})
        try:
            _wait(process, port, log)
            with temporary_settings({PREFECT_API_URL: f"{address}/api"}):
                yield address
        finally:
            _stop(process)


@contextmanager
def _named() -> Iterator[None]:
    """Use the server that the settings name. Unavailable where it does not answer, before any work."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, get_current_settings, temporary_settings

    named = get_current_settings().api
    check_api(str(named.url), named.auth_string.get_secret_value() if named.auth_string else "")
    address = _shown(str(PREFECT_API_URL.value()))
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), get_client(sync_client=True) as client:
        if (problem := client.api_healthcheck()) is not None:
            raise Unavailable(
                f"no Prefect server answers at PREFECT_API_URL, {address} ({problem}); start it with "
                "`prefect server start`, correct the address, or unset it to use one of our own"
            )
        _check_known(client, address)
    with _in_our_words():
        yield


def _check_known(client: SyncPrefectClient, address: str) -> None:
    """UsageError where the server asks for a password that we have not: its health check asks nobody."""
    from httpx import HTTPStatusError, codes

    try:
        client.api_version()
    except HTTPStatusError as problem:
        if problem.response.status_code != codes.UNAUTHORIZED:
            raise
        raise UsageError(
            f"the Prefect server at {address} refused the password, or wants one; set PREFECT_API_AUTH_STRING here to "
            "what PREFECT_SERVER_API_AUTH_STRING is there"
        ) from None


def _shown(url: str) -> str:
    """An address without the name and password that may stand in it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


@contextmanager
def _in_our_words() -> Iterator[None]:
    from httpx import HTTPError
    from prefect.exceptions import ParameterTypeError

    try:
        yield
    except ParameterTypeError as problem:
        raise UsageError(" ".join(str(problem).split())) from None
    except HTTPError as problem:
        _forget_unsent()
        raise Unavailable(
            f"Prefect's server stopped answering ({problem}): its UI does not show how the run ended. The lake is "
            "whole, and `sluice versions` says what is in it; start the server again, then run the same command again"
        ) from None


def _forget_unsent() -> None:
    """Drop the events that a lost server was not told: before it ends, Prefect would try for seconds with each."""
    from prefect.events.worker import EventsWorker

    unsent = EventsWorker.instance()._queue
    while not unsent.empty():
        unsent.get_nowait()


def _import_what_a_run_needs() -> None:
    import flows.curate  # noqa: F401
    from tasks import gates

    gates.load()


def _start(port: int, log: IO[bytes], settings: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "flows.serving.server", str(port)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **settings},
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
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except (OSError, OverflowError) as problem:
            raise UsageError(
                f"port {port} cannot be used for Prefect's server: {problem}; give another one with --port, or set "
                "PREFECT_API_URL to the server that runs there"
            ) from None


def _wait(process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    """Return when the server answers."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with urlopen(f"http://{LOOPBACK}:{port}/api/health", timeout=5):
                return
        except (URLError, TimeoutError, ConnectionError):
            time.sleep(0.1)
    log.seek(0)
    said = log.read().decode(errors="replace").strip().splitlines()[-3:]
    raise Unavailable(
        f"Prefect's own server did not answer within {SECONDS} s ({' / '.join(said) or 'it said nothing'}); "
        "start one with `prefect server start`, and set PREFECT_API_URL to its address"
    )


def serve(port: int) -> None:
    """Serve until standard input ends."""
    import uvicorn

    threading.Thread(target=_exit_with_parent, daemon=True).start()
    factory = "prefect.server.api.server:create_app"
    uvicorn.run(factory, factory=True, host=LOOPBACK, port=port, log_level="error", lifespan="on")


def _exit_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)  # nothing to save: the run's truth is in the lake


if __name__ == "__main__":
    serve(int(sys.argv[1]))
