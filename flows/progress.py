"""What a run shows while it works: a line a stage on the terminal, a progress artifact in the Prefect UI."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

EVERY = 1.0  # seconds between two updates of an artifact: each is a request to the server


class Reporter:
    """Reports stages and their parts. `artifacts` is off where a run has no Prefect (benchmarks)."""

    def __init__(self, console: Console | None = None, artifacts: bool = True) -> None:
        self.console = console or Console(stderr=True)
        self.artifacts = artifacts
        self._artifact: Any = None
        self._updated = 0.0
        self._stage = ""
        self._started = time.monotonic()
        self._bar: Progress | None = None
        self._task: Any = None

    def begin(self, stage: str) -> None:
        self.end()
        self._stage = stage
        self._started = time.monotonic()

    def parts(self, done: int, total: int) -> None:
        """Called as parts are done."""
        if self._bar is None and self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("parts"))
            times = (TimeElapsedColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, *times, console=self.console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task(f"{self._stage:9}", total=total)
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total)
        if self.artifacts and (time.monotonic() - self._updated > EVERY or done == total):
            self._to_prefect(done, total)

    def _to_prefect(self, done: int, total: int) -> None:
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        share, text = 100.0 * done / total, f"{self._stage}: {done} of {total} parts"
        if self._artifact is None:
            key = f"sluice-{self._stage}-progress"
            self._artifact = create_progress_artifact(share, key=key, description=text)
        else:
            update_progress_artifact(self._artifact, share, text)
        self._updated = time.monotonic()

    def end(self, text: str | None = None) -> None:
        """Close the stage's bar and say what it did."""
        if self._bar is not None:
            self._bar.stop()
        self._bar, self._artifact = None, None
        if text is not None:
            self.say(f"{self._stage:9} {text}  ({time.monotonic() - self._started:.1f} s)")

    def say(self, text: str) -> None:
        """A line of plain text: what comes from a pool is never markup."""
        self.console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)

    def summary(self, stage: str, markdown: str) -> None:
        """A summary artifact for the Prefect UI."""
        if self.artifacts:
            from prefect.artifacts import create_markdown_artifact

            create_markdown_artifact(markdown, key=f"sluice-{stage}", description=f"What {stage} did")
