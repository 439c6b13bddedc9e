"""The flow `curate`: gate in, run, gate out, record, for each of STAGES; every step leaves a version or nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.config import CurateConfig, check_declared, declared_digests, read_config
from flows.progress import Reporter
from flows.record import Record, code_revision, recorded
from flows.reference import digest_of as digest_of_reference
from flows.runtime import Runtime, decoders
from flows.stages import REVISIONS, STAGES, Stage, Work, audited
from flows.texts import failure, stage_line, stage_markdown
from tasks import embed, gates
from tasks.classifying.given import log_path
from tasks.errors import GateFailed, LakeError, PoolError, UsageError
from tasks.files import digests
from tasks.forgetting import forget
from tasks.labels.rounds import latest_round
from tasks.lake import Lake, Version, digest_of, open_lake
from tasks.lock import hold, now
from tasks.reading.pools import Shard, list_shards, shard_digest
from tasks.reading.tombstones import read_tombstones
from tasks.records import lineage


@flow(name="curate", log_prints=False)
def curate(
    pool: str,
    lake: str = "lake",
    name: str | None = None,
    config: str | None = None,
    dask: str | None = None,
    workers: int | None = None,
    fresh: bool = False,
) -> dict[str, Any]:
    """Curate a pool into a gated, recorded, published dataset version.

    pool: a folder, shard, glob or brace list. lake: the folder of all pools. name: the pool's name, by default the
    folder's. config: a TOML file. dask: a scheduler's address, by default this machine. workers: processes here. fresh:
    near-duplicates are decided anew, whatever the version before kept.
    """
    settings = read_config(Path(config) if config is not None else None)
    if fresh:
        settings = dataclasses.replace(settings, dedup=dataclasses.replace(settings.dedup, fresh=True))
    return run_curate(pool, Path(lake), name, settings, Session(Runtime(dask, workers), Reporter(), stage_task))


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
    source, shards = list_shards(pool)
    if root.absolute().is_relative_to(source.absolute()):
        raise UsageError(f"the lake {root} would lie inside the pool {source}; give another folder with --lake")
    lake = open_lake(root, name or pool_name(source), str(source.absolute()))
    record = Record(lake.pool, pool_name(source))
    with hold(lake.home, record.id) as dead, runtime:
        if dead:
            reporter.say(f"Run {dead} died; what it had finished is used.")
        try:
            with recorded(record, lake):
                forget.finish(lake)
                digested = [(shard, shard_digest(shard, lake.digest)) for shard in shards]
                return Run(lake, config, digested, session, record).curate()
        finally:
            reporter.end()
            digests(lake.home).save()
            lineage.write_events(lake)


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
        self.runtime.on_progress = self.reporter.parts
        self.previous = lake.latest()
        self.work = Work(config, shards, self.runtime.map_parts, decoders(self.runtime.workers), self.previous)
        self.version = Version(lake)
        self.inputs = inputs_key(lake, self.work)

    def curate(self) -> dict[str, Any]:
        latest = self.previous
        same = latest is not None and latest.manifest["inputs"] == self.inputs and not self._decides_anew(latest)
        if latest is not None and same and not latest.missing():
            self.record.status = "nothing new"
            self.reporter.say(f"Nothing new: version {latest.number} is what these inputs make.")
            return self.outcome(latest)
        for stage in STAGES:
            self.call(stage.name)(self, stage)
        return self.outcome(self.version)

    def _decides_anew(self, latest: Version) -> bool:
        return self.config.dedup.fresh and latest.summary["dedup"]["parent"] is not None

    def step(self, stage: Stage) -> None:
        """Run one stage on the version so far, audit what it made, judge it, commit it."""
        version = self.version
        lacking = version.missing()
        if lacking:
            raise LakeError(f"version {version.number} lacks {lacking[0]} and {len(lacking) - 1} more; run again")
        self.record.stage = stage.name
        self.record.write(self.lake)
        self.reporter.begin(stage.name)
        draft = stage.run(version, self.work)
        if stage.audited:
            draft = audited(draft, self.work)
        content = draft.content()
        gate = [dataclasses.asdict(result) for result in self.judged(stage, draft)]
        done = self.finished(digest_of(content), gate)
        if done is None:
            done = self.lake.commit(draft, content, self.facts(stage, version, gate))
        self.record.versions.append(done.number or 0)
        self.reporter.end(stage_line(stage.name, done))
        self.reporter.summary(stage.name, stage_markdown(stage.name, done))
        self.version = done

    def judged(self, stage: Stage, draft: Version) -> list[gates.Result]:
        results = gates.evaluate(draft, stage.name, self.config.gates)
        failed = [result for result in results if not result.passed]
        if failed:
            self.record.gate = [dataclasses.asdict(result) for result in failed]
            text = failure(stage.name, draft, failed)
            self.reporter.summary(stage.name, text)
            raise GateFailed(text)
        return results

    def finished(self, digest: str, gate: list[dict[str, Any]]) -> Version | None:
        """The same version, judged alike, if the latest run or one that did not end has committed it."""
        newest = self.previous.number or 0 if self.previous is not None else 0
        chain = set(ancestors(self.lake, self.previous))
        for number in reversed(self.lake.numbers()):
            if number > newest or number in chain:
                manifest = self.lake.manifest(number)
                if manifest["digest"] == digest and manifest["gate"] == gate:
                    return self.lake.version(number)
        return None

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
    """A Prefect task named after its stage. No retries: what fails here fails again, and Dask retries lost workers."""

    @task(name=name, task_run_name=name, cache_policy=NO_CACHE, persist_result=False)
    def run_stage(run: Run, stage: Stage) -> None:
        run.step(stage)

    return run_stage


def ancestors(lake: Lake, version: Version | None) -> list[int]:
    """The numbers of a version and of those that it was made from."""
    found: list[int] = []
    number = version.number if version is not None else None
    while number is not None:
        found.append(number)
        number = lake.manifest(number)["parent"]
    return found


def inputs_key(lake: Lake, work: Work) -> str:
    """Digest of all that a run depends on: shards, configuration, labels, weights, the stages' revisions."""
    config = dataclasses.asdict(work.config)
    config["embed"] = embed.settings(work.config.embed)
    reference = config["dedup"].pop("reference")
    config["dedup"].pop("fresh")  # it tells how to come to a decision, not of what
    labels: list[Any] = []
    for category in config["filter"]["category"]:
        given = (Path(category.pop("labels")), log_path(lake, category["name"]))
        labels.append([lake.digest(path) if path.is_file() else None for path in given])
        newest = latest_round(lake, category["name"])
        labels.append(newest.number if newest is not None else None)
    for path in (config["filter"].pop("overrides"), config["filter"]["blocklist"].pop("sha256")):
        labels.append(lake.digest(Path(path)) if path and Path(path).is_file() else None)
    labels += [declared_digests(work.config), read_tombstones(lake).marks]
    labels += [digest_of_reference(lake, reference)] if reference is not None else []
    for stage, names in (("audit", ("groups",)), ("reweight", ("groups", "targets"))):
        for name in names:
            config[stage].pop(name)
    weights = embed.embedder(lake, work.config.embed, "")[0]
    return lake.key(REVISIONS, config, labels, weights, [[shard.path, digest] for shard, digest in work.shards])
