"""Runs that nobody attends: what may pass by itself is waited for, and a run that has nothing to do says so.

A person at a terminal is told at once; a scheduled run tries again first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from tasks.errors import LakeHeld, Unavailable
from tasks.reading.pools import is_empty
from tasks.storing.addresses import is_address

T = TypeVar("T")

PASSING: Final = (LakeHeld, Unavailable, ConnectionError, TimeoutError)  # what another try may not meet again
DELAYS: Final = (10.0, 60.0, 300.0)  # seconds before each further try


def unattended() -> bool:
    """Whether this is a run of a deployment: by schedule, or from the Prefect UI."""
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()  # not prefect.runtime, which may ask a server that is gone
    return context is not None and context.flow_run is not None and context.flow_run.deployment_id is not None


def may_pass(task: Any, run: Any, state: Any) -> bool:
    """Prefect's retry condition of a stage: a gate that failed and input that is wrong fail again."""
    return isinstance(state.result(raise_on_failure=False), PASSING)


def retries() -> dict[str, Any]:
    """How a stage's task is retried."""
    if not unattended():
        return {}
    return {"retries": len(DELAYS), "retry_delay_seconds": list(DELAYS), "retry_condition_fn": may_pass}


def patiently(attempt: Callable[[], T], say: Callable[[str], None]) -> T:
    """What `attempt` returns; unattended it is called again while what fails may pass by itself."""
    for delay in DELAYS if unattended() else ():
        try:
            return attempt()
        except PASSING as problem:
            say(f"{problem}; trying again in {delay:g} s")
            time.sleep(delay)
    return attempt()


def unless_held(run: Callable[[], T]) -> T | Any:
    """What `run` returns. Unattended, a lake that stays held is no failure: whoever holds it is at work on it."""
    try:
        return run()
    except LakeHeld as problem:
        if not unattended():
            raise
        return skipped(f"nothing was done, and nothing is wrong with the data: {problem}")


def skipped(why: str) -> Any:
    """The state of a run that had nothing to do."""
    return completed(why, "Skipped")


def completed(why: str, name: str = "Completed") -> Any:
    """The state of a run that ended well, with words for the UI's list of runs."""
    from prefect.states import Completed

    return Completed(name=name, message=why)


def awaits_shards(pool: str) -> bool:
    """Whether the pool is a folder in which nothing has arrived yet, here or in a store."""
    if is_address(pool):
        return is_empty(pool)
    folder = Path(pool)
    return folder.is_dir() and not any(folder.iterdir())
