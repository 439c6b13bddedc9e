"""A draft becomes a version: its content has a digest, and its manifest gets the next free number.

The manifest comes last, and is linked to its name: a version is there whole or not at all, and of two that are
committed at once each gets a number of its own.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tasks.files import digests, write_new
from tasks.lake import Version
from tasks.lake_format import FORMAT
from tasks.manifests import manifest_path, numbers
from tasks.samples import count_verdicts
from tasks.storing import copying, lease


def content(draft: Version) -> dict[str, Any]:
    """What the digest covers: parts, column files by content, artifacts by key, configuration, verdict counts."""
    files = {
        f"{group}-{key}": {part.part: draft.lake.digest(draft.column_path(group, part)) for part in draft.parts}
        for group, key in sorted(draft.columns.items())
    }
    return {
        "stage": draft.stage,
        "parts": [dataclasses.asdict(part) for part in draft.parts],
        "columns": dict(draft.columns),
        "files": files,
        "artifacts": dict(draft.artifacts),
        "config": dict(draft.config),
        "counts": count_verdicts(draft.table("decision", ["verdict"])),
    }


def digest_of(covered: Mapping[str, Any]) -> str:
    """sha256 of a version's content."""
    return hashlib.sha256(json.dumps(covered, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def digest(version: Version) -> str:
    """The version's digest; of a draft, the one that it would get."""
    return str(version.manifest.get("digest") or digest_of(content(version)))


def commit(draft: Version, covered: Mapping[str, Any], facts: Mapping[str, Any]) -> Version:
    """Write the manifest and link it to the next free number: exclusive, whole or not at all.

    `covered` is the draft's content; `facts` are what the digest does not cover: parent, previous, run, gate, code,
    created_at, complete, inputs. LakeError: no room, no permission, or the lease of the lake was lost.
    """
    lake = draft.lake
    copying.ensure(lake.place(group, key, part.part) for group, key in draft.columns.items() for part in draft.parts)
    copying.ensure(lake.artifact_place(kind, key) for kind, key in draft.artifacts.items())
    lease.check(lake.home)
    while True:
        number = max(numbers(lake.home, now=True), default=0) + 1
        manifest = {"format": FORMAT, "version": number, "digest": digest_of(covered), **covered, **facts}
        manifest["summary"] = dict(draft.summary)
        if write_new(manifest_path(lake.home, number), json.dumps(manifest, indent=1, ensure_ascii=False)):
            digests(lake.home).save()
            return lake.version(number)
