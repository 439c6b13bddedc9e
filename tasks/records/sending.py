"""Sending: the lines of the event log go to the collector in their order, in a thread that no run waits for.

What was taken last is remembered in sent.json, so the next run goes on from there. An event that goes twice, because a
run was killed in between, is the same by run id, type and time.
"""

from __future__ import annotations

import json
import queue
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

from tasks.files import write_json
from tasks.records.collector import Collector
from tasks.records.event_log import LOG

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent
    from requests import HTTPError

WAIT: Final = 5.0  # seconds that the end of a run waits at most
REFUSED: Final = (400, 413, 422)  # of the event, whatever is tried: the others go on without it


class Sender:
    """Sends what the log has more than the collector; `problem` says what went wrong last, if it did."""

    def __init__(self, collector: Collector, folder: Path) -> None:
        self.client, self.address = collector.client, collector.address
        self.log, self.memory = folder / LOG, folder / "sent.json"
        self.problem: str | None = None
        self.refused = 0
        self._taken = _remembered(self.memory, self.address)
        self._orders: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lineage", daemon=True)  # a process may end without it
        self._thread.start()

    def send(self) -> None:
        """Have the thread send what is new; returns at once."""
        self._orders.put(True)
        self._remember()

    def close(self, wait: float = WAIT) -> None:
        """Send what is new, and wait for it `wait` seconds at most."""
        self._orders.put(True)
        self._orders.put(False)
        self._thread.join(wait)
        if self._thread.is_alive():
            self._given_up.set()
            self.problem = self.problem or f"not all within {wait:g} s"
        self._remember()

    def _remember(self) -> None:
        """Written by the run's own thread only: one that was given up must not write once the lake is free."""
        if self._taken is not None:
            write_json(self.memory, {"collector": self.address, **self._taken._asdict()})

    def _work(self) -> None:
        while self._orders.get() and not self._given_up.is_set():
            try:
                self._send()
                self.problem = None
            except Exception as problem:  # a run does not fail for what no one could be told
                self.problem = reason(problem)

    def _send(self) -> None:
        with self.log.open("rb") as file:
            place = after(file, self._taken)
            file.seek(place)
            for line in file:
                if self._given_up.is_set() or not line.endswith(b"\n"):  # that is still being written
                    return
                self._emit(line)
                self._taken = Taken(place, *identity(line))
                place += len(line)

    def _emit(self, line: bytes) -> None:
        from requests import HTTPError

        try:
            self.client.emit(event(json.loads(line)))
        except HTTPError as problem:
            if _status(problem) not in REFUSED:
                raise
            self.refused += 1


class Taken(NamedTuple):
    """The event that the collector took last."""

    place: int  # byte of the log at which its line begins
    run: str
    type: str
    time: str


def identity(line: bytes) -> tuple[str, str, str]:
    """What an event is known by: run id, type, time. ValueError: not a line of the log."""
    try:
        value = json.loads(line)
        return value["run"]["runId"], value["eventType"], value["eventTime"]
    except (KeyError, TypeError) as problem:
        raise ValueError(f"not an event: {problem}") from None


def _remembered(memory: Path, address: str) -> Taken | None:
    """What this collector took last; None where it took nothing yet."""
    try:
        found = json.loads(memory.read_text("utf-8"))
        return Taken(**{name: found[name] for name in Taken._fields}) if found["collector"] == address else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def after(log: BinaryIO, taken: Taken | None) -> int:
    """Where in the log the events begin that come after the one that was taken last; 0 where that is not in it."""
    if taken is None:
        return 0
    log.seek(taken.place)
    if _known(log.readline()) == taken[1:]:
        return log.tell()
    log.seek(0)  # elsewhere in the log where it was made again, by another derivation
    place = 0
    for line in log:
        place += len(line)
        if _known(line) == taken[1:]:
            return place
    return 0


def _known(line: bytes) -> tuple[str, str, str] | None:
    try:
        return identity(line)
    except ValueError:
        return None


def event(value: dict[str, Any]) -> RunEvent:
    """A line of the log as the client takes it."""
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState

    return RunEvent(
        eventType=RunState(value["eventType"]),
        eventTime=value["eventTime"],
        producer=value["producer"],
        run=Run(**value["run"]),
        job=Job(**value["job"]),
        inputs=[InputDataset(**one) for one in value["inputs"]],
        outputs=[OutputDataset(**one) for one in value["outputs"]],
    )


def _status(problem: HTTPError) -> int | None:
    return None if problem.response is None else problem.response.status_code


def reason(problem: Exception) -> str:
    """What went wrong, in words; no address and no key."""
    import requests

    if isinstance(problem, requests.TooManyRedirects):
        return "it redirects elsewhere; give the address that it redirects to"
    if isinstance(problem, requests.HTTPError):
        status = _status(problem)
        return f"it answered {status}" + ("; see OPENLINEAGE_API_KEY" if status in (401, 403) else "")
    if isinstance(problem, requests.exceptions.SSLError):
        return "its certificate was not accepted"
    if isinstance(problem, requests.Timeout):
        return "it did not answer in time"
    if isinstance(problem, requests.ConnectionError):
        return "it cannot be reached"
    return type(problem).__name__
