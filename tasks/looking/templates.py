"""Near-duplicates that differ in a region: a clock's hands, a flag's emblem, the number on a playing card.

A global similarity either removes all but one of them or lets all pass, and only a picture tells which is right. Two
pictures are of one template where most of what is drawn is equal and what differs lies together:

- each is drawn on white, SIDE pixels along the longer side, and one is shifted by up to SHIFT pixels to fit the other;
- a pixel's difference is the largest over channels, to the most similar of the nine pixels around its place in the
  other picture, in whichever direction is larger: edges that moved by less than a pixel do not count;
- ink is where either differs from its border's median colour by more than CHANGED; changed is ink whose difference is
  above CHANGED; `equal` is the share of the ink that is not changed;
- the region is the connected changed part, within one pixel, that holds most of the changes; `within` is its share.

A template pair has equal ≥ EQUAL, within ≥ WITHIN, at least LEAST changed pixels, and a median difference over the ink
of at most CALM: recoloured or redrawn pictures differ everywhere. Its `rank` is equal · within · contrast, where
contrast is the mean difference in the region, from 0 to 1.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE: Final = 64
SHIFT: Final = 2
CHANGED: Final = 40  # levels of 255
CALM: Final = 16
EQUAL, WITHIN, LEAST = 0.6, 0.6, 10
AROUND: Final = tuple((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1))
SHIFTS: Final = tuple(
    sorted(
        ((down, right) for down in range(-SHIFT, SHIFT + 1) for right in range(-SHIFT, SHIFT + 1)),
        key=lambda shift: abs(shift[0]) + abs(shift[1]),
    )
)  # pixels, the smallest first


class Difference(NamedTuple):
    """Where two pictures differ."""

    equal: float  # share of the ink that is equal
    within: float  # share of the changed pixels that are in the region
    contrast: float  # mean difference in the region, 0 to 1
    calm: float  # median difference over the ink, levels
    changed: int  # pixels
    box: tuple[
        float, float, float, float
    ]  # the region in shares of the first picture's square: left, top, width, height

    @property
    def rank(self) -> float:
        return self.equal * self.within * self.contrast

    @property
    def local(self) -> bool:
        return self.changed >= LEAST and self.equal >= EQUAL and self.within >= WITHIN and self.calm <= CALM


def square(image: Image.Image) -> NDArray[np.int16]:
    """An RGB picture as (3, SIDE, SIDE), in the middle of a white square."""
    scale = SIDE / max(image.size)
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    white = Image.new("RGB", (SIDE, SIDE), "white")
    white.paste(image.resize(size, Image.Resampling.BOX), ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return np.ascontiguousarray(np.asarray(white).transpose(2, 0, 1), np.int16)


def compare(first: NDArray[np.int16], second: NDArray[np.int16]) -> Difference:
    """Two (3, SIDE, SIDE) pictures of levels 0 to 255."""
    from scipy import ndimage

    second = _aligned(first, second)
    apart = np.maximum(_apart(first, second), _apart(second, first))
    ink = _ink(first) | _ink(second)
    changed = ink & (apart > CHANGED)
    drawn, count = int(ink.sum()), int(changed.sum())
    calm = float(np.median(apart[ink])) if drawn else 0.0
    if not count:
        return Difference(1.0, 0.0, 0.0, calm, 0, (0.0, 0.0, 0.0, 0.0))
    parts, _ = ndimage.label(ndimage.binary_dilation(changed, np.ones((3, 3), bool)), np.ones((3, 3), int))
    sizes = np.bincount(parts[changed])
    region = changed & (parts == sizes.argmax())
    contrast = float(apart[region].mean()) / 255
    return Difference(1 - count / drawn, float(sizes.max()) / count, contrast, calm, count, _box(region))


def _aligned(first: NDArray[np.int16], second: NDArray[np.int16]) -> NDArray[np.int16]:
    """The second picture, shifted by whole pixels to where it is most like the first; ties go to the smallest shift."""
    grey, other = first.sum(axis=0, dtype=np.int16), _edged(second.sum(axis=0, dtype=np.int16)[None], SHIFT)
    wrong = [np.abs(grey - _moved(other, SHIFT, shift)[0]).sum(dtype=np.int32) for shift in SHIFTS]
    return _moved(_edged(second, SHIFT), SHIFT, SHIFTS[int(np.argmin(wrong))])


def _apart(first: NDArray[np.int16], second: NDArray[np.int16]) -> NDArray[np.int16]:
    """Each pixel of the first to the most similar of the nine around its place in the second. (SIDE, SIDE)"""
    found = np.full((SIDE, SIDE), 255, np.int16)
    edged = _edged(second, 1)
    for shift in AROUND:
        red, green, blue = np.abs(first - _moved(edged, 1, shift))
        np.minimum(found, np.maximum(np.maximum(red, green), blue), out=found)
    return found


def _edged(picture: NDArray[np.int16], by: int) -> NDArray[np.int16]:
    """With so many pixels more on each side, which repeat the edge. (channels, SIDE + 2·by, SIDE + 2·by)"""
    place = np.clip(np.arange(-by, SIDE + by), 0, SIDE - 1)
    return picture.take(place, axis=1).take(place, axis=2)


def _moved(edged: NDArray[np.int16], by: int, shift: tuple[int, int]) -> NDArray[np.int16]:
    """The picture inside an edged one, moved down and right by at most `by` pixels."""
    down, right = by - shift[0], by - shift[1]
    return edged[:, down : down + SIDE, right : right + SIDE]


def _ink(picture: NDArray[np.int16]) -> NDArray[np.bool_]:
    border = np.concatenate([picture[:, 0], picture[:, -1], picture[:, :, 0], picture[:, :, -1]], axis=1)
    return np.abs(picture - np.median(border, axis=1)[:, None, None]).max(axis=0) > CHANGED


def _box(region: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    down, right = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    left, top = int(right[0]), int(down[0])
    return left / SIDE, top / SIDE, (int(right[-1]) + 1 - left) / SIDE, (int(down[-1]) + 1 - top) / SIDE
