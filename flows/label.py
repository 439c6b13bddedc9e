"""The flow `label`: one round of active learning a run. Labels that have arrived train; the next queue is written; end.

Nothing waits for people: who labels does so in the dashboard or in files, and the next run takes it in.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.config import CurateConfig, read_config
from flows.progress import Reporter
from flows.record import Record, recorded
from flows.runtime import Runtime
from tasks import embed
from tasks.classifying.category_spec import Category
from tasks.errors import UsageError
from tasks.files import digests
from tasks.labelling import active, round_report
from tasks.labelling.active import Ask
from tasks.labels.rounds import Round, latest_round
from tasks.lake import Lake, find_pool
from tasks.lock import hold


@flow(name="label", log_prints=False)
def label(
    category: str | None = None,
    lake: str = "lake",
    pool: str | None = None,
    config: str | None = None,
    labels: int = 200,
    certify: int = 0,
    seeds: int = 0,
    arms: str = "ours",
    dask: str | None = None,
    workers: int | None = None,
) -> list[dict[str, Any]]:
    """Take in what was labelled, retrain, and write what to label next.

    category: one of the configuration's, by default all. config: the TOML file of `curate`; by default the latest
    round's. labels: samples for the arms to pick. certify: samples to draw at random for a certificate. seeds: known
    positives to show again. arms: ours, or for comparison article or random.
    """
    home = find_pool(Path(lake), pool)
    ask = Ask(labels=labels, certify=certify, seeds=seeds, arms=arms)
    settings = read_config(Path(config)) if config is not None else None
    return run_label(home, chosen(home, settings, category), ask, Runtime(dask, workers), Reporter(), round_task)


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A category, and what embeds its prompts."""

    category: Category
    embedding: embed.Config
    folds: int = 5


def chosen(lake: Lake, config: CurateConfig | None, name: str | None) -> list[Wanted]:
    """The categories to label. UsageError where the configuration, or the latest round, has none of that name."""
    if config is not None:
        found = {one.name: Wanted(one, config.embed, config.filter.folds) for one in config.filter.category}
    elif name is None:
        raise UsageError("--config: the file with the categories was expected, or the name of one that has a round")
    else:
        newest = latest_round(lake, name)
        found = {name: of_round(newest)} if newest is not None else {}
    if name is None and found:
        return list(found.values())
    if name not in found:
        known = ", ".join(sorted(found)) or "none"
        raise UsageError(
            f"category {name!r} was expected in the configuration, known are: {known}; give its file with --config"
        )
    return [found[name]]


def of_round(done: Round) -> Wanted:
    """What a round recorded of its category."""
    report = done.report
    return Wanted(round_report.category_of(report["category"]), embed.Config(**report["embed"]), int(report["folds"]))


def run_label(
    lake: Lake,
    wanted: Sequence[Wanted],
    ask: Ask,
    runtime: Runtime,
    reporter: Reporter,
    call: Callable[[str], Callable[..., Round]],
) -> list[dict[str, Any]]:
    """The flow without its Prefect decoration: each category's round as `told` tells it."""
    record = Record(lake.pool, lake.pool)
    runtime.on_progress = reporter.parts
    with hold(lake.home, record.id), runtime:
        try:
            with recorded(record, lake):
                return [_one(lake, one, ask, runtime, reporter, call) for one in wanted]
        finally:
            reporter.end()
            digests(lake.home).save()


def _one(
    lake: Lake,
    wanted: Wanted,
    ask: Ask,
    runtime: Runtime,
    reporter: Reporter,
    call: Callable[[str], Callable[..., Round]],
) -> dict[str, Any]:
    name = wanted.category.name
    reporter.begin(f"label-{name.replace('_', '-')}")  # as Prefect wants an artifact's key
    version = active.newest_version(lake)
    asked = dataclasses.replace(ask, folds=wanted.folds)
    done = call(name)(version, wanted.category, asked, wanted.embedding, runtime.map_parts)
    reporter.end(f"round {done.number}: {len(done.items):,} samples to label")
    reporter.summary(f"label-{name.replace('_', '-')}", round_report.markdown(done))
    return told(done)


def told(done: Round) -> dict[str, Any]:
    """A round for `--json`."""
    keys = ("category", "number", "version", "model", "threshold")
    return {**{key: getattr(done, key) for key in keys}, "items": len(done.items), "report": dict(done.report)}


def plainly(name: str) -> Callable[..., Round]:
    """A round made without a server, for tests and simulations."""
    return active.open_round


def round_task(name: str) -> Any:
    """A Prefect task named after its category."""
    return task(name=f"label {name}", cache_policy=NO_CACHE, persist_result=False)(active.open_round)
