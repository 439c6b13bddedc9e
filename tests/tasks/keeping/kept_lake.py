"""A lake made by hand, run by run, as small as it can be: for what is kept, named and given up."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tasks import committing
from tasks.files import write_json, write_text
from tasks.labels.rounds import Item, Round, write_round
from tasks.lake import Lake, Part, Version, open_lake
from tests.tasks.small_version import decision_table

DAY = 86_400


def new_lake(root: Path) -> Lake:
    return open_lake(root, "kept", "made by hand")


def add_run(lake: Lake, parts: Sequence[str], setting: int = 0, complete: bool = True, days: float = 2.0) -> list[int]:
    """Numbers of the versions of a run of two stages, `days` ago; one that is not complete stopped after the first."""
    at = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="seconds")
    named = tuple(Part(part * 16, f"{part}.tar", part * 64, 1) for part in parts)
    draft = Version(lake, "ingest", named).derive("ingest", columns={"samples": lake.key("samples")})
    draft = _decided(draft, lake.key("ingest", parts))
    for part in named:
        write_text(draft.column_path("samples", part), f"samples of {part.part}")
    facts: dict[str, Any] = {"gate": [], "run": "run", "code": "", "created_at": at, "complete": False, "inputs": None}
    previous = lake.latest()
    before = {"parent": None, "previous": previous.number if previous is not None else None}
    first = committing.commit(draft, committing.content(draft), {**facts, **before})
    if not complete:
        return [first.number or 0]
    draft = _decided(first.derive("publish"), lake.key("publish", parts, setting))
    key = lake.key("published", setting, parts)
    if not lake.has_artifact("published", key):
        with lake.new_artifact("published", key) as folder:
            (folder / "report.html").write_text(f"report {setting} of {parts}", "utf-8")
    draft = draft.derive("publish", artifacts={"published": key, "tokens": _tokens(draft)})
    more = {"parent": first.number, "complete": True, "inputs": lake.key(parts, setting)}
    last = committing.commit(draft, committing.content(draft), {**facts, **before, **more})
    return [first.number or 0, last.number or 0]


def _decided(draft: Version, key: str) -> Version:
    draft.write_decision(decision_table(["kept"] * draft.rows), key)
    return draft.derive(draft.stage, columns={"decision": key})


def _tokens(draft: Version) -> str:
    """As tasks/words/tokens.py: one folder of all versions with these samples, one file a part."""
    key = draft.lake.key("tokens")
    for part in draft.parts:
        write_text(draft.lake.artifact_place("tokens", key) / f"{part.part}.parquet", f"tokens of {part.part}")
    return key


def add_round(lake: Lake, number: int, version: int, certification: dict[str, Any] | None = None) -> None:
    """A labelling round of a category `weapon` on a version, by a model of its own."""
    parts = tuple(part.part for part in lake.version(version).parts)
    items = (Item("0" * 32, "uncertain", None),)
    facts = ("weapon", number, "2026-01-01T00:00:00+00:00", version, f"{number:016x}", 0.5, "", items)
    write_round(lake, Round(*facts, certification, parts, {}))


def age(lake: Lake, days: float = 3.0) -> None:
    """Make every file and folder look as if it had last been changed that long ago."""
    then = time.time() - days * DAY
    for path in lake.home.rglob("*"):
        os.utime(path, (then, then))


def left_behind(lake: Lake) -> Path:
    """A column file and an artifact that no version names; returns the artifact."""
    write_text(lake.home / "columns" / f"decision-{lake.key('gone')}" / "f.parquet", "of a run that stopped")
    folder = lake.home / "artifacts" / f"search-{lake.key('old index')}"
    write_json(folder / "index.json", {"vectors": [0] * 100})
    return folder


def files(lake: Lake) -> dict[str, bytes]:
    """Every file of the pool's folder but the lock, which is emptied."""
    found = sorted(path for path in lake.home.rglob("*") if path.is_file() and path.name != "lock")
    return {path.relative_to(lake.home).as_posix(): path.read_bytes() for path in found}


def files_of(version: Version) -> dict[str, bytes]:
    """Every file that a version needs: its columns', its artifacts', of tokens those of its parts."""
    names = {part.part for part in version.parts}
    paths = [version.column_path(group, part) for group in version.columns for part in version.parts]
    for kind in version.artifacts:
        inside = version.artifact(kind).rglob("*")
        paths += [path for path in inside if kind != "tokens" or path.stem in names]
    return {str(path): path.read_bytes() for path in paths}
