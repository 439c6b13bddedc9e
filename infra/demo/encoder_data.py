"""Image-caption pairs for the demo encoder: read from pools in img2dataset's layout, grouped, split without leakage."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from infra.demo.names import fully_qualified

HELD_OUT_PERCENT = 12  # of the groups
LARGE_GROUP = 60  # samples; larger groups are trained on: held out, one of them would decide every figure
NUMBERS = re.compile(r"[\d_]+")


@dataclass(frozen=True)
class Pairs:
    images: np.ndarray  # (n, side, side, 3) uint8
    captions: list[str]
    folders: list[str]  # the sidecar's `folder`, "" where there is none
    group: np.ndarray  # (n,) int64: samples of one group are on one side of the split
    same: np.ndarray  # (n,) int64: samples with one image or one caption share a number
    held_out: np.ndarray  # (n,) bool
    drawn: np.ndarray  # (n,) bool: an emoji
    urls: list[str]  # of an emoji, in one spelling whatever the pool; "" of others

    def __len__(self) -> int:
        return len(self.captions)


def read_pools(pools: Sequence[Path], side: int) -> Pairs:
    """All samples of these pools, decoded at `side` × `side` pixels (shortest side, centre crop, as open_clip does)."""
    images, captions, folders, names, digests, urls = [], [], [], [], [], []
    of_url = {spelling(one.url): one.group for one in fully_qualified()}
    for sidecar, data in _samples(pools):
        images.append(_square(data, side))
        captions.append(sidecar["caption"])
        folders.append(sidecar.get("folder", ""))
        digests.append(hashlib.sha256(images[-1].tobytes()).hexdigest())
        urls.append(spelling(sidecar["url"]))
        names.append(of_url.get(urls[-1]) or title(captions[-1]))
    group = _merge([names, digests, captions])
    return Pairs(
        images=np.stack(images),
        captions=captions,
        folders=folders,
        group=group,
        same=_merge([digests, captions]),
        held_out=_held_out(group, names),
        drawn=np.array([url != "" for url in urls]),
        urls=urls,
    )


def title(caption: str) -> str:
    """A clip-art caption's title without its numbers: "Star 17. spirograph, star" → "star"."""
    return NUMBERS.sub(" ", caption.split(". ")[0]).strip().lower() or caption


def spelling(url: str) -> str:
    """ "emoji/2764" of "emoji/2764-fe0f" and of "emoji/google/2764-fe0f.png"; "" of what is no emoji."""
    if not url.startswith("emoji/"):
        return ""
    codes = url.rsplit("/", 1)[-1].removesuffix(".png").lower().split("-")
    return "emoji/" + "-".join(f"{int(code, 16):04x}" for code in codes if code != "fe0f")


def _samples(pools: Iterable[Path]) -> Iterator[tuple[dict[str, Any], bytes]]:
    for pool in pools:
        for shard in sorted(pool.glob("*.tar")):
            found: dict[str, dict[str, bytes]] = {}
            with tarfile.open(shard) as tar:
                for member in tar:
                    file = tar.extractfile(member)
                    if file is not None:
                        key, _, extension = member.name.partition(".")
                        found.setdefault(key, {})[extension] = file.read()
            for parts in found.values():
                image = parts.get("png") or parts["jpg"]
                yield json.loads(parts["json"]), image


def _square(data: bytes, side: int) -> np.ndarray:
    image: Image.Image = Image.open(io.BytesIO(data))
    if image.mode != "RGB":
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    scale = side / min(image.size)
    width, height = (max(side, round(length * scale)) for length in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - side) // 2, (height - side) // 2
    return np.asarray(image.crop((left, top, left + side, top + side)))


def _merge(keys: Sequence[Sequence[str]]) -> np.ndarray:
    """(n,) the smallest index that a sample is linked to by sharing a value of any key."""
    parent = list(range(len(keys[0])))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for values in keys:
        first: dict[str, int] = {}
        for index, value in enumerate(values):
            one, other = root(first.setdefault(value, index)), root(index)
            parent[max(one, other)] = min(one, other)
    return np.array([root(index) for index in range(len(parent))])


def _held_out(group: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """By a hash of the group's first name, so that the split does not depend on what else is read."""
    digests = {index: hashlib.sha256(names[index].encode()).digest() for index in set(group.tolist())}
    percent = {index: int.from_bytes(digest[:4]) % 100 for index, digest in digests.items()}
    small: np.ndarray = np.bincount(group)[group] <= LARGE_GROUP
    chosen: np.ndarray = small & np.array([percent[index] < HELD_OUT_PERCENT for index in group.tolist()])
    return chosen
