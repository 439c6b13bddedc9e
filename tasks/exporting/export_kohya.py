"""Folders for kohya's sd-scripts: `{num_repeats}_{pool}` with images and captions, and the TOML that names them.

sd-scripts (kohya-ss/sd-scripts, library/config_util.py and train_util.py) repeats whole folders: one folder a level of
repeats. It ignores folders of fewer than one repeat, reads images by five endings, and of a caption the first line.
"""

from __future__ import annotations

import dataclasses
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from PIL import Image

from tasks.errors import UsageError
from tasks.exporting import repeats
from tasks.exporting.export_folder import Weighted, identity, new_folder, weighted
from tasks.files import read_table, write_json, write_text
from tasks.lake import Version
from tasks.reading.images import FORMATS
from tasks.reading.reread import checked, pairs
from tasks.reading.sources import source_shards, unchanged

DATASET: Final = "dataset.toml"
ENDINGS: Final = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp", "BMP": "bmp"}  # what sd-scripts looks for
_BREAK: Final = re.compile(r"\s*[\r\n]+\s*")


@dataclasses.dataclass(frozen=True)
class Config:
    """How weights become folders."""

    factor: float = 4.0  # repeats per unit of weight; weights below 1/factor are raised to one repeat
    folders: int = 10  # levels of repeats at most
    seed: int = 0  # of the rounding

    def __post_init__(self) -> None:
        repeats.check_factor(self.factor)
        if self.folders < 2:
            raise UsageError(f"folders: at least 2 were expected, {self.folders} was found")


class _Sample(NamedTuple):
    uid: str
    caption: str
    image: bytes
    repeats: int


def export_kohya(version: Version, out: Path, source_root: str | None = None, config: Config | None = None) -> Path:
    """Write the folders, dataset.toml and export.json to `out`; returns export.json.

    Images are the pool's bytes, named by uid: no key or member name becomes a path. Captions are one line each, as the
    trainer reads one. Where weight x factor is below 1 the sample is repeated once, more than its share: export.json
    says how many, what share of the epoch that adds, and the factor at which there are none. GIF and TIFF, which the
    trainer does not look for, are left out and named there. `source_root` is where the pool lies now.

    Raises:
        UsageError: no kept sample, no weights, `out` holds something.
        PoolError: a shard is gone or has changed since.
    """
    config = config or Config()
    samples = weighted(version)
    values = samples.weights * config.factor
    counts = repeats.repeats(values, samples.uids, config.seed, repeats.grid(values.max(), config.folders))
    images: Counter[int] = Counter()
    left_out = []
    with new_folder(out) as folder:
        for sample in _survivors(version, samples, counts, source_root):
            kind = _format(sample.image)
            if kind in ENDINGS:
                _write(folder / _folder(version, sample.repeats), sample, ENDINGS[kind])
                images[sample.repeats] += 1
            else:
                left_out.append({"uid": sample.uid, "format": kind})
        if not images:
            raise UsageError(f"none of {len(left_out):,} kept images is JPEG, PNG, WebP or BMP; kohya reads no other")
        levels = {_folder(version, level): level for level in sorted(images)}
        write_text(folder / DATASET, _toml(Path(out).resolve(), levels))
        facts = {"format": "kohya", **identity(version), **_epoch(values, images, config), "left_out": left_out}
        write_json(folder / "export.json", facts)
    return Path(out) / "export.json"


def _survivors(
    version: Version, samples: Weighted, counts: repeats.Integers, source_root: str | None
) -> Iterator[_Sample]:
    """The kept samples, streamed from their shards in order; one is in memory."""
    shards = source_shards(version, source_root)
    of_row = np.zeros(version.rows, np.int64)
    of_row[samples.rows] = counts
    start = 0
    for part in version.parts:
        wanted = of_row[start : start + part.rows]
        start += part.rows
        if not wanted.any():
            continue
        shard, path = unchanged(version, part, shards), version.column_path("samples", part)
        facts = read_table(path, ["uid", "caption"])
        for row, pair in enumerate(pairs(shard, path, max_bytes=1 << 40)):
            if row >= part.rows or wanted[row]:
                raw, _ = checked(shard, pair)
                uid, caption = facts["uid"][row].as_py(), facts["caption"][row].as_py()
                yield _Sample(uid, caption, raw.image or b"", int(wanted[row]))


def _format(image: bytes) -> str:
    return Image.open(io.BytesIO(image), formats=FORMATS).format or "unknown"


def _folder(version: Version, level: int) -> str:
    return f"{level}_{version.lake.pool}"


def _write(folder: Path, sample: _Sample, ending: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{sample.uid}.{ending}").write_bytes(sample.image)
    (folder / f"{sample.uid}.txt").write_bytes(_BREAK.sub(" ", sample.caption.strip()).encode())


def _toml(out: Path, levels: dict[str, int]) -> str:
    """The dataset configuration. Its paths are absolute: the trainer resolves others where it is started."""
    lines = ["[general]", 'caption_extension = ".txt"', "", "[[datasets]]"]
    for name, level in levels.items():
        image_dir = json.dumps(str(out / name), ensure_ascii=False).replace("\x7f", "\\u007f")
        lines += ["", "[[datasets.subsets]]", f"image_dir = {image_dir}", f"num_repeats = {level}"]
    return "\n".join(lines) + "\n"


def _epoch(values: repeats.Floats, images: Counter[int], config: Config) -> dict[str, Any]:
    """What one epoch consists of, and what raising to one repeat adds to it."""
    low = values[values < 1]
    return {
        "samples": images.total(),
        "images_an_epoch": sum(level * count for level, count in images.items()),
        **dataclasses.asdict(config),
        "subsets": [{"num_repeats": level, "images": images[level]} for level in sorted(images)],
        "raised": {
            "samples": len(low),
            "share_added": float((1 - low).sum() / np.maximum(values, 1).sum()),
            "factor_without": float(config.factor / values.min()),
        },
    }
