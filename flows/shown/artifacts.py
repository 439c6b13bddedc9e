"""What the Prefect UI shows of a run: progress, summaries, links. None of it may stop or delay the run's work.

A server that does not answer is tried again after a while, so that the UI goes on when it is back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

EVERY: Final = 1.0  # seconds between two updates of a progress artifact: each is a request to the server
PAUSE: Final = 30.0  # seconds that a server which did not answer is left alone
LAST: Final = 5.0  # seconds that the last progress may take to arrive
PROGRESS: Final = "sluice.progress"  # the event by which an automation knows that a run is not stalled


class Artifacts:
    """The artifacts of one run. `say` is told once of a server that does not answer."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self._progress: Any = None
        self._updated = 0.0
        self._again = 0.0  # when the server is asked next
        self._told = False

    def begin(self, stage: str) -> None:
        """Another stage: its progress has an artifact of its own."""
        self._progress = None
        self._event(stage, "begins")

    def progress(self, stage: str, share: float, text: str) -> None:
        """share: percent. At most one request a second, but for the last."""
        if time.monotonic() - self._updated < EVERY and share < 100:
            return
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        self._updated = time.monotonic()
        if self._progress is None:
            self._progress = self._asked(
                lambda: create_progress_artifact(share, key=f"sluice-{stage}-progress", description=text)
            )
        else:
            self._asked(lambda: update_progress_artifact(self._progress, share, text))
        self._event(stage, text)

    def _event(self, stage: str, text: str) -> None:
        from prefect.context import FlowRunContext
        from prefect.events import emit_event

        context = FlowRunContext.get()
        if context is not None and context.flow_run is not None:
            run = {"prefect.resource.id": f"prefect.flow-run.{context.flow_run.id}"}
            emit_event(PROGRESS, {**run, "prefect.resource.name": context.flow_run.name}, payload={stage: text})

    def summary(self, key: str, markdown: str, description: str) -> None:
        from prefect.artifacts import create_markdown_artifact

        self._asked(lambda: create_markdown_artifact(markdown, key=f"sluice-{key}", description=description))

    def link(self, key: str, address: str, text: str) -> None:
        from prefect.artifacts import create_link_artifact

        self._asked(lambda: create_link_artifact(address, key=f"sluice-{key}", link_text=text, description=text))

    def close(self) -> None:
        """Let the last progress arrive before the run's end does; after it, it would look like a stalled run."""
        from prefect.events.worker import EventsWorker

        if not self._told:
            waiting = threading.Thread(target=EventsWorker.instance().wait_until_empty, daemon=True)
            waiting.start()
            waiting.join(LAST)

    def _asked(self, request: Callable[[], Any]) -> Any:
        """The request's answer; None where the server does not answer. Prefect itself would try for a minute."""
        from httpx import HTTPError
        from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

        if time.monotonic() < self._again:
            return None
        try:
            with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1}):
                return request()
        except HTTPError as problem:
            self._again = time.monotonic() + PAUSE
            if not self._told:
                self._told = True
                self.say(f"Prefect's server does not answer ({problem}); the run goes on, its UI lags behind.")
            return None
