"""A small pool of drawn shapes with captions, deterministic, in each layout that ingest reads. Needs no font."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from tasks.files import digests
from tasks.lake import Lake, Version, open_lake
from tasks.reading.pools import Broken, Raw, Shard, list_shards, read_shard, shard_digest

COLOURS = {"red": (220, 30, 30), "green": (20, 150, 40), "blue": (30, 60, 220), "yellow": (240, 210, 20)}
SHAPES = ("circle", "square", "triangle", "ring")
COMPANIONS = ("a woman", "a man", "a tree", "a house", "nothing")
LIMIT = 256 << 20  # bytes of an image, as ingest's default

Sample = tuple[str, bytes, str]  # key, image, caption


def picture(number: int, size: int = 32) -> Image.Image:
    """One shape; numbers that differ modulo 4 × 4 × 5 differ in colour, shape or place."""
    image = Image.new("RGB", (size, size), (250, 250, 245))
    pen = ImageDraw.Draw(image)
    colour = list(COLOURS.values())[number % 4]
    inset = 3 + number // 16 % 5
    box = (inset, inset, size - inset - number % 3, size - inset - number % 3)
    shape = SHAPES[number // 4 % 4]
    if shape == "triangle":
        pen.polygon(((size // 2, box[1]), (box[0], box[3]), (box[2], box[3])), colour)
    elif shape == "square":
        pen.rectangle(box, colour)
    else:
        pen.ellipse(box, colour if shape == "circle" else None, colour, 3)
    return image


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def caption(number: int) -> str:
    return f"a {list(COLOURS)[number % 4]} {SHAPES[number // 4 % 4]} beside {COMPANIONS[number % 5]}"


def drawn(count: int, first: int = 0, kind: str = "PNG") -> list[Sample]:
    """`count` samples with img2dataset's keys."""
    return [(f"{n:09d}", encoded(picture(n), kind), caption(n)) for n in range(first, first + count)]


def member(tar: tarfile.TarFile, name: str, data: bytes = b"", **fields: Any) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    tar.addfile(info, io.BytesIO(data))


def write_members(path: Path, members: Iterable[tuple[str, bytes]], mode: Any = "w") -> Path:
    """A tar of these members, in order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for name, data in members:
            member(tar, name, data)
    return path


def members_of(samples: Iterable[Sample], ending: str = "png") -> list[tuple[str, bytes]]:
    """What img2dataset writes of samples: image, caption, facts."""
    out = []
    for key, image, text in samples:
        facts = json.dumps({"url": f"https://pool.example/{key}", "key": key}).encode()
        out += [(f"{key}.{ending}", image), (f"{key}.txt", text.encode()), (f"{key}.json", facts)]
    return out


def write_img2dataset(folder: Path, samples: Sequence[Sample], per_shard: int = 10, failed: int = 0) -> Path:
    """NNNNN.tar + .parquet + _stats.json; each Parquet has `failed` rows more than its tar has samples."""
    for start in range(0, len(samples), per_shard):
        name, here = f"{start // per_shard:05d}", samples[start : start + per_shard]
        write_members(folder / f"{name}.tar", members_of(here))
        rows: list[dict[str, Any]] = [
            {
                "key": key,
                "caption": text,
                "url": f"https://pool.example/{key}",
                "status": "success",
                "error_message": None,
            }
            for key, _, text in here
        ]
        lost = {"caption": "gone", "status": "failed_to_download", "error_message": "HTTP Error 404: Not Found"}
        rows += [{"key": f"{name}9{n:03d}", "url": f"https://pool.example/lost{n}", **lost} for n in range(failed)]
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
        stats = {"count": len(rows), "successes": len(here), "failed_to_download": failed, "failed_to_resize": 0}
        (folder / f"{name}_stats.json").write_text(json.dumps(stats))
    return folder


def write_huggingface(path: Path, samples: Sequence[Sample], rows_per_group: int = 1000, **columns: Any) -> Path:
    """A Parquet file with image {"bytes", "path"} and text, besides other columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [{"bytes": image, "path": f"{key}.png"} for key, image, _ in samples]
    table = pa.table({"image": images, "text": [text for _, _, text in samples], **columns})
    pq.write_table(table, path, row_group_size=rows_per_group)
    return path


def write_imagefolder(folder: Path, samples: Sequence[Sample], captions: str = "metadata") -> Path:
    """Images with metadata.jsonl ("metadata") or .txt ("txt") beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    for key, image, text in samples:
        (folder / f"{key}.png").write_bytes(image)
        if captions == "txt":
            (folder / f"{key}.txt").write_bytes(text.encode())
    if captions == "metadata":
        lines = [json.dumps({"file_name": f"{key}.png", "text": text}) for key, _, text in samples]
        (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def raws(source: Path | str, limit: int = LIMIT) -> tuple[list[Raw], list[str]]:
    """All raw samples of a pool, and why shards broke."""
    items = [item for shard in list_shards(str(source))[1] for item in read_shard(shard, limit)]
    return [i for i in items if isinstance(i, Raw)], [i.why for i in items if isinstance(i, Broken)]


def digested(source: Path | str, lake: Lake) -> list[tuple[Shard, str]]:
    """A pool's shards with their digests, as the flow hands them to ingest."""
    return [(shard, shard_digest(shard, digests(lake.home).of)) for shard in list_shards(str(source))[1]]


def empty_version(root: Path, source: Path | str = "pool") -> Version:
    return Version(open_lake(root, "small", str(source)))


def serial(function: Any, items: Sequence[Any]) -> list[Any]:
    return [function(item) for item in items]
