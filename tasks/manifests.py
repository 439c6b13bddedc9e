"""The log of versions as it is stored: `versions/<number>.json`, written once.

Where a version's files were given up, `retired/<number>.json` beside it says when and by whom; its manifest stays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.errors import LakeError, UsageError
from tasks.storing import copying
from tasks.storing.addresses import is_copy


def manifest_path(home: Path, number: int) -> Path:
    return home / "versions" / f"{number:06d}.json"


def retired_path(home: Path, number: int) -> Path:
    return home / "retired" / f"{number:06d}.json"


def numbers(home: Path, now: bool = False) -> list[int]:
    """The versions of a pool's folder, oldest first; in a store those of two seconds ago, unless `now` is asked for."""
    folder = home / "versions"
    if is_copy(folder):
        names = copying.listing(folder, fresh=now)
        copying.fetch(folder / name for name in names)
        return sorted(int(name[:-5]) for name in names)
    return sorted(int(path.stem) for path in folder.glob("[0-9]*.json"))


def read(home: Path, number: int) -> dict[str, Any]:
    """What was committed; with `retired` (at, by) where the version's files were given up since.

    UsageError: there is no such version. LakeError: its manifest is damaged.
    """
    path, retired = manifest_path(home, number), retired_path(home, number)
    copying.fetch([path])
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return found | {"retired": json.loads(retired.read_text("utf-8"))} if retired.exists() else found
    except FileNotFoundError:
        known = ", ".join(map(str, numbers(home))) or "none"
        raise UsageError(f"there is no version {number} of pool {home.name!r}; there are: {known}") from None
    except json.JSONDecodeError as problem:
        raise LakeError(f"{path} is damaged ({problem}); restore it from a backup, or remove it") from None


def retirement(manifest: Mapping[str, Any]) -> str:
    """What to say of a version whose files were given up."""
    facts, number = manifest["retired"], manifest["version"]
    return (
        f"version {number} was retired at {facts['at']} by {facts['by']}: its files were given up, its manifest stays "
        f"(`sluice show {number}`); choose another one of `sluice versions`"
    )
