"""The collector that OpenLineage events are sent to over HTTP, as the environment names it for OpenLineage's client.

OPENLINEAGE_URL with OPENLINEAGE_API_KEY, or OPENLINEAGE_CONFIG with the path of an openlineage.yml, or variables that
begin with OPENLINEAGE__TRANSPORT. Without any of them nothing is sent.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from tasks.errors import UsageError

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient
    from openlineage.client.transport.http import HttpTransport

ALLOW: Final = "SLUICE_ALLOW_PLAIN_HTTP"
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
TALKATIVE: Final = ("client", "transport.http")  # log addresses, headers and what a file that is no YAML holds
_SECRET: Final = re.compile(r"(?<=://)[^/@\s]*@")  # user and password of an address


class Collector(NamedTuple):
    """Where events go."""

    client: OpenLineageClient
    address: str  # as it is shown: without user, password and path


def configured() -> bool:
    """Whether the environment names a collector."""
    if os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return False
    named = os.environ.get("OPENLINEAGE_URL") or os.environ.get("OPENLINEAGE_CONFIG")
    return bool(named) or any(name.startswith("OPENLINEAGE__TRANSPORT") for name in os.environ)


def collector() -> Collector | None:
    """The collector; None where none is configured. Nothing is sent yet.

    Raises UsageError: a configuration that the client cannot use, a transport other than http, an address that is none,
    or plain http beyond this machine that was not allowed.
    """
    if not configured():
        return None
    path = os.environ.get("OPENLINEAGE_CONFIG")
    if path and not Path(path).is_file():
        raise UsageError(f"OPENLINEAGE_CONFIG: an openlineage.yml was expected, there is no file {path}")
    client = _client()
    transport = _http(client)
    tokens = getattr(transport.config.auth, "token_endpoint", None)  # which the client's secret is sent to
    for address in (transport.url, *([tokens] if tokens else [])):
        _check_address(address)
    transport.config.retry = {"total": 0}  # what was not taken is sent again with the next stage or run
    transport.session.max_redirects = 0  # a redirected POST arrives without its event
    return Collector(client, _shown(transport.url))


def _client() -> OpenLineageClient:
    from openlineage.client import OpenLineageClient

    for name in TALKATIVE:
        logging.getLogger(f"openlineage.client.{name}").setLevel(logging.CRITICAL)
    try:
        with _environment_kept():
            return OpenLineageClient()
    except Exception as problem:  # whatever a transport's own configuration class raises
        found = _SECRET.sub("", f"{type(problem).__name__}: {problem}")
        raise UsageError(
            f"the OpenLineage client cannot be set up ({found}); see OPENLINEAGE_URL, OPENLINEAGE_CONFIG and the "
            "variables that begin with OPENLINEAGE__TRANSPORT, or set OPENLINEAGE_DISABLED=true"
        ) from None


@contextmanager
def _environment_kept() -> Iterator[None]:
    """The client copies address and key to other variables, which this process's children would inherit."""
    before = set(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - before:
            del os.environ[name]


def _http(client: OpenLineageClient) -> HttpTransport:
    from openlineage.client.transport.http import HttpTransport

    transport = client.transport
    if not isinstance(transport, HttpTransport):
        raise UsageError(
            f"OpenLineage events are sent over http, but the client is set up for {transport.kind!r}; set "
            "OPENLINEAGE_URL, give transport: {type: http, url: …} in the file of OPENLINEAGE_CONFIG, or set "
            "OPENLINEAGE_DISABLED=true"
        )
    return transport


def _check_address(address: str) -> None:
    try:
        parts = urlsplit(address)
        scheme, host, _ = parts.scheme, parts.hostname, parts.port
    except ValueError:  # half an IPv6 address, a port that is no number
        scheme, host = "", None
    if scheme not in ("http", "https") or not host:
        raise UsageError(
            "OpenLineage's collector: an address such as https://lineage.example:5000 was expected, "
            f"{_SECRET.sub('', address)!r} was found"
        )
    if scheme == "http" and host not in LOOPBACK and os.environ.get(ALLOW) != "1":
        raise UsageError(
            f"OpenLineage's collector: {_shown(address)} is neither loopback nor TLS, and events and key would go "
            f"there in the clear; use https://, or set {ALLOW}=1 on a network that you trust"
        )


def _shown(address: str) -> str:
    parts = urlsplit(address)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
