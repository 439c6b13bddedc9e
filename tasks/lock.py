"""One run at a time on a pool of a lake: the kernel's file lock, which a dead process cannot keep."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tasks.errors import LakeError
from tasks.files import sweep


@contextmanager
def hold(home: Path, run: str) -> Iterator[str | None]:
    """Hold the lock of a pool's folder; yields the run that died while holding it, or None.

    LakeError names the holder while it lives. What a dead holder wrote aside is swept away.
    """
    home.mkdir(parents=True, exist_ok=True)
    path = home / "lock"
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LakeError(f"the lake {home} is held by {_holder(path)}; wait until it ends, or stop it") from None
        dead = _read(path).get("run") or None
        sweep(home)
        _write(path, {"run": run, "pid": str(os.getpid()), "host": socket.gethostname(), "since": now()})
        try:
            yield dead
        finally:
            _write(path, {})


def now() -> str:
    """The time in UTC, to the second, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write(path: Path, facts: dict[str, str]) -> None:
    # In place, since the lock is on this very file: a renamed one would be another.
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
