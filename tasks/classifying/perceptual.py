"""The team's own recogniser of known images, shown every image of a pool, part by part.

Perceptual hashes find re-encoded and resized copies, which a sha256 does not; their lists and often their programs are
given to a team under agreements of its own. So Sluice brings none, and calls a function that the team names.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from tasks.errors import ConfigError, SluiceError
from tasks.files import read_table, write_table
from tasks.lake import MapParts, Version
from tasks.reading.images import ImageProblem, decode
from tasks.reading.raw import Shard
from tasks.reading.reread import Pair, checked, pairs
from tasks.reading.sources import source_shards, unchanged
from tasks.samples import OK

REVISION: Final = 1
HOOK: Final = "filter.blocklist.perceptual"  # the setting that names the function
GROUP: Final = "perceptual"  # the column group of what the hook said
IMAGES, PIXELS = 64, 64_000_000  # that the hook is given at a time, at most; a larger image comes alone
FLAGS: Final = pa.schema([("blocked", pa.bool_())])

Hook = Callable[[list[Image.Image]], Sequence[bool]]


def hash_missing(version: Version, name: str, hook_version: str, map_parts: MapParts) -> str:
    """The key of group `perceptual`; parts that lack it are read again and shown to the hook "module:function".

    Raises ConfigError where the hook cannot be imported, SluiceError where it fails, PoolError where a shard that is
    needed is gone or has changed.
    """
    key = version.lake.key(GROUP, REVISION, name, hook_version, version.columns["samples"])
    out = {part: version.lake.column_path(GROUP, key, part.part) for part in version.parts}
    missing = [part for part in version.parts if not out[part].exists()]
    if missing:
        hook_of(name)  # refused here, before any worker begins
        shards = source_shards(version)
        jobs = [
            Job(unchanged(version, part, shards), str(version.column_path("samples", part)), str(out[part]))
            for part in missing
        ]
        map_parts(partial(hash_part, name=name, limits=version.config["ingest"]), jobs)
    return key


@dataclass(frozen=True)
class Job:
    """A part that the hook has not seen."""

    shard: Shard
    samples: str  # the part's samples file
    out: str


def hash_part(job: Job, name: str, limits: Mapping[str, Any]) -> None:
    """Read a shard again, show its images to the hook, and write one flag a sample.

    `limits` are ingest's. Samples that ingest put into quarantine are shown as well where they have an image.
    """
    hook = hook_of(name)
    flags = np.zeros(read_table(Path(job.samples), ["status"]).num_rows, np.bool_)
    for rows, images in _batches(_images(job, limits)):
        flags[rows] = ask(hook, images, name, job.shard.path)
    write_flags(Path(job.out), flags)


def hook_of(name: str) -> Hook:
    """The function that "module:function" names. ConfigError where it cannot be imported."""
    module, _, function = name.partition(":")
    hook, problem = _tried(lambda: getattr(importlib.import_module(module), function))
    if problem:
        raise ConfigError(
            f"{HOOK}: {name} cannot be imported ({problem}); install its module beside Sluice and workers"
        )
    if not callable(hook):
        raise ConfigError(f"{HOOK}: {name}: a function was expected, {type(hook).__name__} was found")
    return cast(Hook, hook)


def ask(hook: Hook, images: list[Image.Image], name: str, shard: str) -> NDArray[np.bool_]:
    """(images,) what the hook says of them. SluiceError, naming the shard: it raised, or gave no bool an image."""
    again = "correct it and run the same command again: parts that are done stay done"
    flags, problem = _tried(lambda: np.asarray(hook(images)))
    if problem:
        raise SluiceError(f"{shard}: {HOOK}: {name} failed ({problem}); {again}")
    if flags.shape != (len(images),) or flags.dtype != np.bool_:
        raise SluiceError(
            f"{shard}: {HOOK}: {name}: {len(images)} bools were expected, one an image, an array of "
            f"{flags.dtype} and shape {flags.shape} was found; {again}"
        )
    return flags


def _tried(action: Callable[[], Any]) -> tuple[Any, str]:
    """What foreign code gives, or what it raises, as text: the exception itself may not reach another process."""
    try:
        return action(), ""
    except Exception as problem:
        return None, f"{type(problem).__name__}: {problem}"


def _images(job: Job, limits: Mapping[str, Any]) -> Iterator[Image.Image | None]:
    """The image of each sample; None where there is none, or none that can be decoded within the limits."""
    for pair in pairs(job.shard, Path(job.samples), limits["max_bytes"]):
        yield _image(job.shard, pair, limits)


def _image(shard: Shard, pair: Pair, limits: Mapping[str, Any]) -> Image.Image | None:
    raw, row = checked(shard, pair)
    try:
        return decode(raw.image or b"", limits["max_pixels"], tuple(limits["formats"]))
    except ImageProblem as problem:
        if row["status"] != OK:
            return None
        raise SluiceError(
            f"{shard.path}: sample {raw.key} was decoded by ingest and is not now ({problem}), so the blocklist cannot "
            "judge it; see that the workers have memory enough, then run the same command again"
        ) from None


def _batches(images: Iterator[Image.Image | None]) -> Iterator[tuple[list[int], list[Image.Image]]]:
    """Row numbers and images, as many as IMAGES and PIXELS allow."""
    rows: list[int] = []
    waiting: list[Image.Image] = []
    pixels = 0
    for row, image in enumerate(images):
        if image is None:
            continue
        size = image.width * image.height
        if rows and (len(rows) == IMAGES or pixels + size > PIXELS):
            yield rows, waiting
            rows, waiting, pixels = [], [], 0
        rows.append(row)
        waiting.append(image)
        pixels += size
    if rows:
        yield rows, waiting


def read_flags(path: Path) -> NDArray[np.bool_]:
    """(rows,)"""
    return np.asarray(read_table(path, FLAGS.names)["blocked"], dtype=np.bool_)


def write_flags(path: Path, flags: NDArray[np.bool_]) -> None:
    write_table(path, pa.table([pa.array(flags)], schema=FLAGS))
