"""A small pool of drawn images, and versions made of it by hand: what reports, exports and tables are tested on."""

from __future__ import annotations

import io
import json
import math
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image, ImageDraw

from tasks import ingest
from tasks.files import digests
from tasks.lake import Version, open_lake
from tasks.pools import list_shards, shard_digest

COLOURS = ("crimson", "seagreen", "royalblue", "orange", "purple", "teal")


def clock(hour: int, size: int = 48, kind: str = "PNG") -> bytes:
    """A clock face: differs from the next hour's in one hand."""
    image = Image.new("RGB", (size, size), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((3, 3, size - 4, size - 4), outline="black", width=3)
    angle = math.radians(30 * hour - 90)
    centre = size / 2
    draw.line((centre, centre, centre, 10), fill="black", width=2)
    tip = (centre + 12 * math.cos(angle), centre + 12 * math.sin(angle))
    draw.line((centre, centre, *tip), fill="black", width=4)
    return encoded(image, kind)


def shape(number: int, size: int = 48, kind: str = "JPEG") -> bytes:
    """A coloured square or circle, of another size for each number."""
    image = Image.new("RGB", (size, size), "white")
    draw = ImageDraw.Draw(image)
    inset = 4 + number % 13
    box = (inset, inset, size - inset, size - inset)
    (draw.rectangle if number % 2 else draw.ellipse)(box, fill=COLOURS[number % len(COLOURS)])
    return encoded(image, kind)


def encoded(image: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def samples(count: int) -> list[tuple[str, bytes, str]]:
    """`count` samples (ending, image, caption): every third a clock face."""
    out = []
    for i in range(count):
        if i % 3 == 0:
            out.append(("png", clock(i // 3), f"clock face, {i // 3 % 12 + 1} o'clock"))
        else:
            out.append(("jpg", shape(i), f"{COLOURS[i % len(COLOURS)]} {'square' if i % 2 else 'circle'}, woman"))
    return out


def member(tar: tarfile.TarFile, name: str, data: bytes, **fields: Any) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    tar.addfile(info, io.BytesIO(data))


def write_tars(folder: Path, items: Sequence[tuple[str, bytes, str]], per_shard: int = 12) -> Path:
    """img2dataset's layout: 00000.tar with key.jpg|png, key.txt, key.json."""
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(0, math.ceil(len(items) / per_shard)):
        with tarfile.open(folder / f"{shard:05d}.tar", "w") as tar:
            for i, (ending, image, caption) in enumerate(items[shard * per_shard : (shard + 1) * per_shard]):
                key = f"{shard:05d}{i:04d}"
                member(tar, f"{key}.{ending}", image, mtime=1_700_000_000 + i, uname="crawler")
                member(tar, f"{key}.txt", caption.encode())
                member(tar, f"{key}.json", json.dumps({"url": f"https://example.org/{key}"}).encode())
    return folder


def serial(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    return [function(item) for item in items]


def ingested(lake: Path, source: Path | str, pool: str = "small") -> Version:
    """The draft that ingest makes of a pool, without embeddings."""
    home = open_lake(lake, pool, str(source))
    _, shards = list_shards(str(source))
    found = [(shard, shard_digest(shard, digests(home.home).of)) for shard in shards]
    return ingest.run(Version(home), ingest.Config(), serial, found, None, 1)


def decided(version: Version, changes: dict[int, dict[str, Any]], default: dict[str, Any] | None = None) -> Version:
    """The draft with some rows' decisions changed: row → column → value; `default` for the other kept rows."""
    rows = version.table("decision").to_pylist()
    for i, row in enumerate(rows):
        if i in changes:
            row.update(changes[i])
        elif default and row["verdict"] == "kept":
            row.update(default)
    table = pa.Table.from_pylist(rows, schema=version.table("decision").schema)
    key = version.lake.key("by hand", repr(sorted(changes.items())), repr(default), version.columns["decision"])
    version.write_decision(table, key)
    return version.derive(version.stage, columns={"decision": key})
