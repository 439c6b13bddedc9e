"""Pools of any size for tests and benchmarks: drawn shapes with captions, some of them near-copies, in tar shards."""

from __future__ import annotations

import csv
import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from tasks.reading.pools import Shard, list_shards

SHAPES = ("circle", "square", "triangle", "cross")
COLOURS = {
    "red": (210, 40, 40),
    "green": (40, 160, 60),
    "blue": (50, 80, 200),
    "yellow": (230, 200, 40),
    "black": (20, 20, 20),
}
PEOPLE = ("woman", "man", "child", "nobody")
COPIES = 0.1  # share of images that are another's near-copy


def draw(seed: int, side: int) -> tuple[Image.Image, str, bool]:
    """An image, its caption, and whether it belongs to the benchmark's category (a red cross)."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    words = []
    for _ in range(2):
        shape, colour = str(rng.choice(SHAPES)), str(rng.choice(list(COLOURS)))
        x, y, r = rng.uniform(0.2, 0.8) * side, rng.uniform(0.2, 0.8) * side, rng.uniform(0.1, 0.3) * side
        if shape == "circle":
            pen.ellipse((x - r, y - r, x + r, y + r), COLOURS[colour])
        elif shape == "square":
            pen.rectangle((x - r, y - r, x + r, y + r), COLOURS[colour])
        elif shape == "triangle":
            pen.polygon(((x, y - r), (x - r, y + r), (x + r, y + r)), COLOURS[colour])
        else:
            pen.line((x - r, y - r, x + r, y + r), COLOURS[colour], int(r / 2))
            pen.line((x - r, y + r, x + r, y - r), COLOURS[colour], int(r / 2))
        words.append(f"a {colour} {shape}")
    harmful = "a red cross" in words
    person = str(rng.choice(PEOPLE, p=(0.4, 0.2, 0.2, 0.2) if harmful else (0.2, 0.3, 0.2, 0.3)))
    return image, f"{words[0]} and {words[1]} drawn for {person}, plate {seed}", harmful


def draw_pool(folder: Path, images: int, *, shard_rows: int, side: int = 64, form: str = "png") -> list[Shard]:
    """Write the shards and labels.csv (category redcross, every fourth sample); returns the shards."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    with (folder / "labels.csv").open("w", newline="") as file:
        labels = csv.writer(file)
        labels.writerow(("uid", "category", "label"))
        for first in range(0, images, shard_rows):
            with tarfile.open(folder / f"{first // shard_rows:05d}.tar", "w") as tar:
                for row in range(first, min(first + shard_rows, images)):
                    copied = row > 0 and rng.random() < COPIES
                    image, caption, harmful = draw(int(rng.integers(row)) if copied else row, side)
                    uid = f"{row:032x}"
                    key = f"{first // shard_rows:05d}{row - first:04d}"
                    _add(tar, f"{key}.{form}", _encoded(image, form, 80 if copied else 92))
                    _add(tar, f"{key}.txt", caption.encode())
                    _add(tar, f"{key}.json", f'{{"uid": "{uid}"}}'.encode())
                    if row % 4 == 0:
                        labels.writerow((uid, "redcross", int(harmful)))
    return list_shards(str(folder))[1]


def _encoded(image: Image.Image, form: str, quality: int) -> bytes:
    out = io.BytesIO()
    if form == "jpg":
        image.save(out, "JPEG", quality=quality)
    else:
        image.save(out, "PNG", compress_level=1)
    return out.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
