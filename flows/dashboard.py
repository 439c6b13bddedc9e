"""Starts the dashboard: Streamlit, on this machine's loopback address only, telling nobody that it runs."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Final, NoReturn

from tasks.errors import UsageError
from tasks.lake import find_pool

LOOPBACK: Final = "127.0.0.1"
PORT: Final = 8501
APP: Final = Path(__file__).parent.parent / "infra" / "dashboard" / "app.py"

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


def serve(lake: Path, pool: str | None = None, port: int = PORT, address: str = LOOPBACK) -> NoReturn:
    """Become the dashboard's server, until Ctrl-C.

    UsageError: no such pool, a port that is taken, an address that others can reach.
    """
    home = find_pool(lake, pool)
    if address != LOOPBACK:
        raise UsageError(
            f"the dashboard listens on {LOOPBACK} only, not on {address}: it asks nobody who they are; "
            "reach it from another machine through an SSH tunnel"
        )
    _check_free(port)
    os.execv(sys.executable, command(home.root.resolve(), home.pool, port))


def command(lake: Path, pool: str, port: int) -> list[str]:
    """Streamlit's command line. All settings stand in it, where a user's own configuration cannot change them."""
    settings = {**SETTINGS, "server.address": LOOPBACK, "server.port": str(port)}
    hosts = [f"--server.allowedHosts={host}" for host in (LOOPBACK, "localhost")]  # no name that was bound to loopback
    flags = [f"--{name}={value}" for name, value in settings.items()]
    return [sys.executable, "-m", "streamlit", "run", str(APP), *flags, *hosts, "--", str(lake), pool]


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except (OSError, OverflowError) as problem:
            raise UsageError(f"port {port} cannot be used: {problem}; give another one with --port") from None
