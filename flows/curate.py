"""The flow `curate`: gate in, run, gate out, record, for each of STAGES; every step leaves a version or nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.checks.secrets import without_secrets
from flows.checks.self_check import check_writable
from flows.config import CurateConfig, check_declared, read_config
from flows.inputs import committed_before, inputs_key, nothing_new, remember
from flows.runtime import Runtime, decoders
from flows.serving.attended import awaits_shards, completed, patiently, retries, skipped, unattended, unless_held
from flows.serving.parameters import DaskAddress, Place, PoolName, TomlFile, Workers
from flows.shown.gate_examples import examples
from flows.shown.links import check_links, links
from flows.shown.progress import Reporter
from flows.shown.record import Record, code_revision, recorded
from flows.shown.stage_markdown import failure_markdown, run_markdown, stage_markdown
from flows.shown.texts import failure, stage_line
from flows.stages import STAGES, Stage, Work, audited
from tasks import committing, gates
from tasks.errors import GateFailed, LakeError, PoolError, UsageError
from tasks.files import digests
from tasks.forgetting import forget
from tasks.keeping import migrations
from tasks.lake import Lake, Version, open_lake
from tasks.lock import hold, now
from tasks.reading.pools import Shard, list_shards, shard_digest
from tasks.records.collector import collector
from tasks.records.telling import Telling
from tasks.storing.addresses import is_copy, located, shown


@flow(name="curate", log_prints=False)
def curate(
    pool: Place,
    lake: Place = "lake",
    name: PoolName | None = None,
    config: TomlFile | None = None,
    dask: DaskAddress | None = None,
    workers: Workers | None = None,
    fresh: bool = False,
) -> dict[str, Any]:
    """Curate a pool into a gated, recorded, published dataset version. What is done already is not done again.

    Args:
        pool: The pool: a folder, a shard, a glob or a brace list; on this machine, or at s3://bucket/folder.
        lake: The folder of all pools.
        name: The pool's name; by default the folder's.
        config: A TOML file; by default all defaults.
        dask: A Dask scheduler's address, such as tls://host:8786; by default this machine.
        workers: Processes on this machine; by default one a core.
        fresh: Decide near-duplicates anew, whatever the version before kept.
    """
    settings = read_config(Path(config) if config is not None else None)
    if fresh:
        settings = dataclasses.replace(settings, dedup=dataclasses.replace(settings.dedup, fresh=True))
    if unattended() and awaits_shards(pool):
        return skipped(f"no shard has arrived in {pool} yet")
    session = Session(Runtime(dask, workers), Reporter(), stage_task)
    with without_secrets():
        return unless_held(lambda: told(run_curate(pool, Path(lake), name, settings, session)))


def told(outcome: dict[str, Any]) -> Any:
    """The outcome; where nobody waits for it, as the run's state."""
    if not unattended():
        return outcome
    facts = f"version {outcome['version']} of {outcome['pool']}, {outcome['counts']['kept']:,} samples kept"
    return skipped(f"nothing new: {facts}") if outcome["status"] == "nothing new" else completed(facts)


@dataclasses.dataclass(frozen=True)
class Session:
    """What a run works with: workers, a reporter, and how a stage is called (as a Prefect task, or plainly)."""

    runtime: Runtime
    reporter: Reporter
    call: Callable[[str], Callable[[Run, Stage], None]]


def run_curate(pool: str, root: Path, name: str | None, config: CurateConfig, session: Session) -> dict[str, Any]:
    """The flow without its Prefect decoration: pool, version, digest, status, counts, parts_worked."""
    runtime, reporter = session.runtime, session.reporter
    check_declared(config)
    check_links()
    receiver = collector()
    source, shards = list_shards(pool)
    root = located(root)
    if root.absolute().is_relative_to(source.absolute()):
        raise UsageError(f"the lake {shown(root)} would lie inside the pool {pool}; give another folder with --lake")
    check_writable(root / (name or pool_name(source)))
    lake = patiently(lambda: open_lake(root, name or pool_name(source), shown(source.absolute())), reporter.say)
    record = Record(lake.pool, pool_name(source))
    with ExitStack() as stack:
        dead = patiently(lambda: stack.enter_context(hold(lake.home, record.id)), reporter.say)
        stack.enter_context(runtime)
        if dead:
            reporter.say(f"Run {dead} died; what it had finished is used.")
        telling = Telling(lake, record.id, receiver, reporter.say)
        try:
            with recorded(record, lake):
                telling.tell()
                forget.finish(lake)
                for line in migrations.migrate(lake):
                    reporter.say(line)
                digested = [(shard, shard_digest(shard, lake.digest)) for shard in shards]
                run = Run(lake, config, digested, session, record)
                run.on_stage = telling.tell
                return run.curate()
        finally:
            reporter.close()
            digests(lake.home).save()
            telling.close()


def pool_name(source: Path) -> str:
    name = source.absolute().name
    if not name:
        raise PoolError("the pool needs a name: give one with --pool")
    return name


class Run:
    """One run of the flow: what its stages share."""

    def __init__(
        self,
        lake: Lake,
        config: CurateConfig,
        shards: list[tuple[Shard, str]],
        session: Session,
        record: Record,
    ) -> None:
        self.lake, self.config, self.record = lake, config, record
        self.runtime, self.reporter, self.call = session.runtime, session.reporter, session.call
        self.runtime.on_progress, self.runtime.on_result = self.reporter.parts, self.reporter.result
        self.previous = lake.latest()
        self.work = Work(config, shards, self.runtime.map_parts, decoders(self.runtime.workers), self.previous)
        shared = not is_copy(lake.home)  # a store has no scratch file that workers could map
        scratch = self.runtime.map_parts if shared else self.runtime.map_here
        self.work = dataclasses.replace(self.work, map_scratch=scratch)
        self.version = Version(lake)
        self.on_stage: Callable[[], None] = lambda: None  # as each stage begins
        self.inputs = inputs_key(lake, self.work)

    def curate(self) -> dict[str, Any]:
        latest = self.previous
        why = nothing_new(self.lake, latest, self.inputs, self.config.dedup.fresh)
        if latest is not None and why is not None:
            self.record.status = "nothing new"
            self.reporter.say(why)
            self.show_links(latest)
            return self.outcome(latest)
        for stage in STAGES:
            self.call(stage.name)(self, stage)
        if latest is not None and self.version.number == latest.number:
            remember(self.lake, latest, self.inputs)
        facts = f"{self.lake.pool}, version {self.version.number}"
        self.reporter.summary("run", run_markdown(self.version), f"What came of the run: {facts}")
        self.show_links(self.version)
        return self.outcome(self.version)

    def show_links(self, version: Version) -> None:
        for key, (address, text) in links(version).items():
            self.reporter.link(key, address, text)

    def step(self, stage: Stage) -> None:
        """Run one stage on the version so far, audit what it made, judge it, commit it."""
        version = self.version
        lacking = version.missing()
        if lacking:
            raise LakeError(f"version {version.number} lacks {lacking[0]} and {len(lacking) - 1} more; run again")
        self.record.stage = stage.name
        self.record.write(self.lake)
        self.on_stage()
        self.reporter.begin(stage.name, version.rows, len(version.parts))
        parts_done = self.runtime.parts_done
        draft = stage.run(version, self.work)
        if stage.audited:
            draft = audited(draft, self.work)
        content = committing.content(draft)
        gate = [dataclasses.asdict(result) for result in self.judged(stage, draft)]
        done = committed_before(self.lake, self.previous, committing.digest_of(content), gate)
        if done is None:
            done = committing.commit(draft, content, self.facts(stage, version, gate))
        self.record.versions.append(done.number or 0)
        took = self.record.took(stage.name, self.reporter.seconds(), self.runtime.parts_done - parts_done, done.rows)
        line = stage_line(stage.name, done)
        self.reporter.end(line)
        self.reporter.summary(stage.name, stage_markdown(stage.name, done, took), line)
        self.version = done

    def judged(self, stage: Stage, draft: Version) -> list[gates.Result]:
        results = gates.evaluate(draft, stage.name, self.config.gates)
        failed = [result for result in results if not result.passed]
        if failed:
            self.record.gate = [dataclasses.asdict(result) for result in failed]
            text = failure(stage.name, draft, failed)
            said = {bound.metric: bound.of for bound in self.config.gates.audit}
            shown = examples(draft, [result.metric for result in failed], said)
            what = f"Failed: {', '.join(result.metric for result in failed)}; no version was committed"
            self.reporter.summary(stage.name, failure_markdown(text, draft, results, shown), what)
            raise GateFailed(text)
        return results

    def facts(self, stage: Stage, parent: Version, gate: list[dict[str, Any]]) -> dict[str, Any]:
        complete = stage is STAGES[-1]
        return {
            "parent": parent.number,
            "previous": self.previous.number if self.previous is not None else None,
            "run": self.record.id,
            "gate": gate,
            "code": code_revision(),
            "created_at": now(),
            "complete": complete,
            "inputs": self.inputs if complete else None,
        }

    def outcome(self, version: Version) -> dict[str, Any]:
        counts = version.manifest["counts"]
        facts = {"pool": self.lake.pool, "version": version.number, "digest": version.manifest["digest"]}
        status = "nothing new" if self.record.status == "nothing new" else "done"
        return {**facts, "status": status, "counts": counts, "parts_worked": self.runtime.parts_done}


def plainly(name: str) -> Callable[[Run, Stage], None]:
    """A stage called as the function that it is: no server, for tests and benchmarks."""
    return Run.step


def stage_task(name: str) -> Any:
    """A Prefect task named after its stage. Dask retries the parts of lost workers."""

    @task(name=name, task_run_name=name, cache_policy=NO_CACHE, persist_result=False, **retries())
    def run_stage(run: Run, stage: Stage) -> None:
        with without_secrets():
            run.step(stage)

    return run_stage
