"""One run at a time on a pool in an object store: a lease that its holder renews, and that nobody has for ever.

A lease is an object lease/<number>.json; whoever has the highest number holds the pool. A number is taken by a
conditional put, so of several who want it one gets it. The holder rewrites its object every RENEWED seconds. Who finds
one that has not changed for EXPIRED seconds of its own monotonic clock takes the next number: no clock is compared with
another, and none that is set changes anything. A holder that was taken for dead commits nothing any more (`check`).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from tasks.errors import LakeError, LakeHeld, SluiceError
from tasks.storing import objects
from tasks.storing.addresses import shown

FOLDER: Final = "lease"
RENEWED: Final = 5.0  # seconds between two renewals
EXPIRED: Final = 30.0  # seconds without one, after which the holder is taken for dead
LOOKS: Final = 1.0  # seconds between two looks at a lease that may be dead

_held: dict[Path, Lease] = {}  # of this process


class Lease(NamedTuple):
    """A lease that this process holds."""

    home: Path
    number: int
    facts: dict[str, str]  # run, pid, host, since
    lost: threading.Event  # set when another run has taken the next number

    @property
    def path(self) -> Path:
        return _path(self.home, self.number)

    def written(self, renewed: int) -> bytes:
        return json.dumps({**self.facts, "renewed": renewed}).encode()


class Found(NamedTuple):
    """The newest lease in the store; number 0 and no facts where there is none."""

    number: int
    facts: dict[str, Any]


@contextmanager
def leased(home: Path, facts: dict[str, str]) -> Iterator[str | None]:
    """Hold the lease of a pool; yields the run that died while holding it, or None. LakeHeld while another holds it."""
    dead = _await(home)
    lease = Lease(home, dead.number + 1, facts, threading.Event())
    if not objects.create(lease.path, lease.written(0)):
        raise LakeHeld(f"the lake {shown(home)} was taken by another run just now; wait until it ends, or stop it")
    _expect_conditions(lease)
    objects.remove(_path(home, dead.number))
    done = threading.Event()
    renewing = threading.Thread(target=_renew, args=(lease, done), daemon=True)
    renewing.start()
    _held[home] = lease
    try:
        yield dead.facts.get("run")
    finally:
        _held.pop(home)
        done.set()
        renewing.join()
        with suppress(SluiceError):  # it expires by itself
            objects.remove(lease.path)


def _expect_conditions(lease: Lease) -> None:
    """LakeError where the store writes what is not to be written: two runs could then commit one version."""
    if objects.create(lease.path, b"{}"):
        objects.remove(lease.path)
        raise LakeError(
            f"{shown(lease.home)}: the store overwrites an object although it is asked not to (If-None-Match: *), so "
            "runs could overwrite each other's versions; use a store, or a release of it, with conditional writes"
        )


def check(home: Path) -> None:
    """LakeError where this process held the pool's lease and another run has taken it since."""
    lease = _held.get(home)
    if lease is not None and (lease.lost.is_set() or _newest(home).number != lease.number):
        raise LakeError(
            f"the lake {shown(home)} was taken over by another run, since nothing was heard of this one for "
            f"{EXPIRED:.0f} s; what it had finished is kept: run the same command again when the other has ended"
        )


def _path(home: Path, number: int) -> Path:
    return home / FOLDER / f"{number:06d}.json"


def _newest(home: Path) -> Found:
    while True:
        numbers = [int(name[:-5]) for name in objects.find(home / FOLDER) if name[:-5].isdigit()]
        if not numbers:
            return Found(0, {})
        with suppress(FileNotFoundError):  # it was given back just now
            return Found(max(numbers), json.loads(objects.read(_path(home, max(numbers)))))


def _await(home: Path) -> Found:
    """No lease, or one whose holder is dead. LakeHeld as soon as it is renewed."""
    first, began = _newest(home), time.monotonic()
    while first.facts:
        time.sleep(LOOKS)
        now = _newest(home)
        if not now.facts:
            return now
        if now != first:
            raise LakeHeld(f"the lake {shown(home)} is held by {_holder(now.facts)}; wait until it ends, or stop it")
        if time.monotonic() - began > EXPIRED:
            break
    return first


def _holder(facts: dict[str, Any]) -> str:
    return f"run {facts.get('run')} (process {facts.get('pid')} on {facts.get('host')}, since {facts.get('since')})"


def _renew(lease: Lease, done: threading.Event) -> None:
    renewed = 0
    while not done.wait(RENEWED) and not lease.lost.is_set():
        renewed += 1
        with suppress(SluiceError):  # the next may succeed; if none does the lease expires, and `check` tells
            if _newest(lease.home).number != lease.number:
                lease.lost.set()
            else:
                objects.write(lease.path, lease.written(renewed))
