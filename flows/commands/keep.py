"""`sluice tag`, `sluice rollback` and `sluice gc`: what versions are called, and what none of them needs any more."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import HERE, JsonOption, LakeOption, PoolOption, in_bytes, show, tell
from tasks.errors import UsageError
from tasks.lake import Lake, find_pool

if TYPE_CHECKING:
    from tasks.keeping.garbage import Garbage

SHOWN = 20  # files named


def tag(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The tag; without one, all are listed.")] = None,
    version: Annotated[str | None, typer.Argument(metavar="V", help="A version's number, a tag, or latest.")] = None,
    delete: Annotated[str | None, typer.Option("--delete", metavar="NAME", help="Take this tag away.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Move a tag that is on another version.")] = False,
    lake: LakeOption = HERE,
    pool: PoolOption = None,
    as_json: JsonOption = False,
) -> None:
    """Name a version, so that it can be asked for by the name, and is never given up; or list the tags.

    Example: sluice tag trained-on-march 12
    """
    from tasks.keeping import tags

    home = find_pool(lake, pool)
    if name is None and version is None and delete is None:
        _list(home, as_json)
    elif delete is not None and name is None:
        _brought_up(home)
        was = tags.delete(home, delete)
        show(f"the tag {was.name} was taken away")
    elif delete is None and name is not None and version is not None:
        _brought_up(home)
        given = tags.tag(home, name, version, force)
        show(f"{given.name} is version {given.version}")
    else:
        raise UsageError("`sluice tag NAME V`, `sluice tag --delete NAME` or `sluice tag` was expected")


def _list(home: Lake, as_json: bool) -> None:
    """Tags, and `latest` where it was rolled back, by name."""
    from rich.markup import escape
    from rich.table import Table

    from tasks import references

    latest, known = home.latest(), references.current(home.home)
    back = known.get(references.LATEST)
    if back is not None and (latest is None or latest.number != back.version):
        del known[references.LATEST]  # a newer run has ended since
    if as_json:
        print(json.dumps([entry._asdict() for _, entry in sorted(known.items())]))
        return
    table = Table("tag", "version", "by", "at", box=None, pad_edge=False)
    for name, entry in sorted(known.items()):
        told = f"{name} (rolled back)" if name == references.LATEST else name
        table.add_row(told, str(entry.version), escape(entry.by), entry.at[:16].replace("T", " "))
    show(table if known else "there are no tags; `sluice tag NAME V` gives one")


def rollback(
    version: Annotated[str, typer.Argument(metavar="V", help="The version that is to be latest.")],
    lake: LakeOption = HERE,
    pool: PoolOption = None,
) -> None:
    """Make an earlier complete version `latest` again, until a run ends with a newer one.

    A run whose inputs make a version that was rolled back from makes nothing, and says so. Rolling back to that version
    takes the step back.

    Example: sluice rollback 10
    """
    from tasks.keeping import tags

    home = find_pool(lake, pool)
    _brought_up(home)
    before = home.version("latest").number
    given = tags.roll_back(home, version)
    show(f"latest is version {given.version}; it was version {before}, and `sluice rollback {before}` takes this back")
    if left := tags.withdrawn(home):
        tell(f"rolled back from: {', '.join(map(str, left))}; the next run is compared with version {given.version}")


def gc(
    keep: Annotated[int | None, typer.Option(help="Retire all but the newest N complete versions.")] = None,
    before: Annotated[
        str | None, typer.Option(metavar="DATE", help="Retire versions made before, as 2026-01-31.")
    ] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Do it; otherwise it is only told.")] = False,
    at_once: Annotated[bool, typer.Option("--now", help="Wait no day for those who may be reading.")] = False,
    lake: LakeOption = HERE,
    pool: PoolOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what no version needs any more: column files, artifacts, caches, what killed runs left; --delete removes it.

    With --keep or --before (with both: what both allow) old versions are retired first: their manifests stay, their
    files go a day later. Never `latest`, a tagged version, what labelling needs, or what these were made from.

    Example: sluice gc --keep 5
    """
    from tasks.keeping import collecting
    from tasks.keeping.garbage import GRACE
    from tasks.keeping.retiring import Age

    if keep is not None and keep < 1:
        raise UsageError(f"--keep: at least 1 was expected, {keep} was found")
    home, age = find_pool(lake, pool), Age(keep, _moment(before))
    grace = timedelta() if at_once else GRACE
    if delete:
        _brought_up(home)
    found = collecting.collect(home, age, grace) if delete else collecting.look(home, age, grace)
    if as_json:
        print(json.dumps(_facts(found, delete)))
    else:
        show("\n".join(_told(home, found, delete)))


def _facts(found: Any, done: bool) -> dict[str, Any]:
    """For --json."""
    sums = {name: {"files": len(items), "bytes": _bytes(items)} for name, items in _named(found).items()}
    return {"deleted": done, "retired" if done else "retire": found.retire, **sums}


def _named(found: Any) -> dict[str, Sequence[Garbage]]:
    return {"remove": found.remove, "later": found.later}


def _told(home: Lake, found: Any, done: bool) -> list[str]:
    numbers = ", ".join(map(str, found.retire)) or "none"
    lines = [f"{'retired' if done else 'would be retired'}: {numbers}"] if found.retire else []
    head = "removed" if done else "would be removed"
    lines.append(f"{head}: {len(found.remove):,} files or folders, {in_bytes(_bytes(found.remove))}")
    kinds = Counter(one.kind for one in found.remove)
    lines += [
        f"  {kind:9} {n:8,}  {in_bytes(_bytes([g for g in found.remove if g.kind == kind]))}"
        for kind, n in sorted(kinds.items())
    ]
    names = [one.path.relative_to(home.home).as_posix() for one in found.remove]
    if not done:
        lines += [f"    {name}" for name in names[:SHOWN]]
        lines += [f"    and {len(names) - SHOWN:,} more"] if len(names) > SHOWN else []
    if found.later:
        lines.append(
            f"a day from now: {len(found.later):,} more, {in_bytes(_bytes(found.later))} (--now does not wait)"
        )
    return lines if done else [*lines, "nothing was changed; --delete does it"]


def _bytes(found: Sequence[Garbage]) -> int:
    return sum(one.bytes for one in found)


def _moment(text: str | None) -> datetime | None:
    """A date or time, of UTC where it names no zone. UsageError where it is none."""
    try:
        found = datetime.fromisoformat(text) if text is not None else None
    except ValueError:
        raise UsageError(f"--before: a date such as 2026-01-31 was expected, {text!r} was found") from None
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found


def _brought_up(home: Lake) -> None:
    """Bring the lake to the present format, and say what that did."""
    from tasks.keeping.migrations import ensure

    for line in ensure(home):
        tell(line)


def register(app: Any) -> None:
    """Add the commands to `sluice`."""
    for command in (tag, rollback, gc):
        app.command()(command)
