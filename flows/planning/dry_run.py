"""What a run of `curate` would do: the parts that each stage would work on, why, and how long it may take.

Nothing is written. Shards whose digest is not remembered are not read: they count as new, also where only their name
is. What a run finds out on the way (labels among new samples, a gate that fails) is not foreseen.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.markup import escape

from flows.commands.options import in_bytes
from flows.config import CurateConfig, check_declared
from flows.curate import pool_name
from flows.inputs import inputs_key, nothing_new
from flows.planning.planned import Plan, Step, steps
from flows.reference import digest_of as digest_of_reference
from flows.stages import Work, audit_config
from tasks import embed, filter, ingest
from tasks.classifying.given import given
from tasks.files import digests
from tasks.groups.term_groups import read_groups
from tasks.keeping import rates
from tasks.lake import Lake, Part, Version, open_lake
from tasks.reading.pools import Shard, list_shards, shard_digest
from tasks.reporting.wording import plural
from tasks.storing.addresses import located, shown
from tasks.storing.copying import refresh
from tasks.weights.declarations import declare

if TYPE_CHECKING:
    from rich.table import Table


class DryRun(NamedTuple):
    """What a run would do."""

    pool: str
    nothing_new: str | None  # why there is nothing to do
    steps: list[Step]
    runs: int  # earlier runs that the speed was measured in
    free: int  # bytes of the lake's disk


def dry_run(pool: str, root: Path, name: str | None, config: CurateConfig) -> DryRun:
    """What `run_curate` would do. Raises what it raises before it begins."""
    check_declared(config)
    source, shards = list_shards(pool)
    lake = _opened(located(root), name or pool_name(source), source)
    latest, digested = lake.latest(), [(shard, _remembered(lake, shard)) for shard in shards]
    unread = sum(digest is None for _, digest in digested)
    named = [(shard, digest or lake.key("not read yet", shard.path) * 4) for shard, digest in digested]
    why = None
    if latest is not None and not unread:
        inputs = inputs_key(lake, Work(config, named, lambda function, items: []))
        why = nothing_new(lake, latest, inputs, config.dedup.fresh)
    plan = _plan(lake, config, named, latest, unread)
    known = rates.rates(lake)
    todo = steps(plan, known) if why is None else []
    return DryRun(lake.pool, why, todo, max((rate.runs for rate in known.values()), default=0), _free(lake.home))


def _opened(root: Path, name: str, source: Path) -> Lake:
    """The pool's folder; one that is not there yet stays so."""
    refresh(root / name)
    return open_lake(root, name, shown(source.absolute())) if (root / name / "pool.json").exists() else Lake(root, name)


def _remembered(lake: Lake, shard: Shard) -> str | None:
    """The digest of a shard whose files have not changed since they were read; None of another."""

    def remembered(path: Path) -> str:
        found = digests(lake.home).remembered(path)
        if found is None:
            raise LookupError
        return found

    try:
        return shard_digest(shard, remembered)
    except LookupError:
        return None


def _plan(
    lake: Lake, config: CurateConfig, shards: list[tuple[Shard, str]], latest: Version | None, unread: int
) -> Plan:
    samples = ingest.samples_key(lake, config.ingest)
    columns = {"samples": samples, "embedding": embed.embedder(lake, config.embed, samples)[0]}
    parts = tuple(Part(part, shard.path, digest, 0) for part, (shard, digest) in ingest.named_parts(shards).items())
    settings: dict[str, Any] = json.loads(json.dumps(_settings(lake, config)))
    return Plan(config, Version(lake, parts=parts, columns=columns), latest, settings, unread)


def _settings(lake: Lake, config: CurateConfig) -> dict[str, Any]:
    """What the stages would record of the configuration, files by their digests."""
    plain = {name: dataclasses.asdict(getattr(config, name)) for name in ("ingest", "publish")}
    labels = {category.name: given(lake, category) for category in config.filter.category}
    reference = digest_of_reference(lake, config.dedup.reference) if config.dedup.reference is not None else None
    near = {key: value for key, value in dataclasses.asdict(config.dedup).items() if key != "fresh"}
    audit, weights = audit_config(config), config.reweight
    declared = declare(weights.restore, config.audit.keywords, weights.targets, weights.groups or config.audit.groups)
    return {
        **plain,
        "embed": embed.settings(config.embed),
        "filter": filter.settings(config.filter, labels, filter.read_beside(config.filter)),
        "dedup": {**near, "reference": reference},
        "audit": {
            **dataclasses.asdict(audit),
            "groups": read_groups(Path(audit.groups)).digest if audit.groups else "",
        },
        "reweight": {**dataclasses.asdict(weights), "restore": list(declared.restore), **declared.digests()},
    }


def _free(home: Path) -> int:
    """Bytes that are free where the pool's folder is, or will be."""
    there = home.absolute()
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free


def facts(found: DryRun) -> dict[str, Any]:
    """For --json."""
    return {**found._asdict(), "steps": [step._asdict() for step in found.steps]}


def table(found: DryRun) -> Table:
    """One line a stage, and why it is not what is there already."""
    from rich.table import Table

    heads = ("stage", "parts to do", "reused", "time", "to write", "why")
    drawn = Table(*heads, box=None, pad_edge=False)
    for step in found.steps:
        why = "\n".join(escape(line) for line in step.why) or "nothing has changed for it"
        drawn.add_row(step.stage, f"{step.parts:,}", f"{step.reused:,}", _time(step.seconds), _written(step), why)
    return drawn


def remark(found: DryRun) -> str:
    """The sum, what it rests on, and what only a run finds out."""
    times = [step.seconds for step in found.steps if step.seconds is not None]
    whole = len(times) == len(found.steps)
    low, high = (sum(time[end] for time in times) for end in (0, 1))
    known = [step.bytes for step in found.steps if step.bytes is not None]
    amount = f"About {in_bytes(sum(known))}" if known else "It is not known yet how much there is"
    took = f"{_time((low, high))} in all, as in {plural(found.runs, 'earlier run')} of this pool" if whole else ""
    lines = [took or "No rate is known yet for every stage: the runs of this pool measure it."]
    lines.append(f"{amount} to write; {in_bytes(found.free)} are free. Nothing was written.")
    lines.append("Whether gates pass, and what labels among new samples change, only a run finds out.")
    return "\n".join(lines)


def _time(seconds: tuple[float, float] | None) -> str:
    if seconds is None:
        return "not known"
    low, high = (_spoken(value) for value in seconds)
    return low if low == high else f"{low} to {high}"


def _spoken(seconds: float) -> str:
    """4 s, 12 min, 3.5 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _written(step: Step) -> str:
    return "not known" if step.bytes is None else in_bytes(step.bytes)
