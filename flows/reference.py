"""The reference set of deduplication: embedded as the pool was, once, and kept in the lake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tasks.duplicates.reference import Reference, reference_key
from tasks.errors import PoolError
from tasks.files import write_json
from tasks.lake import Lake, Version
from tasks.reading.pools import list_shards, shard_digest

if TYPE_CHECKING:
    from flows.config import CurateConfig


def digest_of(lake: Lake, source: str) -> str:
    """Of the reference set's files. PoolError where there is none."""
    try:
        shards = list_shards(source)[1]
    except PoolError as problem:
        raise PoolError(f"dedup.reference: {problem}") from None
    return lake.key([[shard.path, shard_digest(shard, lake.digest)] for shard in shards])


def read_reference(version: Version, config: CurateConfig) -> Reference | None:
    """The vectors of the images that [dedup] reference names, if it does.

    PoolError: no images there. EncoderError: the pool came with its embeddings, or the encoder is another.
    """
    from tasks.searching.search_images import embedder_of, read_images

    if config.dedup.reference is None:
        return None
    lake, digest = version.lake, digest_of(version.lake, config.dedup.reference)
    key = reference_key(version, digest)
    if not lake.has_artifact("reference", key):
        found = read_images(Path(config.dedup.reference), version, embedder_of(version, config.embed)[0])
        with lake.new_artifact("reference", key) as folder:
            np.save(folder / "vectors.npy", found.vectors)
            write_json(folder / "facts.json", {"unusable": len(found.unusable)})
    folder = lake.artifact_path("reference", key)
    unusable = json.loads((folder / "facts.json").read_text("utf-8"))["unusable"]
    return Reference(np.load(folder / "vectors.npy"), digest, unusable)
