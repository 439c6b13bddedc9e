"""The lake's format number: which this release writes, and which it can read.

1   versions, columns, artifacts, runs, labels
2   references/ and retired/: an older release would take another version for `latest`, and look for files given up
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from tasks.errors import LakeError

FORMAT: Final = 2  # what is written
OLDEST: Final = 1  # that can be read; keeping/migrations.py brings it to FORMAT when it is written to


def check_format(path: Path, facts: Mapping[str, Any]) -> None:
    """LakeError where a pool's facts are of a format that this release cannot read, with the release that can."""
    found = facts.get("format")
    if isinstance(found, int) and OLDEST <= found <= FORMAT:
        return
    other = f"sluice {facts['release']} or newer" if "release" in facts else "the release that wrote it"
    raise LakeError(f"{path}: format {FORMAT} was expected, {found} was found; this is sluice {release()}, use {other}")


def release() -> str:
    """The release of this code."""
    return metadata.version("sluice")
