"""Garbage collection: old versions are retired, and what no version needs is removed; looked at first, then done.

Held by the lake's lock, so never what a running job reads. Whoever reads without it (a dashboard, an export, an audit)
keeps what it has open, and has a day (GRACE) before files that a retired version needed go.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tasks.forgetting import forget
from tasks.keeping import garbage, migrations
from tasks.keeping.contents import remove
from tasks.keeping.garbage import GRACE, Garbage
from tasks.keeping.retiring import Age, retirable, retire
from tasks.lake import Lake
from tasks.lock import hold


class Collection(NamedTuple):
    """What is, or was, to do."""

    retire: list[int]  # versions
    remove: list[Garbage]
    later: list[Garbage]  # goes with a collection a day from now


def look(lake: Lake, age: Age, grace: timedelta = GRACE) -> Collection:
    """What a collection would do; nothing is written."""
    moment, numbers = datetime.now(UTC), retirable(lake, age)
    aside = garbage.written_aside(lake, (moment - GRACE).timestamp())
    every = _of(lake, numbers, moment, timedelta())
    soon = _of(lake, [] if grace else numbers, moment, grace)
    paths = {one.path for one in soon}
    return Collection(numbers, [*aside, *soon], [one for one in every if one.path not in paths])


def collect(lake: Lake, age: Age, grace: timedelta = GRACE) -> Collection:
    """Retire and remove. LakeHeld: a run holds the lake; LakeError: a file cannot be removed."""
    aside = garbage.written_aside(lake, (datetime.now(UTC) - GRACE).timestamp())
    with hold(lake.home, "gc"):
        forget.finish(lake)
        migrations.migrate(lake)
        retired = retire(lake, retirable(lake, age))
        moment = datetime.now(UTC)
        found = _of(lake, [], moment, grace)
        later = _of(lake, [], moment, timedelta()) if grace else []
        remove(one.path for one in found)
    paths = {one.path for one in found}
    return Collection(retired, [*aside, *found], [one for one in later if one.path not in paths])


def _of(lake: Lake, retiring: list[int], moment: datetime, grace: timedelta) -> list[Garbage]:
    stays = garbage.needed(lake, garbage.standing(lake, retiring, moment - grace))
    return garbage.garbage(lake, stays, garbage.settled_until(lake, moment, grace))
