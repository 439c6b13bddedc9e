"""`sluice dedup-preview`: look at near-duplicates before a threshold is chosen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import HERE, JsonOption, LakeOption, PoolOption, show, tell
from tasks import references
from tasks.errors import UsageError
from tasks.lake import Lake, Version, find_pool, open_lake, pools
from tasks.storing.addresses import located

if TYPE_CHECKING:
    from rich.table import Table

    from tasks.looking.preview import Preview


def dedup_preview(
    what: Annotated[
        str, typer.Argument(metavar="POOL_OR_VERSION", help="A pool's name, a version's number, a tag, or latest.")
    ],
    version: Annotated[
        str | None, typer.Option("--version", help="Of the pool; default the newest that has embeddings.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The page to write.")] = None,
    lake: LakeOption = HERE,
    pool: PoolOption = None,
    as_json: JsonOption = False,
) -> None:
    """How similar images are, pairs to look at, and what each threshold of deduplication would remove.

    Example: sluice dedup-preview latest --out preview.html
    """
    from tasks.files import write_text
    from tasks.looking import preview, preview_page, template_families

    chosen = _chosen(lake, what, pool, version)
    seen = preview.look(chosen)
    found = preview.preview(chosen, seen)
    families = template_families.find(chosen, seen) if out is not None or as_json else None
    if out is not None and families is not None:
        write_text(out, preview_page.page(chosen, found, template_families.strips(chosen, families)))
        tell(f"wrote {out}")
    if as_json and families is not None:
        facts = {**preview.facts(found), "families": template_families.facts(chosen, families)}
        print(json.dumps(facts, ensure_ascii=False))
        return
    show(removal_table(found))
    tell(remark(found, out is not None))


def _chosen(root: Path, what: str, pool: str | None, version: str | None) -> Version:
    """The version that the argument names, itself or as a pool; where a pool and a tag share a name, as the pool."""
    names = pools(located(root))
    if what.isdigit() or what == "latest" or what not in names:
        known = ", ".join(names) or "none"
        if version is not None:
            raise UsageError(f"--version goes with a pool's name, one of {known}; {what!r} was found")
        home = find_pool(root, pool)
        if not (what.isdigit() or what in references.current(home.home) or what == "latest"):
            raise UsageError(
                f"a pool, one of {known}, or a version's number, a tag or latest was expected, not {what!r}"
            )
        return home.version(what).whole()
    if pool is not None and pool != what:
        raise UsageError(f"one pool was expected, {what!r} and --pool {pool!r} were found; give one of them")
    home = open_lake(root, what)
    return (home.version(version) if version is not None else _newest(home)).whole()


def _newest(home: Lake) -> Version:
    for number in reversed(home.numbers()):
        if "embedding" in home.manifest(number)["columns"]:
            return home.version(number)
    raise UsageError(f"pool {home.pool!r} has no version with embeddings yet; run `sluice curate` first")


def removal_table(found: Preview) -> Table:
    """One line a threshold; the version's own is marked."""
    from rich.table import Table

    from tasks.reporting.wording import count, share

    table = Table(box=None, pad_edge=False)
    for head in ("threshold", "removed", "of what the filter kept", "groups", "with one as similar"):
        table.add_column(head, justify="right")
    for row in found.removals:
        mark = " ●" if row.threshold == found.chosen else "  "
        part = share(row.share) if row.share is not None else f"at most {share(row.at_most)}"
        near = sum(band.samples for band in found.bands if band.low >= row.threshold)
        similar = share(near / found.asked if found.asked else None)
        table.add_row(f"{row.threshold:g}{mark}", count(row.removed), part, count(row.groups), similar)
    return table


def remark(found: Preview, written: bool) -> str:
    """What was compared, and where to look next."""
    basis = "all with all" if found.exact else f"{found.asked:,} drawn in proportion to the parts, each with all"
    known = f"{found.usable:,} usable samples of {found.pool}, version {found.version}; compared: {basis}"
    return known if written else f"{known}; --out preview.html shows pairs to look at"


def register(app: Any) -> None:
    """Add the command to `sluice`."""
    app.command("dedup-preview")(dedup_preview)
