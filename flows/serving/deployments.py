"""What `sluice serve` runs, and when: a file in the format of `prefect deploy`, infra/prefect.yaml.

Everything in it is checked before a server is asked for anything: keys, schedules, entrypoints, parameters.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from flows.checks.secrets import SHOWN, refuse_keys
from flows.config import check_declared, read_config
from flows.runtime import check_address
from tasks.errors import ConfigError, UsageError

Parameters = Mapping[str, Any]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Schedule(_Strict):
    """When a deployment runs by itself: one of cron, interval (seconds) and rrule, in a timezone."""

    cron: str | None = None
    interval: Annotated[float, Field(gt=0)] | None = None
    rrule: str | None = None
    timezone: str = "UTC"
    active: bool = True

    @model_validator(mode="after")
    def _one(self) -> Schedule:
        if sum(value is not None for value in (self.cron, self.interval, self.rrule)) != 1:
            raise ValueError("one of cron, interval (seconds) and rrule was expected")
        self.prefects()
        return self

    def prefects(self) -> Any:
        """Prefect's own schedule. ValueError where it does not parse."""
        from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule

        if self.cron is not None:
            return CronSchedule(cron=self.cron, timezone=self.timezone)
        if self.rrule is not None:
            return RRuleSchedule(rrule=self.rrule, timezone=self.timezone)
        return IntervalSchedule(interval=timedelta(seconds=self.interval or 0), timezone=self.timezone)


class Limit(_Strict):
    """How many runs of a deployment there may be at once, and what becomes of one more."""

    limit: Annotated[int, Field(ge=1)]
    collision_strategy: Literal["ENQUEUE", "CANCEL_NEW"] = "ENQUEUE"
    grace_period_seconds: Annotated[int, Field(ge=60)] | None = None  # for a run to begin, before its place is free


class Deployment(_Strict):
    """A flow with its parameters and schedules. `work_pool` is for `prefect deploy`; `sluice serve` runs it here."""

    name: Annotated[str, Field(min_length=1, pattern=r"^[^/%&<>]+$")]
    entrypoint: str
    description: str | None = None
    version: str | None = None
    tags: list[str] = []
    parameters: dict[str, Any] = {}
    schedules: list[Schedule] = []
    concurrency_limit: Annotated[int, Field(ge=1)] | Limit | None = None
    paused: bool = False
    work_pool: dict[str, Any] | None = None


class _File(_Strict):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    prefect_version: str | None = Field(default=None, alias="prefect-version")
    name: str | None = None
    build: Any = None
    push: Any = None
    pull: Any = None
    deployments: Annotated[list[Deployment], Field(min_length=1)]


def read_deployments(path: Path) -> list[Deployment]:
    """The file's deployments, checked. ConfigError says where what is wrong; nothing was begun."""
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"there is no {path}; docs/schedules.md shows one") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(problem).split())}") from None
    refuse_keys(values, str(path), SHOWN)
    try:
        found = _File.model_validate(values).deployments
    except ValidationError as problem:
        raise ConfigError(f"{path}: {_told(problem, values)}") from None
    for deployment in found:
        _check(deployment, path)
    names = [(one.entrypoint, one.name) for one in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"{path}: two deployments of {min(twice)[0]} are called {min(twice)[1]!r}; rename one")
    return found


def _told(problem: ValidationError, values: Any) -> str:
    """The first thing that is wrong, with its place and the nearest key that there is."""
    first = problem.errors()[0]
    place = ".".join(str(item) for item in first["loc"] if item not in ("Limit", "constrained-int"))
    if first["type"] == "extra_forbidden":
        inner = Schedule if "schedules" in first["loc"] else Limit
        model: Any = {1: _File, 3: Deployment}.get(len(first["loc"]), inner)
        return f"unknown key {place!r}; {_nearest(str(first['loc'][-1]), sorted(model.model_fields))}"
    if not isinstance(values, dict):
        return "a table with `deployments` was expected"
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" + ("" if first["type"] == "missing" else f"; {first['input']!r} was found")


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1, 0.5)
    return f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(known)}"


def _check(deployment: Deployment, path: Path) -> None:
    """Refuse an entrypoint that is not ours, and parameters that its flow would refuse."""
    where = f"{path}: deployment {deployment.name!r}"
    if deployment.entrypoint not in OURS:
        raise ConfigError(
            f"{where}: the entrypoint {deployment.entrypoint!r} is none of Sluice's flows; "
            f"{_nearest(deployment.entrypoint, list(OURS))}"
        )
    ours = OURS[deployment.entrypoint]
    try:
        _check_parameters(ours.flow(), deployment.parameters, scheduled=bool(deployment.schedules))
        ours.check(deployment.parameters)
    except UsageError as problem:
        raise ConfigError(f"{where}: {problem}") from None


def _check_parameters(flow: Any, given: Parameters, scheduled: bool) -> None:
    import inspect

    from prefect.exceptions import ParameterTypeError

    known = inspect.signature(flow.fn).parameters
    for name in given:
        if name not in known:
            raise ConfigError(f"unknown parameter {name!r}; {_nearest(name, list(known))}")
    lacking = [name for name, one in known.items() if one.default is one.empty and name not in given]
    if lacking and scheduled:
        raise ConfigError(f"parameter {lacking[0]!r} was expected: what is scheduled has nobody to ask for it")
    if lacking:
        return
    try:
        flow.validate_parameters(dict(given))
    except ParameterTypeError as problem:
        raise ConfigError(" ".join(str(problem).split())) from None


@dataclasses.dataclass(frozen=True)
class Ours:
    """One of our flows, and what of its parameters can be checked before there is a run."""

    module: str
    name: str
    check: Callable[[Parameters], None]

    @property
    def path(self) -> str:
        """Where a runner imports it from, whatever folder it runs in."""
        return f"{self.module}.{self.name}"

    def flow(self) -> Any:
        from importlib import import_module

        return getattr(import_module(self.module), self.name)


def _check_curate(given: Parameters) -> None:
    config = read_config(Path(given["config"])) if given.get("config") else None
    if config is not None:
        check_declared(config)
    if given.get("dask"):
        check_address(given["dask"])
    pool = str(given.get("pool", ""))
    if pool and not any(mark in pool for mark in "*?[{") and "://" not in pool and not Path(pool).exists():
        raise UsageError(f"the pool {pool} is neither a file nor a folder; make the folder that shards will arrive in")


def _check_config(given: Parameters) -> None:
    if given.get("config"):
        read_config(Path(given["config"]))


def _check_nothing(given: Parameters) -> None:
    """Its parameters name versions and images, which may yet come."""


OURS: Final = {
    "flows/curate.py:curate": Ours("flows.curate", "curate", _check_curate),
    "flows/label.py:label": Ours("flows.label", "label", _check_config),
    "flows/audit.py:audit": Ours("flows.audit", "audit", _check_nothing),
    "flows/search.py:search": Ours("flows.search", "search", _check_config),
}
