"""Who may see the dashboard: in front of every page, picture, file and stream that Streamlit serves.

Without a token only this machine's own browsers can reach it, and only from the dashboard's own pages. With one,
nothing but the login page is served before it was given. What a browser holds afterwards is a random key that this
process knows for twelve hours: a restart forgets all of them.
"""

from __future__ import annotations

import hmac
import html
import os
import secrets
import time
from collections import deque
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

TOKEN: Final = "SLUICE_DASHBOARD_TOKEN"  # the environment variable
SESSION: Final = 12 * 3600  # seconds that a login holds
MINUTE: Final = 60.0  # seconds
TRIES: Final = 5  # wrong tokens a minute from one address, before it has to wait
ALL_TRIES: Final = 100  # from all addresses together
LARGEST: Final = 4096  # bytes of a login form
COOKIE: Final = "sluice-dashboard"
OPEN: Final = ("/login", "/_stcore/health")  # health says `ok` and nothing else
PAGE: Final = Path(__file__).parent / "login.html"
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",  # with none at all a browser posts the form with the origin null
    "X-Content-Type-Options": "nosniff",
}


class Logins:
    """The logins that hold, and the wrong tokens of the last minute."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._wrong: deque[tuple[float, str]] = deque()

    def begin(self) -> str:
        """A new key for a browser; those that ran out are forgotten."""
        now, key = time.monotonic(), secrets.token_urlsafe(32)
        self._until = {known: until for known, until in self._until.items() if until > now} | {key: now + SESSION}
        return key

    def holds(self, key: str | None) -> bool:
        return key is not None and self._until.get(key, 0.0) > time.monotonic()

    def wrong(self, address: str) -> None:
        self._wrong.append((time.monotonic(), address))

    def must_wait(self, address: str) -> bool:
        """Whether too many wrong tokens came from this address, or from all, within a minute."""
        while self._wrong and self._wrong[0][0] < time.monotonic() - MINUTE:
            self._wrong.popleft()
        return len(self._wrong) >= ALL_TRIES or sum(one == address for _, one in self._wrong) >= TRIES


class Gate:
    """ASGI middleware: refuses what another page asks for, and, where a token is set, all without a login."""

    def __init__(self, app: ASGIApp, logins: Logins, token: str | None) -> None:
        self.app, self.logins, self.token = app, logins, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        asking = HTTPConnection(scope)
        if not _from_here(asking):
            await _refuse(PlainTextResponse("this page may not ask", 403), scope, receive, send)
        elif self.token is None or asking.url.path in OPEN or self.logins.holds(asking.cookies.get(COOKIE)):
            await self.app(scope, receive, send)
        else:
            await _refuse(_to_login(asking), scope, receive, send)


def _from_here(asking: HTTPConnection) -> bool:
    """Whether no page of another address asks. A proxy in front has to pass the Host header on."""
    origin = asking.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == asking.headers.get("host")


async def _refuse(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """To a stream a refusal is what a server answers that does not accept it."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
    else:
        await response(scope, receive, send)


def _to_login(asking: HTTPConnection) -> Response:
    """A page leads to the login and back; anything else is refused."""
    if "text/html" not in asking.headers.get("accept", ""):
        return PlainTextResponse("log in first", 401, HEADERS)
    there = asking.url.path + (f"?{asking.url.query}" if asking.url.query else "")
    return RedirectResponse(f"/login?next={quote(there, safe='')}", 303, HEADERS)


def login_route(logins: Logins, token: str, *, secure: bool) -> Route:
    """The login page. `secure`: browsers come by HTTPS, so the cookie travels by nothing else."""

    async def login(request: Request) -> Response:
        address = request.client.host if request.client else ""
        if request.method == "GET":
            return _page(request.query_params.get("next", "/"), "", 200)
        if logins.must_wait(address):
            return _page("/", "Too many wrong tokens. Wait for a minute.", 429)
        form = await _form(request)
        there = form.get("next", "/")
        if not hmac.compare_digest(form.get("token", "").encode(), token.encode()):
            logins.wrong(address)
            return _page(there, "That is not the token.", 401)
        answer = RedirectResponse(_local(there), 303, HEADERS)
        answer.set_cookie(COOKIE, logins.begin(), SESSION, httponly=True, samesite="lax", secure=secure)
        return answer

    return Route("/login", login, methods=["GET", "POST"])


async def _form(request: Request) -> MutableMapping[str, str]:
    """The fields of a small form; nothing of a larger one."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            return {}
    return {name: values[0] for name, values in parse_qs(body.decode("latin-1")).items()}


def _local(there: str) -> str:
    """A path of the dashboard, never an address elsewhere."""
    try:
        parts = urlsplit(there)
    except ValueError:
        return "/"
    path = "/" + parts.path.replace("\\", "/").lstrip("/")
    return quote(path) + (f"?{quote(parts.query, safe='=&%')}" if parts.query else "")


def _page(there: str, problem: str, status: int) -> Response:
    text = PAGE.read_text("utf-8").replace("{{next}}", html.escape(_local(there))).replace("{{problem}}", problem)
    return HTMLResponse(text, status, HEADERS)


def guarded(environment: MutableMapping[str, str] = os.environ, *, secure: bool) -> dict[str, Any]:
    """What st.App takes: the gate, and the login page where a token is set; the token leaves the environment."""
    logins, token = Logins(), environment.pop(TOKEN, None) or None
    routes = [login_route(logins, token, secure=secure)] if token is not None else []
    return {"middleware": [Middleware(Gate, logins=logins, token=token)], "routes": routes}
