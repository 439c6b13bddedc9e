"""`sluice dashboard`: what it refuses, and that what it starts is for this machine only."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from flows import dashboard
from flows.dashboard import LOOPBACK, command, serve
from tasks.errors import UsageError
from tasks.lake import Version
from tests.infra.browsing import Server, serving
from tests.tasks.queued import pictured


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    return pictured(tmp_path_factory.mktemp("dashboard"), count=3)


@pytest.fixture(scope="module")
def server(version: Version) -> Iterator[Server]:
    with serving(version.lake.root) as found:
        yield found


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines that this process would have become."""
    found: list[list[str]] = []
    monkeypatch.setattr(dashboard.os, "execv", lambda _, arguments: found.append(arguments))
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def test_it_becomes_the_server_of_the_lake_s_only_pool(version: Version, started: list[list[str]]) -> None:
    port = free_port()
    serve(version.lake.root, None, port)
    assert started == [command(version.lake.root.resolve(), "small", port)]


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.7", ""])
def test_an_address_that_others_can_reach_is_refused_with_what_to_do(
    address: str, version: Version, started: list[list[str]]
) -> None:
    with pytest.raises(UsageError, match=r"127\.0\.0\.1 only.*SSH tunnel"):
        serve(version.lake.root, None, free_port(), address)
    assert started == []


def test_a_port_that_is_taken_is_named_with_what_to_do(version: Version, started: list[list[str]]) -> None:
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} cannot be used: .*--port"):
            serve(version.lake.root, None, port)
    assert started == []


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_port_that_cannot_be_is_refused(port: int, version: Version, started: list[list[str]]) -> None:
    with pytest.raises(UsageError, match="--port"):
        serve(version.lake.root, None, port)
    assert started == []


def test_an_unknown_lake_or_pool_is_refused(version: Version, tmp_path: Path, started: list[list[str]]) -> None:
    with pytest.raises(UsageError, match="it holds: none"):
        serve(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="no pool 'other'"):
        serve(version.lake.root, "other")
    assert started == []


def test_the_command_line_pins_loopback_and_sends_nothing_anywhere() -> None:
    flags = command(Path("lake"), "small", 8501)
    for flag in (
        f"--server.address={LOOPBACK}", "--server.port=8501", f"--server.allowedHosts={LOOPBACK}",
        "--browser.gatherUsageStats=false", "--server.headless=true", "--server.enableCORS=true",
        "--server.enableXsrfProtection=true", "--server.enableStaticServing=false", "--client.showErrorDetails=none",
    ):  # fmt: skip
        assert flags.count(flag) == 1
    assert flags[-3:] == ["--", "lake", "small"]


def test_a_user_s_own_configuration_does_not_open_the_server(
    version: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMLIT_SERVER_ADDRESS", "0.0.0.0")
    monkeypatch.setenv("STREAMLIT_BROWSER_GATHER_USAGE_STATS", "true")
    with serving(version.lake.root) as server:
        assert listening(server) == [(LOOPBACK, server.port)]


def listening(server: Server) -> list[tuple[str, int]]:
    found = psutil.Process(server.process.pid).net_connections("inet")
    return [(one.laddr.ip, one.laddr.port) for one in found if one.status == psutil.CONN_LISTEN]


@pytest.mark.parametrize(("host", "status"), [(LOOPBACK, 101), ("localhost", 101), ("rebound.example.org", 403)])
def test_a_name_that_was_bound_to_loopback_is_not_served(host: str, status: int, server: Server) -> None:
    """A page elsewhere could have its own name point here, and read what the dashboard shows."""
    assert listening(server) == [(LOOPBACK, server.port)]
    ask = http.client.HTTPConnection(LOOPBACK, server.port, timeout=20)
    ask.putrequest("GET", "/_stcore/stream", skip_host=True)
    for name, value in (
        ("Host", f"{host}:{server.port}"), ("Origin", f"http://{host}:{server.port}"), ("Upgrade", "websocket"),
        ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "c2x1aWNlc2x1aWNlc2x1aQ=="),
    ):  # fmt: skip
        ask.putheader(name, value)
    ask.endheaders()
    assert ask.getresponse().status == status
    ask.close()
