"""Runs the deployments of infra/prefect.yaml: registers them with Prefect's server, then runs what is due."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from flows.serving.deployments import OURS, Deployment, Limit
from tasks.errors import Unavailable

LOG: Final = "INFO"  # of the runs, which the UI shows; a run at a terminal speaks for itself


def serve(deployments: Sequence[Deployment]) -> None:
    """Register and run them until Ctrl-C or SIGTERM; their schedules then pause. Unavailable: the server is gone."""
    from httpx import HTTPError
    from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, temporary_settings

    address = PREFECT_API_URL.value()
    try:
        with temporary_settings({PREFECT_LOGGING_LEVEL: LOG}):
            runner = _runner()
            for deployment in deployments:
                runner.add_deployment(prefects(deployment))
            signal.signal(signal.SIGINT, runner.handle_sigterm)
            asyncio.run(runner.start())
    except (HTTPError, RuntimeError) as problem:
        raise Unavailable(
            f"Prefect's server at {address} stopped answering ({problem}); the lakes are whole. Start it again, then "
            "`sluice serve`: what died in its midst is finished by the next run"
        ) from problem


def _runner() -> Any:
    from prefect.runner import Runner

    class Ours(Runner):
        def handle_sigterm(self, *args: Any, **kwargs: Any) -> None:
            """Cancel the runs, so that the server knows of it; Prefect's own handler does not await what would."""
            signal.signal(signal.SIGINT, signal.default_int_handler)  # who presses Ctrl-C again will not wait
            loop = asyncio.get_running_loop()
            loop.call_soon_threadsafe(lambda: self._ending.append(loop.create_task(self.astop())))

        _ending: ClassVar[list[Any]] = []

    return Ours("sluice")


def prefects(deployment: Deployment) -> Any:
    """Prefect's own deployment, which imports our flow by its module."""
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.deployments.runner import RunnerDeployment

    schedules = [DeploymentScheduleCreate(schedule=one.prefects(), active=one.active) for one in deployment.schedules]
    return RunnerDeployment.from_entrypoint(
        OURS[deployment.entrypoint].path,
        deployment.name,
        schedules=schedules,
        concurrency_limit=_limit(deployment.concurrency_limit),
        parameters=deployment.parameters,
        description=deployment.description,
        tags=deployment.tags,
        version=deployment.version,
        paused=deployment.paused,
    )


def _limit(limit: int | Limit | None) -> Any:
    from prefect.client.schemas.objects import ConcurrencyLimitConfig

    if isinstance(limit, Limit):
        return ConcurrencyLimitConfig(**limit.model_dump())
    return limit


def listing(deployments: Sequence[Deployment]) -> list[str]:
    """A line a deployment: its name, and when it runs."""
    return [f"  {one.entrypoint.rpartition(':')[2]}/{one.name:12} {_when(one)}" for one in deployments]


def _when(deployment: Deployment) -> str:
    texts = []
    for one in deployment.schedules:
        rule = one.cron or one.rrule or f"every {one.interval:g} s"
        texts.append(f"{rule} ({one.timezone})" + ("" if one.active else ", inactive"))
    return "; ".join(texts) or "by hand"
