"""What a run shows while it works: a line a stage and a bar on the terminal, progress artifacts in the Prefect UI."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from flows.shown.artifacts import Artifacts


class Reporter:
    """Reports stages and their parts. `artifacts` is off where a run has no Prefect (benchmarks)."""

    def __init__(self, console: Console | None = None, artifacts: bool = True) -> None:
        self.console = console or Console(stderr=True)
        self.artifacts = Artifacts(self.say) if artifacts else None
        self._log = _run_log() if artifacts else None
        self._stage = ""
        self._rows = self._parts = self._read = 0
        self._started = self._first = time.monotonic()
        self._bar: Progress | None = None
        self._task: Any = None

    def begin(self, stage: str, rows: int = 0, parts: int = 0) -> None:
        """A stage on a version of so many samples and parts; 0 where it is the stage that reads them."""
        self.end()
        self._stage, self._rows, self._parts, self._read = stage, rows, parts, 0
        self._started = self._first = time.monotonic()
        if self.artifacts:
            self.artifacts.begin(stage)

    def result(self, found: Any) -> None:
        """Called with what a part gave, before `parts`: ingest gives the samples that it read."""
        self._read += found if isinstance(found, int) else 0

    def parts(self, done: int, total: int) -> None:
        """Called as parts are done."""
        if not done:  # a stage goes through the parts more than once
            self._first, self._read = time.monotonic(), 0
        self._draw(done, total)
        if self.artifacts:
            self.artifacts.progress(self._stage, 100.0 * done / total, self._pace(done, total))

    def _draw(self, done: int, total: int) -> None:
        if self._bar is None and self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("parts"))
            times = (TimeElapsedColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, *times, console=self.console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task(f"{self._stage:9}", total=total)
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total)

    def _pace(self, done: int, total: int) -> str:
        """Parts done, images per second, time left."""
        words = [f"{done:,} of {total:,} parts"]
        seconds = time.monotonic() - self._first
        images = self._read or (self._rows * done // total if total == self._parts else 0)
        if images and seconds > 0:
            words.append(f"{images / seconds:,.0f} images/s")
        if 0 < done < total:
            words.append(f"{duration(seconds / done * (total - done))} left")
        return ", ".join(words)

    def end(self, text: str | None = None) -> None:
        """Close the stage's bar and say what it did."""
        if self._bar is not None:
            self._bar.stop()
        self._bar = None
        if text is not None:
            self.say(f"{self._stage:9} {text}  ({self.seconds():.1f} s)")

    def close(self) -> None:
        """The run is over."""
        self.end()
        if self.artifacts:
            self.artifacts.close()

    def seconds(self) -> float:
        """Since the stage began."""
        return time.monotonic() - self._started

    def say(self, text: str) -> None:
        """A line of plain text: what comes from a pool is never markup."""
        if self._log is not None:
            self._log.info(text)
        else:
            self.console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)

    def summary(self, key: str, markdown: str, description: str | None = None) -> None:
        """A summary artifact for the Prefect UI."""
        if self.artifacts:
            self.artifacts.summary(key, markdown, description or f"What {key} did")

    def link(self, key: str, address: str, text: str) -> None:
        """A link artifact for the Prefect UI."""
        if self.artifacts:
            self.artifacts.link(key, address, text)


def duration(seconds: float) -> str:
    """90 → 1 min 30 s"""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _run_log() -> Any:
    """The log of a run that nobody attends, which the Prefect UI shows; None at a terminal."""
    from flows.serving.attended import unattended

    if not unattended():
        return None
    from prefect.logging import get_run_logger

    return get_run_logger()
