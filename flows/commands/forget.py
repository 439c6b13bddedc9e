"""`sluice forget` and `sluice verify`: deletion requests, and what they and time did to a version's files."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from flows.commands.options import HERE, JsonOption, LakeOption, PoolOption, show, tell
from tasks.errors import LakeError, UsageError
from tasks.lake import Lake, find_pool
from tasks.manifests import retirement

SHOWN = 20  # files or samples named


def forget(
    uids: Annotated[list[str], typer.Argument(metavar="UID…", help="Samples to forget.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    lake: LakeOption = HERE,
    pool: PoolOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve a deletion request: caption, vector and pictures leave every file of the lake, and the sample is refused
    when it comes again. The pool's own shards are never touched.

    Example: sluice forget 031f0bb60e75c57deeb8b23df90726b2 --yes
    """
    from tasks.forgetting.forget import find, finish
    from tasks.forgetting.forget import forget as serve
    from tasks.lock import hold
    from tasks.storing.copying import refuse

    home = find_pool(lake, pool)
    refuse(home.home, "forgetting")
    with hold(home.home, "forget"):
        if (left := finish(home)) is not None:
            tell(f"finished request {left.request}, which was interrupted")
    tell(_what_goes(home, uids, [sample.uid for sample in find(home, uids)]))
    if not yes and not (sys.stdin.isatty() and typer.confirm("Forget? This cannot be undone")):
        raise UsageError("nothing was forgotten; answer yes, or say --yes where nobody can be asked")
    done = serve(home, uids)
    if as_json:
        print(json.dumps(done._asdict()))
        return
    names = [f"{uid} → {name}" for uid, name in done.samples.items()]
    numbers = ", ".join(map(str, done.versions)) or "none"
    show("\n".join([f"forgotten, request {done.request}; annotated versions: {numbers}", *names]))
    tell("The pool's shards still hold the images: delete them there too. What was exported before is not reached.")
    tell("Run `sluice curate` again: near-duplicates of what was forgotten may come back in its place.")


def _what_goes(lake: Lake, uids: list[str], found: list[str]) -> str:
    """The samples that a request takes, copies included, and others that look like them."""
    from tasks.forgetting.forget import near_duplicates
    from tasks.reporting.wording import plural, short

    samples = sorted(set(found))
    copies = sorted(set(samples) - {uid.lower() for uid in uids})
    lines = [f"{plural(len(samples), 'sample')} to forget."]
    if copies:
        lines.append(f"  of the same image bytes, so they go too: {', '.join(copies[:SHOWN])}")
    latest = lake.latest()
    near = near_duplicates(latest, samples) if latest is not None else []
    if near:
        lines.append("  near-duplicates that stay unless they are named too:")
        lines += [f"    {one['uid']}  {short(one['caption'], 60)}" for one in near]
    return "\n".join(lines)


def verify(
    version: Annotated[str, typer.Argument(metavar="V", help="A version's number, a tag, or latest.")] = "latest",
    lake: LakeOption = HERE,
    pool: PoolOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a version's files and compare them with their digests: whole, changed by a deletion request, or corrupt.

    Example: sluice verify latest
    """
    from tasks.forgetting.annotated import check

    asked = find_pool(lake, pool).version(version)
    if "retired" in asked.manifest:
        raise LakeError(retirement(asked.manifest))
    found = check(asked)
    if as_json:
        print(json.dumps(found._asdict()))
    else:
        lines = [f"{len(found.whole):,} files are as they were committed"]
        lines += [f"{len(found.changed):,} were changed by a deletion request"] if found.changed else []
        for what, names in (("corrupt", found.corrupt), ("missing", found.missing)):
            lines += [f"{what}: {name}" for name in names[:SHOWN]]
            lines += [f"and {len(names) - SHOWN:,} more {what}"] if len(names) > SHOWN else []
        show("\n".join(lines))
    if found.corrupt or found.missing:
        raise typer.Exit(1)
