"""Lakes of an older format are read as they are, and brought to the present one before they are first written to.

Each step has the format that it starts from, the small files that it rewrites, and a function. These files are copied
to backup/format-<n>/ first; the function writes the format's number last, so that a killed step is done again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tasks.files import write_aside, write_json
from tasks.lake import Lake
from tasks.lake_format import FORMAT, release
from tasks.lock import hold

POOL: Final = "pool.json"


class Migration(NamedTuple):
    """One step to the next format."""

    since: int  # the format that it starts from
    what: str
    rewrites: tuple[str, ...]  # files within the pool's folder
    step: Callable[[Lake], None]


def _to_names(lake: Lake) -> None:
    """1 → 2: an older release would overlook references/ and retired/, so from now on it is refused."""
    write_json(lake.home / POOL, {**facts_of(lake), "format": 2, "release": release()})


MIGRATIONS: Final = (Migration(1, "tags, rollback, retired versions", (POOL,), _to_names),)


def facts_of(lake: Lake) -> dict[str, Any]:
    """format, release (from format 2 on), pool, source."""
    facts: dict[str, Any] = json.loads((lake.home / POOL).read_text("utf-8"))
    return facts


def ensure(lake: Lake) -> list[str]:
    """Bring the pool's folder to the present format; a sentence for each step. LakeHeld where a run holds the lake."""
    if facts_of(lake)["format"] == FORMAT:
        return []
    with hold(lake.home, "migration"):
        return migrate(lake)


def migrate(lake: Lake) -> list[str]:
    """As `ensure`, for whoever holds the lock."""
    said = []
    for one in MIGRATIONS:
        if facts_of(lake)["format"] == one.since:
            backup = lake.home / "backup" / f"format-{one.since}"
            _back_up(lake, one)
            one.step(lake)
            said.append(
                f"The pool's folder is of format {one.since + 1} now ({one.what}), and older releases refuse it; what "
                f"was rewritten is kept in {backup}."
            )
    return said


def _back_up(lake: Lake, migration: Migration) -> None:
    """Copies of what the step rewrites; those of a step that was killed stay, since they are of before it."""
    for name in migration.rewrites:
        copy = lake.home / "backup" / f"format-{migration.since}" / name
        if not copy.exists():
            with write_aside(copy) as aside:
                shutil.copyfile(lake.home / name, aside)
