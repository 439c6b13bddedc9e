"""The flow `label`: one round of active learning a run. Labels that have arrived train; the next queue is written; end.

Nothing waits for people: who labels does so in the dashboard or in files, and the next run takes it in.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.checks.secrets import without_secrets
from flows.checks.self_check import check_writable
from flows.config import CurateConfig, read_config
from flows.runtime import Runtime
from flows.serving.attended import patiently, retries, skipped, unless_held
from flows.serving.parameters import Arms, DaskAddress, Labels, Name, Place, PoolName, TomlFile, Workers
from flows.shown.progress import Reporter
from flows.shown.record import Record, recorded
from tasks import embed
from tasks.classifying.category_spec import Category
from tasks.classifying.given import SEED, all_standings
from tasks.errors import UsageError
from tasks.files import digests
from tasks.labelling import active, round_report
from tasks.labelling.active import Ask
from tasks.labelling.desk import newest_rounds
from tasks.labels.rounds import Round, latest_round
from tasks.lake import Lake, MapParts, Version, find_pool
from tasks.lock import hold
from tasks.storing.copying import refuse


@flow(name="label", log_prints=False)
def label(
    category: Name | None = None,
    lake: Place = "lake",
    pool: PoolName | None = None,
    config: TomlFile | None = None,
    labels: Labels = 200,
    certify: Labels = 0,
    seeds: Labels = 0,
    arms: Arms = "ours",
    dask: DaskAddress | None = None,
    workers: Workers | None = None,
    when: Literal["now", "answered"] = "now",
) -> list[dict[str, Any]]:
    """Take in what was labelled, retrain, and write what to label next.

    Args:
        category: One of the configuration's categories; by default all.
        lake: The folder of all pools.
        pool: The pool's name, where the lake holds several.
        config: The TOML file of curate; by default what the latest rounds recorded.
        labels: Samples for the arms to pick.
        certify: Samples to draw at random for a certificate.
        seeds: Known positives to show again.
        arms: Ours; article or random for comparison.
        dask: A Dask scheduler's address; by default this machine.
        workers: Processes on this machine; by default one a core.
        when: Now, or (for a schedule) only once the newest round is answered.
    """
    home = find_pool(Path(lake), pool)
    ask = Ask(labels=labels, certify=certify, seeds=seeds, arms=arms)
    settings = read_config(Path(config)) if config is not None else None
    every = when == "answered" and settings is None and category is None
    wanted = of_rounds(home) if every else chosen(home, settings, category)
    waiting = {one.name: waits_for(home, one.category) for one in wanted} if when == "answered" else {}
    wanted = [one for one in wanted if not waiting.get(one.name)]
    if when == "answered" and not wanted:
        return skipped("; ".join(filter(None, waiting.values())) or "no category has a round yet")
    session = (Runtime(dask, workers), Reporter())
    with without_secrets():
        return unless_held(lambda: run_label(home, wanted, ask, *session, round_task))


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A category, and what embeds its prompts."""

    category: Category
    embedding: embed.Config
    folds: int = 5

    @property
    def name(self) -> str:
        return self.category.name


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


def of_rounds(lake: Lake) -> list[Wanted]:
    """The categories that have a round."""
    newest = [latest_round(lake, name) for name in newest_rounds(lake)]
    return [of_round(one) for one in newest if one is not None]


def waits_for(lake: Lake, category: Category) -> str | None:
    """Why a schedule does not open the category's next round yet; None where it may.

    A certification is never followed unasked: the next round would train on its labels, and spend them.
    """
    newest = latest_round(lake, category.name)
    if newest is None:
        return None
    if newest.certification is not None:
        return f"{category.name}: round {newest.number} certifies, and is followed by hand only"
    said = all_standings(lake, category)
    asked = {item.uid for item in newest.items if item.arm != SEED}
    left = sum(uid not in said for uid in asked)
    return f"{category.name}: {left:,} of the {len(asked):,} samples of round {newest.number} wait" if left else None


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
    refuse(lake.home, "labelling")
    check_writable(lake.home)
    record = Record(lake.pool, lake.pool)
    runtime.on_progress = reporter.parts
    with ExitStack() as stack:
        patiently(lambda: stack.enter_context(hold(lake.home, record.id)), reporter.say)
        stack.enter_context(runtime)
        try:
            with recorded(record, lake):
                return [_one(lake, one, ask, runtime, reporter, call) for one in wanted]
        finally:
            reporter.close()
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

    @task(name=f"label {name}", cache_policy=NO_CACHE, persist_result=False, **retries())
    def open_round(
        version: Version, category: Category, ask: Ask, embedding: embed.Config, map_parts: MapParts
    ) -> Round:
        with without_secrets():
            return active.open_round(version, category, ask, embedding, map_parts)

    return open_round
