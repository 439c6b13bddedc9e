"""Edits at graded strength: which ones the shipped encoder puts within a threshold of their source.

    python -m tests.benchmarks.planted_edits POOL… [--images 300] [--seed 0]

Pictures are drawn at random from the pools, each content once, edited, and encoded as `sluice curate` does. Recall is
the share of the edited pictures whose cosine to their source reaches a threshold, so that deduplication removes one of
the two. False merges: the share of the unedited pictures that reach the threshold with another one that differs from
them in more than LEAST pixels of 64 × 64 (looking/templates.py), and of these the share that differs in more than a
region.
"""

from __future__ import annotations

import argparse
import io
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from tasks import embed
from tasks.encoding.encoder import encoder, spec_of
from tasks.files import Digests
from tasks.looking.templates import LEAST, compare, square
from tasks.reading.images import ImageProblem, decode
from tasks.reading.pools import Raw, list_shards, read_shard

THRESHOLDS = (0.90, 0.95, 0.97, 0.98, 0.99, 0.995)
MAX_BYTES, MAX_PIXELS = 64 << 20, 16_000_000
Edit = Callable[[Image.Image], Image.Image]


def recompressed(image: Image.Image, quality: float) -> Image.Image:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=round(quality))
    return Image.open(out).convert("RGB")


def resized(image: Image.Image, scale: float) -> Image.Image:
    """Made smaller, and shown to the encoder as it is then."""
    return image.resize((max(round(image.width * scale), 1), max(round(image.height * scale), 1)))


def cropped(image: Image.Image, share: float) -> Image.Image:
    """That share of each side is cut away, a random part of it left and above."""
    draw = random.Random(image.width * 7919 + image.height)
    width, height = max(round(image.width * (1 - share)), 1), max(round(image.height * (1 - share)), 1)
    left, top = round(draw.random() * (image.width - width)), round(draw.random() * (image.height - height))
    return image.crop((left, top, left + width, top + height))


def padded(image: Image.Image, share: float) -> Image.Image:
    return ImageOps.expand(image, round(max(image.size) * share), "white")


def flipped(image: Image.Image, _: float) -> Image.Image:
    return ImageOps.mirror(image)


def turned(image: Image.Image, degrees: float) -> Image.Image:
    return image.rotate(degrees, Image.Resampling.BICUBIC, fillcolor="white")


def recoloured(image: Image.Image, degrees: float) -> Image.Image:
    """The hue is turned."""
    hue, saturation, value = image.convert("HSV").split()
    moved = hue.point(lambda level: (level + round(degrees / 360 * 256)) % 256)
    return Image.merge("HSV", (moved, saturation, value)).convert("RGB")


def dimmed(image: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(factor)


def overlaid(image: Image.Image, share: float) -> Image.Image:
    """A filled square on that share of the area, in the lower right corner."""
    made = image.copy()
    side = round((image.width * image.height * share) ** 0.5)
    ImageDraw.Draw(made).rectangle((image.width - side, image.height - side, image.width, image.height), "crimson")
    return made


def watermarked(image: Image.Image, opacity: float) -> Image.Image:
    """A word across the picture."""
    layer = Image.new("RGBA", image.size, (255, 255, 255, 0))
    font = ImageFont.load_default(size=max(image.width / 5, 6))
    place = (image.width / 2, image.height / 2)
    ImageDraw.Draw(layer).text(place, "SAMPLE", (90, 90, 90, round(255 * opacity)), font, anchor="mm")
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


EDITS: dict[str, tuple[Callable[[Image.Image, float], Image.Image], tuple[float, ...]]] = {
    "recompress, JPEG quality": (recompressed, (90, 60, 30, 10)),
    "resize, of a side": (resized, (0.75, 0.5, 0.25)),
    "crop, of a side": (cropped, (0.02, 0.05, 0.1, 0.2)),
    "pad, of a side": (padded, (0.02, 0.05, 0.1, 0.2)),
    "flip": (flipped, (1,)),
    "turn, degrees": (turned, (2, 5, 10)),
    "recolour, degrees of hue": (recoloured, (10, 30, 90)),
    "dim, factor": (dimmed, (0.9, 0.7, 0.5)),
    "overlay, of the area": (overlaid, (0.01, 0.04, 0.1, 0.25)),
    "watermark, opacity": (watermarked, (0.1, 0.3, 0.6)),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("pools", nargs="+")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    config = embed.Config()
    model = encoder(spec_of(config.model, config.pretrained, config.threads, Digests(Path("unused")).of))
    for pool in asked.pools:
        measure(pool, drawn(pool, asked.images, asked.seed), model)


def drawn(pool: str, count: int, seed: int) -> list[Image.Image]:
    """That many pictures of a pool at random, no two of the same bytes."""
    different = {raw.image for raw in raws(pool) if raw.image}
    found = []
    for data in random.Random(seed).sample(sorted(different), len(different)):
        try:
            found.append(decode(data, MAX_PIXELS))
        except ImageProblem:
            continue
        if len(found) == count:
            break
    return found


def raws(pool: str) -> Iterator[Raw]:
    for shard in list_shards(pool)[1]:
        yield from (item for item in read_shard(shard, MAX_BYTES) if isinstance(item, Raw))


def encoded(model: Any, images: list[Image.Image], edit: Edit) -> np.ndarray:
    """(n, d) unit norm, as they are stored."""
    blocks = [
        model.encode([model.prepare(edit(image)) for image in images[start : start + 64]])
        for start in range(0, len(images), 64)
    ]
    rows = np.concatenate(blocks).astype(np.float16).astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def measure(pool: str, images: list[Image.Image], model: Any) -> None:
    sources = encoded(model, images, lambda image: image)
    print(f"\n{Path(pool).name}: {len(images)} pictures; share of the edited ones within the threshold of their source")
    print(f"{'edit':28}{'strength':>9}" + "".join(f"{threshold:>8g}" for threshold in THRESHOLDS) + f"{'median':>9}")
    for name, (edit, strengths) in EDITS.items():
        for strength in strengths:
            cosine = (sources * encoded(model, images, partial(_applied, edit, strength))).sum(axis=1)
            cells = "".join(f"{(cosine >= threshold).mean():>8.1%}" for threshold in THRESHOLDS)
            print(f"{name:28}{strength:>9g}{cells}{np.median(cosine):>9.4f}", flush=True)
    for name, shares in zip(
        ("other pictures merged", "other beyond a region"), false_merges(sources, images), strict=True
    ):
        print(f"{name:37}" + "".join(f"{share:>8.1%}" for share in shares))


def _applied(edit: Callable[[Image.Image, float], Image.Image], strength: float, image: Image.Image) -> Image.Image:
    return edit(image, strength)


def false_merges(sources: np.ndarray, images: list[Image.Image]) -> tuple[list[float], list[float]]:
    """Of each threshold, the share of pictures near to a different one, and to one that differs beyond a region."""
    pictures = [square(image) for image in images]
    products = sources @ sources.T
    low, high = np.triu(products >= THRESHOLDS[0], k=1).nonzero()
    told = [compare(pictures[a], pictures[b]) for a, b in zip(low, high, strict=True)]
    different = np.array([found.changed >= LEAST for found in told], bool)
    beyond = np.array([found.changed >= LEAST and not found.local for found in told], bool)

    near = products[low, high]

    def shares(chosen: np.ndarray) -> list[float]:
        pairs = [(low[both], high[both]) for both in ((near >= threshold) & chosen for threshold in THRESHOLDS)]
        return [len(np.unique(np.concatenate(ends))) / len(images) for ends in pairs]

    return shares(different), shares(beyond)


if __name__ == "__main__":
    main()
