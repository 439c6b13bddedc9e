"""`sluice search`: generated images against the training images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import HERE, JsonOption, LakeOption, PoolOption, show, tell
from tasks.lake import find_pool

if TYPE_CHECKING:
    from rich.console import Group

SHOWN = 10  # images printed, the most similar ones


def search(
    images: Annotated[Path, typer.Argument(metavar="FILE|FOLDER", help="Generated images: a file, folder or shards.")],
    version: Annotated[str, typer.Option("--version", help="A version's number, a tag, or latest.")] = "latest",
    control: Annotated[Path | None, typer.Option(help="Held-out real images, to see what matches by chance.")] = None,
    above: Annotated[float, typer.Option(help="Cosine from which an image is a near-copy.")] = 0.95,
    neighbors: Annotated[int, typer.Option(help="Training images told of each image.")] = 5,
    index: Annotated[bool, typer.Option("--index", help="Search an index: faster, not exact.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="A folder for the picture sheet and the tables.")] = None,
    config: Annotated[Path | None, typer.Option(help="Curate's TOML file, where its encoder is a file.")] = None,
    lake: LakeOption = HERE,
    pool: PoolOption = None,
    as_json: JsonOption = False,
) -> None:
    """Which training images, kept or removed, generated images resemble, and how often they are near-copies.

    Example: sluice search ./generated --control ./held-out --out ./sheet
    """
    from flows.search import Asked, run_search, write
    from tasks.searching.search import Config

    found = find_pool(lake, pool).version(version)
    told = run_search(found, Asked(images, control, Config(above, neighbors, index)), config)
    if out is not None:
        tell("wrote " + ", ".join(map(str, write(told, found, images, out))))
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
    else:
        show(search_text(told))


def search_text(told: dict[str, Any]) -> Group:
    """The rates, then the most similar images with the training image nearest to each."""
    from rich.console import Group
    from rich.markup import escape

    from tasks.reporting.wording import short
    from tasks.searching import search_sheet

    lines = [search_sheet.headline(told), search_sheet.lead(told), *search_sheet.notes(told)]
    lines += [f"  not used: {short(one['name'], 100)}: {one['reason']}" for one in told["unusable"][:SHOWN]]
    near = [one for one in told["matches"] if one["nearest"]]
    near.sort(key=lambda one: -one["nearest"][0]["similarity"])
    return Group(*(escape(line) for line in lines), _table(near[:SHOWN]))


def _table(near: list[dict[str, Any]]) -> Any:
    from rich.markup import escape
    from rich.table import Table

    from tasks.reporting.wording import short

    table = Table("image", "cosine", "nearest", "verdict", "group", "let in", "caption", box=None, pad_edge=False)
    for one in near:
        first = one["nearest"][0]
        size = "" if first["group_size"] is None else str(first["group_size"])
        since = "never" if first["let_in"] is None else str(first["let_in"])
        table.add_row(
            escape(short(one["image"], 40)), f"{first['similarity']:.4f}", first["uid"], first["verdict"], size, since,
            escape(short(first["caption"], 40)),
        )  # fmt: skip
    return table
