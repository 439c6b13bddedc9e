"""One run at a time on a pool of a lake: the kernel's file lock, which a dead process cannot keep.

On NFS the server keeps the lock, for all clients, unless they are mounted with `nolock` or `local_lock`; that of a
client that died lasts until the server gives it up. In an object store a lease takes its place (storing/lease.py).
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tasks.errors import LakeHeld
from tasks.files import sweep, writing
from tasks.storing.addresses import is_copy
from tasks.storing.copying import refresh
from tasks.storing.lease import leased


@contextmanager
def hold(home: Path, run: str) -> Iterator[str | None]:
    """Hold the lock of a pool's folder; yields the run that died while holding it, or None.

    LakeHeld names the holder while it lives. What a dead holder wrote aside is swept away.
    """
    facts = {"run": run, "pid": str(os.getpid()), "host": socket.gethostname(), "since": now()}
    with leased(home, facts) if is_copy(home) else _locked(home, facts) as dead:
        refresh(home)
        sweep(home)
        yield dead


@contextmanager
def _locked(home: Path, facts: dict[str, str]) -> Iterator[str | None]:
    path = home / "lock"
    with writing(path):
        home.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LakeHeld(f"the lake {home} is held by {_holder(path)}; wait until it ends, or stop it") from None
        dead = _read(path).get("run") or None
        _write(path, facts)
        try:
            yield dead
        finally:
            _write(path, {})


def now() -> str:
    """The time in UTC, to the second, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write(path: Path, facts: dict[str, str]) -> None:
    # In place, since the lock is on this very file: a renamed one would be another.
    with writing(path):
        path.write_text(json.dumps(facts) if facts else "", "utf-8")


def _read(path: Path) -> dict[str, str]:
    try:
        facts = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _holder(path: Path) -> str:
    facts = _read(path)
    if not facts:
        return "a run that is just starting"
    return f"run {facts.get('run')} (process {facts.get('pid')} on {facts.get('host')}, since {facts.get('since')})"
