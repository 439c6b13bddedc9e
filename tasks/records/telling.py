"""What a run tells of itself as it goes: events in the lake's log, and from there to a collector if there is one."""

from __future__ import annotations

from collections.abc import Callable

from tasks.lake import Lake
from tasks.records.collector import Collector
from tasks.records.event_log import write_events
from tasks.records.sending import Sender


class Telling:
    """A run's events. Whoever is told of trouble is told once: it is no trouble of the run's."""

    def __init__(self, lake: Lake, run: str, collector: Collector | None, say: Callable[[str], None]) -> None:
        self.lake, self.run, self.say = lake, run, say
        self.sender = None if collector is None else Sender(collector, lake.home / "events")
        self.said = False

    def tell(self) -> None:
        """What has happened since; the collector is told while the run goes on."""
        write_events(self.lake, self.run)
        if self.sender is not None:
            self.sender.send()
            self._trouble(self.sender)

    def close(self) -> None:
        """The rest, once the run has ended; waits for the collector some seconds at most."""
        try:
            write_events(self.lake, self.run)
        finally:
            if self.sender is not None:
                self._end(self.sender)

    def _end(self, sender: Sender) -> None:
        sender.close()
        self._trouble(sender)
        if sender.refused:
            events = "1 event" if sender.refused == 1 else f"{sender.refused:,} events"
            self.say(f"Lineage: {sender.address} refused {events} as malformed.")

    def _trouble(self, sender: Sender) -> None:
        if sender.problem is not None and not self.said:
            self.said = True
            self.say(
                f"Lineage: {sender.address} did not take all events: {sender.problem}. The run goes on, and what was "
                "not sent waits in events/openlineage.ndjson for the next one."
            )
