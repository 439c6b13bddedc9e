"""What a run depends on, in one key, and whether it has been run already."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.config import declared_digests
from flows.reference import digest_of as digest_of_reference
from flows.stages import REVISIONS, Work
from tasks import embed
from tasks.classifying.given import log_path
from tasks.files import write_json
from tasks.keeping.tags import withdrawn
from tasks.labels.rounds import latest_round
from tasks.lake import Lake, Version
from tasks.reading.tombstones import read_tombstones
from tasks.storing.copying import CACHE


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
    if inputs in (latest.manifest["inputs"], _remembered(lake).get(str(latest.number))) and not latest.missing():
        return f"Nothing new: version {latest.number} is what these inputs make."
    back = [number for number in withdrawn(lake) if not fresh and lake.manifest(number)["inputs"] == inputs]
    if not back:
        return None
    return (
        f"Nothing new: these inputs make version {back[-1]}, and latest was rolled back from it to version "
        f"{latest.number}. `sluice rollback {back[-1]}` takes that back; other inputs make a newer version."
    )


def remember(lake: Lake, version: Version, inputs: str) -> None:
    """Note that these inputs make a version that others had made before, so that the next run need not find it out."""
    write_json(_notes(lake), {str(version.number): inputs})


def _notes(lake: Lake) -> Path:
    return lake.home / CACHE / "inputs.json"


def _remembered(lake: Lake) -> dict[str, str]:
    """The latest version's number → the newest inputs that made it again."""
    try:
        found = json.loads(_notes(lake).read_text("utf-8"))
    except (OSError, ValueError):
        return {}  # a cache: what is lost is found out again
    return found if isinstance(found, dict) else {}


def committed_before(
    lake: Lake, latest: Version | None, digest: str, gate: Sequence[Mapping[str, Any]]
) -> Version | None:
    """The same version, judged alike, if the latest run or one that did not end has committed it."""
    newest = latest.number or 0 if latest is not None else 0
    chain = set(_ancestors(lake, latest))
    for number in reversed(lake.numbers()):
        if number > newest or number in chain:
            manifest = lake.manifest(number)
            given_up = "retired" in manifest or (manifest["complete"] and number > newest)  # rolled back from
            if manifest["digest"] == digest and manifest["gate"] == gate and not given_up:
                return lake.version(number)
    return None


def _ancestors(lake: Lake, version: Version | None) -> Iterator[int]:
    """The numbers of a version and of those that it was made from."""
    number = version.number if version is not None else None
    while number is not None:
        yield number
        number = lake.manifest(number)["parent"]
