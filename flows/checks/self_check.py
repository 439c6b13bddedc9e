"""Looked at before a command begins: would anything of ours be open to others, is a secret where it can be read.

Only what the environment and the command line say, so that it costs next to nothing; nothing is asked over the network.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from flows.checks.secrets import hidden, refuse_arguments
from flows.runtime import LOOPBACK
from tasks.errors import LakeError, UsageError


class Listener(NamedTuple):
    """A server of ours whose address the environment can change."""

    what: str
    address: str  # the variable
    guard: str  # the variable with what others have to know; without it only this machine may come


LISTENERS: Final = (
    Listener("Prefect's server", "PREFECT_SERVER_API_HOST", "PREFECT_SERVER_API_AUTH_STRING"),
    Listener("the dashboard", "STREAMLIT_SERVER_ADDRESS", "SLUICE_DASHBOARD_TOKEN"),
)


STARTING: Final = ("curate", "demo", "serve", "dashboard", "label")  # commands that start a server, or obey one


def check(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """UsageError where a secret stands on the command line, or where the environment opens one of our servers to all.

    The message names the setting that would allow it.
    """
    refuse_arguments(arguments)
    if not arguments or arguments[0] not in STARTING:
        return
    for listener in LISTENERS:
        _check_listener(listener, environment)
    check_api(environment.get("PREFECT_API_URL", ""), environment.get("PREFECT_API_AUTH_STRING", ""))


def _check_listener(listener: Listener, environment: Mapping[str, str]) -> None:
    address = environment.get(listener.address, "")
    if address and not is_loopback(address) and not environment.get(listener.guard):
        raise UsageError(
            f"{listener.address}={address}: others could reach {listener.what}, which would ask nobody who they are; "
            f"set {listener.guard}, or unset {listener.address} to listen on this machine only"
        )


def check_api(url: str, auth: str) -> None:
    """UsageError where runs would be steered by a Prefect server that is reached in the clear, and asks for nothing."""
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or "") and not auth:
        raise UsageError(
            f"PREFECT_API_URL={hidden(url)}: a server beyond this machine, without TLS, that asks nobody who comes: "
            "whoever is on the way could start runs and read what they say; use https://, or set "
            "PREFECT_API_AUTH_STRING here and PREFECT_SERVER_API_AUTH_STRING there"
        )


def is_loopback(host: str) -> bool:
    """Whether an address is one that only this machine reaches; a name other than localhost may be anything."""
    if host in LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_writable(home: Path) -> None:
    """LakeError where a run may not write to a pool's folder, or to where it is to be made."""
    there = home.absolute()
    while not os.path.exists(there):  # noqa: PTH110 (Path.exists raises where a folder above may not be entered)
        there = there.parent
    _expect_writable(there)
    for folder in sorted(path for path in home.iterdir() if path.is_dir()) if home.is_dir() else ():
        _expect_writable(folder)


def _expect_writable(folder: Path) -> None:
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        raise LakeError(
            f"{folder} may not be read and written by this user, and a run writes to the lake; give the right (chown, "
            "chmod, or mount it writable), or choose another folder with --lake"
        )
