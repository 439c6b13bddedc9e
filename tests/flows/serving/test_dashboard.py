"""`sluice dashboard`: what it refuses, and that what it starts is for this machine only."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows.serving import dashboard
from flows.serving.dashboard import command, serve
from flows.serving.listening import LOOPBACK, Listen, check
from infra.dashboard.access import TOKEN
from tasks.errors import UsageError
from tasks.lake import Version
from tests.infra.browsing import Server, serving
from tests.tasks.queued import pictured

SECRET = "correct-horse-battery-staple-0123456789"


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
    listen = Listen(free_port())
    serve(version.lake.root, None, listen)
    assert started == [command(version.lake.root.resolve(), "small", listen)]


BEYOND = ("0.0.0.0", "::", "192.168.1.7")


@pytest.mark.parametrize("listen", [*(Listen(address=address) for address in BEYOND), Listen(hosts=("example.org",))])
def test_beyond_this_machine_a_token_is_needed_and_the_message_says_how(
    listen: Listen, version: Version, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    with pytest.raises(UsageError, match=rf"{TOKEN}.*at least 32 characters.*token_urlsafe.*SSH tunnel"):
        serve(version.lake.root, None, listen)
    assert started == []


def test_a_token_without_tls_would_travel_in_the_clear() -> None:
    with pytest.raises(UsageError, match=r"--tls-cert and --tls-key, or .*--tls-in-front"):
        check(Listen(address="0.0.0.0"), {TOKEN: SECRET})


@pytest.mark.parametrize("listen", [Listen(), Listen(address="0.0.0.0", tls_in_front=True)])
def test_a_short_token_is_refused_and_not_told(listen: Listen) -> None:
    with pytest.raises(UsageError, match="at least 32 characters were expected, 9 were found") as refused:
        check(listen, {TOKEN: "too-short"})
    assert "too-short" not in str(refused.value)


def test_with_both_it_may_listen_and_the_names_are_those_that_were_given() -> None:
    listen = Listen(free_port(), "0.0.0.0", ("sluice.example.org",), tls_in_front=True)
    check(listen, {TOKEN: SECRET})
    flags = command(Path("lake"), "small", listen)
    assert "--server.address=0.0.0.0" in flags and flags[-3:] == ["lake", "small", "https"]
    assert [flag for flag in flags if "allowedHosts" in flag] == ["--server.allowedHosts=sluice.example.org"]
    assert not any(SECRET in flag for flag in flags)


@pytest.mark.parametrize("address", ["localhost", "example.org", "", "127.0.0.1:80", "*"])
def test_an_address_is_a_number(address: str) -> None:
    with pytest.raises(UsageError, match="an IP address of this machine was expected"):
        check(Listen(address=address), {})


@pytest.mark.parametrize("host", ["*", "https://example.org", "example.org:80", "", "a b", "-x"])
def test_a_host_is_a_name(host: str) -> None:
    with pytest.raises(UsageError, match="a name such as"):
        check(Listen(hosts=(host,)), {TOKEN: SECRET})


def certificate(folder: Path, **facts: Any) -> dict[str, Path]:
    """A certificate of a day for this machine, and its key."""
    import trustme

    made = trustme.CA().issue_cert(LOOPBACK, "localhost", **facts)
    made.private_key_pem.write_to_path(str(folder / "key.pem"))
    (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    return {"tls_cert": folder / "cert.pem", "tls_key": folder / "key.pem"}


def test_a_certificate_is_checked_before_anything_begins(tmp_path: Path) -> None:
    files = certificate(tmp_path)
    check(Listen(free_port(), "0.0.0.0", **files), {TOKEN: SECRET})
    with pytest.raises(UsageError, match="--tls-cert and --tls-key go together; --tls-key lacks"):
        check(Listen(tls_cert=files["tls_cert"]), {})
    with pytest.raises(UsageError, match=r"key\.pem: a certificate chain and its key as PEM"):
        check(Listen(tls_cert=files["tls_key"], tls_key=files["tls_key"]), {})
    with pytest.raises(UsageError, match=r"absent\.pem"):
        check(Listen(tls_cert=tmp_path / "absent.pem", tls_key=files["tls_key"]), {})


def test_a_certificate_that_ran_out_is_told_with_its_dates(tmp_path: Path) -> None:
    files = certificate(
        tmp_path, not_before=datetime(2020, 1, 1, tzinfo=UTC), not_after=datetime(2021, 1, 1, tzinfo=UTC)
    )
    with pytest.raises(UsageError, match=r"it holds from 2020-01-01 00:00 to 2021-01-01 00:00 UTC, and now is"):
        check(Listen(free_port(), **files), {})


def test_a_port_that_is_taken_is_named_with_what_to_do(version: Version, started: list[list[str]]) -> None:
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} cannot be used: .*--port"):
            serve(version.lake.root, None, Listen(port))
    assert started == []


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_port_that_cannot_be_is_refused(port: int, version: Version, started: list[list[str]]) -> None:
    with pytest.raises(UsageError, match="--port"):
        serve(version.lake.root, None, Listen(port))
    assert started == []


def test_an_unknown_lake_or_pool_is_refused(version: Version, tmp_path: Path, started: list[list[str]]) -> None:
    with pytest.raises(UsageError, match="no pool is in the lake"):
        serve(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="no pool 'other'"):
        serve(version.lake.root, "other")
    assert started == []


def test_the_command_line_pins_loopback_and_sends_nothing_anywhere() -> None:
    flags = command(Path("lake"), "small", Listen())
    for flag in (
        f"--server.address={LOOPBACK}", "--server.port=8501", f"--server.allowedHosts={LOOPBACK}",
        "--server.allowedHosts=localhost", "--browser.gatherUsageStats=false", "--server.headless=true",
        "--server.enableCORS=true", "--server.enableXsrfProtection=true", "--server.enableStaticServing=false",
        "--client.showErrorDetails=none",
    ):  # fmt: skip
        assert flags.count(flag) == 1
    assert flags[-3:] == ["--", "lake", "small"]


def test_with_a_token_the_server_serves_nothing_but_the_login_page(
    version: Version, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(TOKEN, SECRET)
    with serving(version.lake.root, **certificate(tmp_path)) as server:
        assert [ask(server, path)[0] for path in STREAMLIT] == [401] * len(STREAMLIT)
        assert ask(server, "/_stcore/stream", **upgrade(LOOPBACK, server.port, "https"))[0] == 403
        assert b'name="token"' in ask(server, "/login")[1]
        assert ask(server, "/_stcore/health") == (200, b"ok")


# What Streamlit serves: the page, its code, its settings, pictures, uploads, components.
STREAMLIT = (
    "/", "/samples", "/index.html", "/static/js/index.js", "/_stcore/host-config", "/_stcore/allowed-message-origins",
    "/media/0.png", "/_stcore/upload_file/a/b", "/component/a/b", "/_stcore/script-health-check", "/favicon.png",
)  # fmt: skip


def ask(server: Server, path: str, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPSConnection(
        LOOPBACK, server.port, timeout=20, context=ssl._create_unverified_context()
    )
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, b"" if answer.status == 101 else answer.read()
    connection.close()
    return found


def upgrade(host: str, port: int, scheme: str = "http") -> dict[str, str]:
    """What a browser asks for a stream with."""
    return {
        "Host": f"{host}:{port}", "Origin": f"{scheme}://{host}:{port}", "Upgrade": "websocket",
        "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "c2x1aWNlc2x1aWNlc2x1aQ==",
    }  # fmt: skip


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
    connection = http.client.HTTPConnection(LOOPBACK, server.port, timeout=20)
    connection.request("GET", "/_stcore/stream", headers=upgrade(host, server.port))
    assert connection.getresponse().status == status
    connection.close()


def test_a_page_of_another_port_of_this_machine_may_not_read_it(server: Server) -> None:
    connection = http.client.HTTPConnection(LOOPBACK, server.port, timeout=20)
    headers = upgrade(LOOPBACK, server.port) | {"Origin": f"http://{LOOPBACK}:3000"}
    connection.request("GET", "/_stcore/stream", headers=headers)
    assert connection.getresponse().status == 403
    connection.close()
