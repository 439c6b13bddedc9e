"""Thumbnails of one version, kept while somebody looks at them and made ahead of need; each sharp and blurred.

In memory only: what a filter is about to remove is not copied to another place on the disk.
"""

from __future__ import annotations

import base64
import io
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from PIL import Image

from tasks.lake import Version
from tasks.reporting.pictures import thumbnails

SIZE: Final = 512  # pixels of the longer side
BLURRED: Final = 14  # pixels of the longer side that are left of a blurred one: composition, no detail
KEPT: Final = 400  # thumbnails in memory, some 50 kB each
CHUNK: Final = 8  # made at once in the background


class Thumbnail(NamedTuple):
    """Data URIs of the same proportions. `blurred` is made of 14 pixels: nobody can sharpen it again."""

    sharp: str
    blurred: str


class ThumbnailCache:
    """Thumbnails by row of a version. Any thread may ask."""

    def __init__(self, version: Version) -> None:
        self._version = version
        self._kept: OrderedDict[int, Thumbnail | None] = OrderedDict()
        self._lock = threading.Lock()
        self._ahead: list[int] = []
        self._worker = ThreadPoolExecutor(1, "thumbnails")

    def get(self, rows: Sequence[int]) -> dict[int, Thumbnail | None]:
        """Row → thumbnail; None where the source is gone, changed since, or not an image."""
        found = self._known(rows)
        missing = [row for row in rows if row not in found]
        return found | self._make(missing) if missing else found

    def prefetch(self, rows: Sequence[int]) -> None:
        """Make thumbnails that will soon be wanted, and return at once.

        Nothing happens while half of them are there: the pool is opened for many at a time, not for each.
        """
        known = self._known(rows)
        missing = [row for row in rows if row not in known]
        if 2 * len(missing) < len(rows):
            return
        with self._lock:
            idle, self._ahead = not self._ahead, missing
        if idle and missing:
            self._worker.submit(self._work)

    def _work(self) -> None:
        while True:
            with self._lock:
                rows, self._ahead = self._ahead[:CHUNK], self._ahead[CHUNK:]
            if not rows:
                return
            self.get(rows)

    def _known(self, rows: Sequence[int]) -> dict[int, Thumbnail | None]:
        with self._lock:
            found = {row: self._kept[row] for row in rows if row in self._kept}
            for row in found:
                self._kept.move_to_end(row)
        return found

    def _make(self, rows: Sequence[int]) -> dict[int, Thumbnail | None]:
        sharp = thumbnails(self._version, rows, SIZE)
        made = {row: Thumbnail(uri, blurred(uri)) if uri is not None else None for row, uri in sharp.items()}
        with self._lock:
            self._kept.update(made)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return made


def blurred(uri: str, longest: int = BLURRED) -> str:
    """A thumbnail's data URI → one of the same proportions made of `longest` pixels: coarse patches of colour."""
    image = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")
    coarse = image.resize(_within(image.size, longest), Image.Resampling.BOX)
    out = io.BytesIO()
    coarse.resize(_within(image.size, 128), Image.Resampling.BICUBIC).save(out, "WEBP", quality=60, method=2)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()


def _within(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Width and height of the same proportions, in pixels, the longer of them `longest`."""
    width, height = (max(1, round(side * longest / max(size))) for side in size)
    return width, height
