"""The way of the data: STAGES, in order. Reading this tuple is reading the architecture."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from flows.config import CurateConfig
from flows.reference import read_reference
from tasks import audit, dedup, embed, filter, ingest, publish, reweight
from tasks.duplicates.clustering import parallel
from tasks.groups.term_groups import read_groups
from tasks.lake import MapParts, Version
from tasks.reading.pools import Shard
from tasks.weights.targets import read_targets


@dataclasses.dataclass(frozen=True)
class Work:
    """What a stage may use besides the version: its configuration, the pool's shards, the workers."""

    config: CurateConfig
    shards: list[tuple[Shard, str]]  # each with its content's sha256
    map_parts: MapParts
    decoders: int = 1  # threads that decode beside one worker's forward pass
    previous: Version | None = None  # the latest complete version
    map_scratch: MapParts = parallel  # the same where workers see files that the run lays beside the columns


@dataclasses.dataclass(frozen=True)
class Stage:
    """One step that makes a version; `audited` where it changes which samples are in, or how much they weigh."""

    name: str
    run: Callable[[Version, Work], Version]
    audited: bool = True


def _ingest(version: Version, work: Work) -> Version:
    """Ingest and embed: the shard is read once for both."""
    samples = ingest.samples_key(version.lake, work.config.ingest)
    key, sink = embed.embedder(version.lake, work.config.embed, samples)
    draft = ingest.run(version, work.config.ingest, work.map_parts, work.shards, sink, work.decoders)
    draft = embed.run(draft, work.config.embed, work.map_parts, work.shards, key, sink, work.decoders)
    return dataclasses.replace(draft, stage="ingest")


def _simple(module: Any, name: str) -> Callable[[Version, Work], Version]:
    def run(version: Version, work: Work) -> Version:
        draft: Version = module.run(version, getattr(work.config, name), work.map_parts)
        return draft

    return run


def _dedup(version: Version, work: Work) -> Version:
    """Dedup: what the previous version kept stays, and only what is new is compared."""
    reference = read_reference(version, work.config)
    return dedup.run(version, work.config.dedup, work.map_scratch, work.previous, reference)


def _reweight(version: Version, work: Work) -> Version:
    """Reweight: what it restores or aims at may be named by the audit's term groups."""
    config = work.config.reweight
    named = dataclasses.replace(config, groups=config.groups or work.config.audit.groups)
    return reweight.run(version, named, work.map_parts)


STAGES: Final = (
    Stage("ingest", _ingest),
    Stage("filter", _simple(filter, "filter")),
    Stage("dedup", _dedup),
    Stage("reweight", _reweight),
    Stage("publish", _simple(publish, "publish"), audited=False),
)

REVISIONS: Final = {
    module.__name__: module.REVISION for module in (ingest, embed, filter, dedup, reweight, publish, audit)
}


def audit_config(config: CurateConfig) -> audit.Config:
    """The audit's settings with the shares that targets declare of its groups: whoever is below them is told apart."""
    if not config.audit.groups or not config.reweight.targets:
        return config.audit
    groups = {group.name for group in read_groups(Path(config.audit.groups)).groups}
    margins = read_targets(Path(config.reweight.targets)).margins
    shares = {name: share for name, share in margins.items() if name in groups}
    return dataclasses.replace(config.audit, target_share={**shares, **config.audit.target_share})


def audited(version: Version, work: Work) -> Version:
    """The version with its audit; the stage stays the one that made it."""
    draft: Version = audit.run(version, audit_config(work.config), work.map_parts)
    return dataclasses.replace(draft, stage=version.stage)
