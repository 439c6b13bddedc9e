"""Starts the dashboard: Streamlit, on this machine's loopback address unless more is allowed, telling nobody of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final, NoReturn

from flows.serving.listening import Listen, check
from tasks.lake import find_pool

APP: Final = Path(__file__).parents[2] / "infra" / "dashboard" / "entry" / "server.py"

SETTINGS: Final = {
    "server.headless": "true",  # opens no browser, asks for no address
    "server.fileWatcherType": "none",
    "server.enableXsrfProtection": "true",
    "server.enableCORS": "true",  # only pages of this machine may talk to it
    "server.enableStaticServing": "false",
    "server.enableAgentApi": "false",
    "browser.gatherUsageStats": "false",
    "runner.fastReruns": "false",  # else two runs of a page are at the same desk at once
    "client.toolbarMode": "minimal",
    "logger.hideWelcomeMessage": "true",
    "client.showErrorDetails": "none",  # a traceback may hold a caption
    "client.showErrorLinks": "false",
    "theme.base": "light",
    "theme.primaryColor": "#2f6d7d",
    "theme.backgroundColor": "#fbfbfa",
    "theme.secondaryBackgroundColor": "#eef1f1",
    "theme.textColor": "#1f2a2e",
}


def serve(lake: Path, pool: str | None = None, listen: Listen | None = None) -> NoReturn:
    """Become the dashboard's server, until Ctrl-C.

    UsageError: no such pool, a port that is taken, an address that others can reach without a token and TLS.
    """
    home, listen = find_pool(lake, pool), listen or Listen()
    check(listen, os.environ)
    print(f"the dashboard: {listen.url} (Ctrl-C ends it)", file=sys.stderr)
    os.execv(sys.executable, command(home.root.resolve(), home.pool, listen))


def command(lake: Path, pool: str, listen: Listen) -> list[str]:
    """Streamlit's command line. All settings stand in it, where a user's own configuration cannot change them."""
    settings = {**SETTINGS, "server.address": listen.address, "server.port": str(listen.port)}
    settings["browser.serverAddress"] = listen.names[0]  # else Streamlit asks a server elsewhere for its own address
    if listen.tls_cert is not None:
        settings |= {"server.sslCertFile": str(listen.tls_cert), "server.sslKeyFile": str(listen.tls_key)}
    hosts = [f"--server.allowedHosts={host}" for host in listen.allowed_hosts]
    flags = [f"--{name}={value}" for name, value in settings.items()]
    args = [str(lake), pool, *(["https"] if listen.https else [])]
    return [sys.executable, "-m", "streamlit", "run", str(APP), *flags, *hosts, "--", *args]
