"""pool.json: what a pool's folder says of itself: format, release, the pool's name and source, an id of its own."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Final

from tasks.errors import UsageError
from tasks.files import write_json
from tasks.lake_format import FORMAT, check_format, release
from tasks.storing.addresses import shown

_NAME: Final = re.compile(r"[\w][\w.-]*")


def check_name(pool: str) -> None:
    """UsageError where a pool may not be called so."""
    if not _NAME.fullmatch(pool):
        raise UsageError(f"a pool's name is letters, digits, '.', '_' and '-', not {pool!r}; give one with --pool")


def ensure(home: Path, source: str | None) -> None:
    """Check a pool's pool.json; it is written where there is none and a source is given.

    UsageError: no such pool, or the name has another source. LakeError: a format that this release cannot read.
    """
    path, where, pool = home / "pool.json", shown(home.parent), home.name
    if not path.exists():
        if source is None:
            raise UsageError(f"there is no pool {pool!r} in the lake {where}; run `sluice curate POOL --lake {where}`")
        write_json(
            path, {"format": FORMAT, "release": release(), "pool": pool, "source": source, "id": uuid.uuid4().hex}
        )
        return
    facts = json.loads(path.read_text("utf-8"))
    check_format(path, facts)
    if source is not None and facts["source"] != source:
        raise UsageError(
            f"the lake {where} has a pool {pool!r} from {facts['source']}; this one is from {source}: "
            "give it a name of its own with --pool"
        )
