"""The gate in front of the dashboard: what it lets through, whom it asks, and what it refuses."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from infra.dashboard import access
from infra.dashboard.access import COOKIE, SESSION, TOKEN, TRIES, _local, guarded

SECRET = "correct-horse-battery-staple-0123456789"
HERE = "http://dashboard.test"
PATHS = (
    "/",
    "/samples?version=2",
    "/media/0123.webp",
    "/_stcore/host-config",
    "/static/js/index.js",
    "/_stcore/health2",
)


@pytest.fixture
def client() -> Iterator[TestClient]:
    with opened({TOKEN: SECRET}) as found:
        yield found


def opened(environment: dict[str, str], *, secure: bool = False) -> TestClient:
    """A browser that follows no redirect, before an application that says `secret` to everything."""

    async def page(_: Request) -> PlainTextResponse:
        return PlainTextResponse("secret")

    async def stream(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("secret")
        await socket.close()

    made = guarded(environment, secure=secure)
    routes = [*made["routes"], WebSocketRoute("/_stcore/stream", stream), Route("/{path:path}", page)]
    return TestClient(Starlette(routes=routes, middleware=made["middleware"]), HERE, follow_redirects=False)


def log_in(client: TestClient, token: str = SECRET, there: str = "/") -> tuple[int, str]:
    """Status and where it leads."""
    found = client.post("/login", data={"token": token, "next": there}, headers={"Origin": HERE})
    return found.status_code, found.headers.get("location", "")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("accept", ["text/html", "image/webp", "*/*"])
def test_nothing_is_served_before_the_token_was_given(path: str, accept: str, client: TestClient) -> None:
    answer = client.get(path, headers={"Accept": accept})
    assert "secret" not in answer.text
    if accept == "text/html":
        assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={quote(path, safe='')}")
    else:
        assert answer.status_code == 401


def test_no_stream_opens_before_the_token_was_given(client: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/_stcore/stream"):
        pass
    log_in(client)
    key = {"Cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
    with client.websocket_connect("/_stcore/stream", headers=key) as stream:
        assert stream.receive_text() == "secret"


def test_the_token_opens_everything_and_leads_back(client: TestClient) -> None:
    assert log_in(client, there="/samples?version=2&caption=%22") == (303, "/samples?version=2&caption=%22")
    assert all(client.get(path).text == "secret" for path in PATHS)


@pytest.mark.parametrize("token", ["", "wrong", SECRET[:-1], SECRET + "0", SECRET.upper(), "ü" * 40])
def test_another_token_opens_nothing(token: str, client: TestClient) -> None:
    assert log_in(client, token)[0] == 401
    assert client.get("/").status_code == 401


def test_a_key_that_was_not_given_here_opens_nothing(client: TestClient) -> None:
    client.cookies.set(COOKIE, "x" * 43)
    assert client.get("/").status_code == 401


def test_after_some_wrong_tokens_even_the_right_one_has_to_wait(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [log_in(client, "wrong")[0] for _ in range(TRIES)] == [401] * TRIES
    assert log_in(client)[0] == 429
    later = time.monotonic() + access.MINUTE
    monkeypatch.setattr(access.time, "monotonic", lambda: later)
    assert log_in(client)[0] == 303


def test_a_login_ends(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    log_in(client)
    later = time.monotonic() + SESSION
    monkeypatch.setattr(access.time, "monotonic", lambda: later)
    assert client.get("/").status_code == 401


@pytest.mark.parametrize(("secure", "marked"), [(True, True), (False, False)])
def test_the_browser_s_key_is_out_of_reach_of_pages_and_of_plain_http(secure: bool, marked: bool) -> None:
    client = opened({TOKEN: SECRET}, secure=secure)
    cookie = client.post("/login", data={"token": SECRET}).headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie and SECRET not in cookie
    assert ("secure" in cookie) is marked


def test_the_login_page_loads_nothing_and_says_nothing_of_the_lake(client: TestClient) -> None:
    page = client.get("/login", params={"next": '"><script>alert(1)</script>'})
    assert page.status_code == 200 and "<script" not in page.text
    assert not re.search(r"(src|href)=", page.text)
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_a_large_form_is_not_read(client: TestClient) -> None:
    body = f"token={SECRET}&next=/&more={'x' * access.LARGEST}"
    answer = client.post("/login", content=body, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 401


def test_without_a_token_this_machine_s_browsers_are_let_in() -> None:
    client = opened({})
    assert client.get("/").text == "secret" and client.get("/login").text == "secret"


@pytest.mark.parametrize("environment", [{}, {TOKEN: SECRET}])
@pytest.mark.parametrize("origin", ["http://elsewhere.test", "http://dashboard.test:3000", "null"])
def test_a_page_of_another_address_may_not_ask(origin: str, environment: dict[str, str]) -> None:
    client = opened(dict(environment))
    if environment:
        log_in(client)
    assert client.get("/", headers={"Origin": origin}).status_code == 403
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/_stcore/stream", headers={"Origin": origin}):
        pass
    assert client.get("/", headers={"Origin": HERE}).text == "secret"


def test_health_is_told_to_everybody(client: TestClient) -> None:
    assert client.get("/_stcore/health").status_code == 200


def test_the_token_leaves_the_environment() -> None:
    environment = {TOKEN: SECRET, "HOME": "/root"}
    guarded(environment, secure=True)
    assert environment == {"HOME": "/root"}


@given(st.text(max_size=40), st.sampled_from(["//", "https://", "/\\", "\\\\", "javascript:", "///", ""]))
def test_a_login_never_leads_to_another_address(text: str, start: str) -> None:
    found = _local(start + text)
    assert found.startswith("/") and not found.startswith(("//", "/\\")) and found.isascii() and found.isprintable()
