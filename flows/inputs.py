"""What a run depends on, in one key, and whether it has been run already."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from flows.config import declared_digests
from flows.reference import digest_of as digest_of_reference
from flows.stages import REVISIONS, Work
from tasks import embed
from tasks.classifying.given import log_path
from tasks.keeping.tags import withdrawn
from tasks.labels.rounds import latest_round
from tasks.lake import Lake, Version
from tasks.reading.tombstones import read_tombstones


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


def nothing_new(lake: Lake, latest: Version | None, inputs: str, fresh: bool) -> str | None:
    """Why a run of these inputs has nothing to do; None where it has.

    The latest version is what they make; or one that `latest` was rolled back from is, which a run does not bring back.
    """
    if latest is None or (fresh and latest.summary["dedup"]["parent"] is not None):
        return None
    if latest.manifest["inputs"] == inputs and not latest.missing():
        return f"Nothing new: version {latest.number} is what these inputs make."
    back = [number for number in withdrawn(lake) if not fresh and lake.manifest(number)["inputs"] == inputs]
    if not back:
        return None
    return (
        f"Nothing new: these inputs make version {back[-1]}, and latest was rolled back from it to version "
        f"{latest.number}. `sluice rollback {back[-1]}` takes that back; other inputs make a newer version."
    )
