"""The flow `search`: generated images against all training images of a version, beside held-out real ones.

It reads the lake and writes nothing to it, but for an index where one is asked for and there is none.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from prefect import flow

from flows.checks.secrets import without_secrets
from flows.config import read_config
from flows.serving.parameters import Cosine, Name, Neighbors, Place, PoolName, TomlFile
from flows.shown.progress import Reporter
from tasks import embed
from tasks.embed import Embedder
from tasks.files import digests, write_json, write_table, write_text
from tasks.lake import Version, find_pool
from tasks.searching import search as searching
from tasks.searching import search_sheet
from tasks.searching.search_images import Images, embedder_of, read_images


@flow(name="search", log_prints=False)
def search(
    images: Place,
    lake: Place = "lake",
    pool: PoolName | None = None,
    version: Name = "latest",
    control: Place | None = None,
    above: Cosine = 0.95,
    neighbors: Neighbors = 5,
    index: bool = False,
    out: Place | None = None,
    config: TomlFile | None = None,
) -> dict[str, Any]:
    """How many generated images are near-copies of a training image, and of which.

    Args:
        images: The generated images: a file, a folder or shards.
        lake: The folder of all pools.
        pool: The pool's name, where the lake holds several.
        version: The version that is searched.
        control: Held-out real images, to see what matches by chance: a file, a folder or shards.
        above: The cosine from which an image is a near-copy.
        neighbors: Training images that are told of each image.
        index: Search an index, which is faster and not exact.
        out: A folder for the picture sheet and the tables.
        config: The TOML file of curate, where its encoder is a file.
    """
    with without_secrets():
        found = find_pool(Path(lake), pool).version(version)
        asked = Asked(Path(images), Path(control) if control else None, searching.Config(above, neighbors, index))
        told = run_search(found, asked, Path(config) if config else None)
        if out is not None:
            write(told, found, asked.images, Path(out))
        Reporter().summary("search", markdown(told))
        return told


@dataclasses.dataclass(frozen=True)
class Asked:
    """What is searched for, and how."""

    images: Path
    control: Path | None
    config: searching.Config


def run_search(version: Version, asked: Asked, config: Path | None = None) -> dict[str, Any]:
    """The flow without its Prefect decoration, as JSON-able facts.

    pool, version, encoder, above, method, remark, recall, checked      how it was searched
    given, searched, unusable [{name, reason}]                          the images
    rates [{similarity, images, above, rate, upper}], by_verdict        near-copies
    control     None, or the same of the control: given, searched, unusable, rates, not_held_out
    matches     [{image, nearest: [{similarity, uid, caption, verdict, stage, reason, group_size, let_in, …}]}]

    LakeError: a file of the version is gone. EncoderError: see embedder_of. PoolError: no images.
    """
    version.whole()
    sink, doubt = embedder_of(version, _embedding(config))
    images = read_images(asked.images, version, sink)
    found = searching.find(version, images.vectors, asked.config)
    near = searching.matches(version, images, found.nearest)
    digests(version.lake.home).save()
    model = version.summary["embed"]["model"] if doubt is None else f"{Path(sink.spec.model).stem}; {doubt}"
    return {
        "pool": version.lake.pool,
        "version": version.number,
        "encoder": model,
        "above": asked.config.above,
        **{name: getattr(found, name) for name in ("method", "remark", "recall", "checked")},
        **_about(images),
        "rates": searching.told_rates(found, asked.config),
        "by_verdict": searching.by_verdict(near, asked.config.above),
        "control": None if asked.control is None else _control(version, asked, sink),
        "matches": [{"image": name, "nearest": one} for name, one in zip(images.names, near, strict=True)],
    }


def _embedding(config: Path | None) -> embed.Config | None:
    return read_config(config).embed if config is not None else None


def _about(images: Images) -> dict[str, Any]:
    unusable = [one._asdict() for one in images.unusable]
    return {"given": images.given, "searched": len(images.names), "unusable": unusable}


def _control(version: Version, asked: Asked, sink: Embedder) -> dict[str, Any]:
    """The rates of held-out real images, searched in the same way."""
    assert asked.control is not None
    images = read_images(asked.control, version, sink)
    apart = searching.held_out(version, images)
    found = searching.find(version, images.vectors[apart], asked.config)
    rates = searching.told_rates(found, asked.config)
    return {**_about(images), "not_held_out": int((~apart).sum()), "rates": rates}


def write(told: dict[str, Any], version: Version, source: Path, out: Path) -> list[Path]:
    """search.html (the picture sheet), search.json (all that is told), matches.parquet (a row an image and rank)."""
    import pyarrow as pa

    rows = [
        {"image": one["image"], "rank": rank, **near}
        for one in told["matches"]
        for rank, near in enumerate(one["nearest"], 1)
    ]
    paths = [out / name for name in ("search.html", "search.json", "matches.parquet")]
    write_text(paths[0], search_sheet.render(told, version, source))
    write_json(paths[1], told)
    write_table(paths[2], pa.Table.from_pylist(rows))
    return paths


def markdown(told: dict[str, Any]) -> str:
    """The rates for the Prefect UI."""
    lines = [f"**{search_sheet.headline(told)}**", "", search_sheet.lead(told), ""]
    return "\n".join([*lines, *(f"- {note}" for note in search_sheet.notes(told))])
