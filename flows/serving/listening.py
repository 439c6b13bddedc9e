"""Where the dashboard may listen: on loopback for anybody of this machine, beyond it with a token and TLS only."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from infra.dashboard.access import TOKEN
from tasks.errors import UsageError

LOOPBACK: Final = "127.0.0.1"
PORT: Final = 8501
SHORTEST: Final = 32  # characters of a token
MAKE: Final = "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


@dataclass(frozen=True)
class Listen:
    """Where the dashboard listens, by which names browsers reach it, and who speaks TLS."""

    port: int = PORT
    address: str = LOOPBACK
    hosts: tuple[str, ...] = ()  # names in a browser's address bar, where they are not `address`
    tls_cert: Path | None = None  # PEM files; both or none
    tls_key: Path | None = None
    tls_in_front: bool = False  # a proxy speaks TLS and passes the Host header on

    @property
    def loopback(self) -> bool:
        return ipaddress.ip_address(self.address).is_loopback

    @property
    def local(self) -> bool:
        """Whether only this machine's browsers come, by no other name."""
        return self.loopback and not self.hosts

    @property
    def https(self) -> bool:
        return self.tls_cert is not None or self.tls_in_front

    @property
    def names(self) -> tuple[str, ...]:
        """What stands in a browser's address bar, the likeliest first."""
        open_to_all = ipaddress.ip_address(self.address).is_unspecified
        return (*self.hosts, *(("localhost",) if open_to_all else (self.address,)))

    @property
    def allowed_hosts(self) -> tuple[str, ...]:
        """Names that the streams answer to; all where the token alone has to tell friend from foe."""
        if self.local:
            return (self.address, "localhost")  # no name that was bound to loopback
        open_to_all = ipaddress.ip_address(self.address).is_unspecified
        return self.hosts or (("*",) if open_to_all else (self.address,))

    @property
    def url(self) -> str:
        name = self.names[0]
        return f"http{'s' if self.tls_cert else ''}://{f'[{name}]' if ':' in name else name}:{self.port}"


def check(listen: Listen, environment: Mapping[str, str]) -> None:
    """UsageError where it may not listen so, with the setting that would allow it; nothing was begun."""
    _check_names(listen)
    token = environment.get(TOKEN, "")
    if token and len(token) < SHORTEST:
        raise UsageError(f"{TOKEN}: at least {SHORTEST} characters were expected, {len(token)} were found; {MAKE}")
    if not listen.local:
        _check_beyond(listen, token)
    if listen.tls_cert is not None or listen.tls_key is not None:
        _check_tls(listen.tls_cert, listen.tls_key)
    _check_free(listen)


def _check_names(listen: Listen) -> None:
    try:
        ipaddress.ip_address(listen.address)
    except ValueError:
        raise UsageError(
            f"--address: an IP address of this machine was expected, or 0.0.0.0 for all, not {listen.address!r}; "
            "give names by --host"
        ) from None
    for host in listen.hosts:
        if not _NAME.fullmatch(host):
            raise UsageError(f"--host: a name such as sluice.example.org, without port, was expected, not {host!r}")


def _check_beyond(listen: Listen, token: str) -> None:
    where = f"others can reach {listen.address}" if not listen.loopback else f"others come by {listen.hosts[0]}"
    if not token:
        raise UsageError(
            f"{where}, and the dashboard would ask nobody who they are; set the environment variable {TOKEN} to a "
            f"token of at least {SHORTEST} characters ({MAKE}), or listen on {LOOPBACK} and come by an SSH tunnel"
        )
    if not listen.https:
        raise UsageError(
            f"{where}, and the token would travel in the clear; give a certificate by --tls-cert and --tls-key, or say "
            "by --tls-in-front that a proxy speaks TLS"
        )


def _check_tls(cert: Path | None, key: Path | None) -> None:
    if cert is None or key is None:
        raise UsageError(f"--tls-cert and --tls-key go together; {'--tls-key' if key is None else '--tls-cert'} lacks")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password="")
    except (OSError, ValueError) as problem:  # ssl.SSLError is an OSError
        raise UsageError(
            f"--tls-cert {cert}, --tls-key {key}: a certificate chain and its key as PEM, not encrypted, were "
            f"expected: {problem}"
        ) from None
    _check_date(cert)


def _check_date(cert: Path) -> None:
    from cryptography import x509

    found = x509.load_pem_x509_certificates(cert.read_bytes())[0]
    start, end, now = found.not_valid_before_utc, found.not_valid_after_utc, datetime.now(UTC)
    if not start <= now <= end:
        raise UsageError(
            f"--tls-cert {cert}: it holds from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, and now is "
            f"{now:%Y-%m-%d %H:%M}; renew it, or set the clock"
        )


def _check_free(listen: Listen) -> None:
    family = socket.AF_INET6 if ":" in listen.address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listen.address, listen.port))
        except (OSError, OverflowError) as problem:
            raise UsageError(
                f"{listen.address} port {listen.port} cannot be used: {problem}; give another one with --port"
            ) from None
