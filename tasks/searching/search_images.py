"""Images to search for: read from a file, folder or shards, decoded as safely as a pool's, embedded as the pool was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tasks import embed
from tasks.embed import Embedder
from tasks.errors import EncoderError
from tasks.lake import Version
from tasks.reading.ahead import in_order
from tasks.reading.images import ImageProblem, decode
from tasks.reading.pools import Broken, Raw, bytes_of, list_shards, read_shard
from tasks.reading.raw import READABLE, Shard, ending_of
from tasks.reporting.pictures import data_uri
from tasks.samples import MISSING_IMAGE, TOO_MANY_BYTES, TRUNCATED_TAR, UNREADABLE_IMAGE

DECODERS: Final = 2  # threads beside the forward pass
PIXELS: Final = 160  # of a thumbnail's longer side


class Unusable(NamedTuple):
    """An image that was given and could not be searched for."""

    name: str
    reason: str  # as ingest would quarantine it


@dataclass(frozen=True)
class Images:
    """The n images that were given and can be searched for, in order."""

    names: tuple[str, ...]  # path of the file below the folder, or shard and member
    sha256: tuple[str, ...]  # of the images' bytes
    vectors: NDArray[np.float16]  # (n, d) unit norm
    unusable: tuple[Unusable, ...]

    @property
    def given(self) -> int:
        return len(self.names) + len(self.unusable)


def embedder_of(version: Version, config: embed.Config | None = None) -> tuple[Embedder, str | None]:
    """What embedded the version, and a remark on it where that cannot be checked.

    `config` is the [embed] section of the pool's configuration, needed where the encoder is a file: a version records
    no paths. EncoderError where it is not the encoder that made the version's embeddings.
    """
    recorded = version.config["embed"]
    asked = config or embed.Config(**recorded)
    given = recorded.get("embeddings") is not None
    if given and asked.embeddings is not None:
        raise EncoderError(
            "the pool came with its embeddings, so no encoder is recorded that could embed other images; name the one "
            "that made them as [embed] model and pretrained in a file for --config"
        )
    try:
        key, found = embed.embedder(version.lake, asked, version.columns["samples"])
    except EncoderError as problem:
        raise EncoderError(f"{problem}; --config names the file that the pool was curated with") from None
    if found is None or (not given and key != version.columns["embedding"]):
        raise EncoderError(
            f"the encoder that embedded version {version.number} was expected ({recorded['model']}, weights of sha256 "
            f"{version.summary['embed']['weights']}), another was found; give the pool's own configuration as --config"
        )
    return found, "that the pool's embeddings are this encoder's is the caller's word" if given else None


def read_images(source: Path, version: Version, sink: Embedder) -> Images:
    """Every image of a file, folder or shard. PoolError where there is none; broken ones are named, not raised."""
    from tasks.encoding.encoder import encoder

    limits, model = version.config["ingest"], encoder(sink.spec)
    crops = sink.crops != 1
    prepare, encode = (model.prepare_crops, model.encode_crops) if crops else (model.prepare, model.encode)

    def work(item: tuple[str, Raw | Broken]) -> _Read:
        return _read(item, limits, prepare)

    done: list[_Read] = []
    vectors = [np.empty((0, model.dimension), np.float16)]
    waiting: list[Any] = []
    for read in in_order(work, _raws(source, limits["max_bytes"]), DECODERS, lambda item: bytes_of(_raw(item))):
        done.append(read._replace(prepared=None))
        waiting += [] if read.reason else [read.prepared]
        if len(waiting) == sink.batch:
            vectors.append(encode(waiting))
            waiting = []
    if waiting:
        vectors.append(encode(waiting))
    good = [read for read in done if not read.reason]
    return Images(
        tuple(read.name for read in good),
        tuple(read.sha256 for read in good),
        np.concatenate(vectors),
        tuple(Unusable(read.name, read.reason) for read in done if read.reason),
    )


class _Read(NamedTuple):
    name: str
    sha256: str
    prepared: Any  # the encoder's input
    reason: str  # why it is unusable; empty where it is not


def _raws(source: Path, max_bytes: int) -> Iterator[tuple[str, Raw | Broken]]:
    """Each image of the source with its name; what ended a shard early comes last of it."""
    if source.is_file() and ending_of(source.name) in READABLE:
        shards = [Shard(source.name, "folder", (str(source),))]
    else:
        shards = list_shards(str(source))[1]
    for shard in shards:
        path = PurePosixPath(shard.path)
        place = path.parent if shard.layout == "folder" else path  # a folder's shard is a number of its images
        for item in read_shard(shard, max_bytes):
            yield str(place if isinstance(item, Broken) else place / (item.member or item.key)), item


def _raw(item: tuple[str, Raw | Broken]) -> Raw | None:
    return item[1] if isinstance(item[1], Raw) else None


def _read(item: tuple[str, Raw | Broken], limits: Mapping[str, Any], prepare: Callable[[Any], Any]) -> _Read:
    """One image decoded and prepared, or why it cannot be. Captions, keys and uids do not matter here."""
    name, raw = item
    if isinstance(raw, Broken):
        return _Read(name, "", None, f"the shard ends early: {raw.why}")
    try:
        image = _decoded(raw, limits)
    except ImageProblem as problem:
        return _Read(name, "", None, str(problem))
    return _Read(name, hashlib.sha256(raw.image or b"").hexdigest(), prepare(image), "")


def _decoded(raw: Raw, limits: Mapping[str, Any]) -> Image.Image:
    """Raises ImageProblem with the reason for which ingest would quarantine the image."""
    if raw.problem in (TRUNCATED_TAR, TOO_MANY_BYTES, UNREADABLE_IMAGE):
        raise ImageProblem(raw.problem)
    if raw.image is None:
        raise ImageProblem(MISSING_IMAGE)
    return decode(raw.image, limits["max_pixels"], tuple(limits["formats"]))


def thumbnails_of(source: Path, version: Version, names: Collection[str]) -> dict[str, str]:
    """Name → data URI of those images, read once more; what cannot be had any more is left out."""
    limits = version.config["ingest"]
    found = {}
    for name, raw in _raws(source, limits["max_bytes"]):
        if name in names and isinstance(raw, Raw):
            with suppress(ImageProblem):
                found[name] = data_uri(_decoded(raw, limits), PIXELS)
    return found
