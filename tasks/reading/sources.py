"""From a version back to the pool that it was made from: which shard a part is, and whether it is still the same."""

from __future__ import annotations

import json

from tasks.errors import PoolError
from tasks.lake import Lake, Part, Version
from tasks.reading.pools import Shard, file_shard, is_file, list_shards, shard_digest
from tasks.storing.addresses import is_address, located_pool


def source_of(lake: Lake) -> str:
    """The folder, shard, glob or brace list that the pool was read from."""
    return str(json.loads((lake.home / "pool.json").read_text("utf-8"))["source"])


def source_shards(version: Version, source: str | None = None) -> dict[str, Shard]:
    """The pool's shards by path. PoolError where the source is not there."""
    _, shards = list_shards(source or source_of(version.lake))
    return {shard.path: shard for shard in shards}


def shards_by_path(version: Version) -> dict[str, Shard]:
    """The shards of the version's parts, for who looks at a few samples: what paths tell is not asked of a store.

    A shard may be gone, or another one. PoolError where the source is not there.
    """
    source = source_of(version.lake)
    if is_address(source) and all(is_file(part.path) for part in version.parts):
        root = located_pool(source)
        return {part.path: file_shard(root, root / part.path) for part in version.parts}
    return source_shards(version)


def unchanged(version: Version, part: Part, shards: dict[str, Shard]) -> Shard:
    """The part's shard. PoolError where it is gone, or is not what the version was made from."""
    shard = shards.get(part.path)
    if shard is None:
        raise PoolError(f"{part.path}: the shard is no longer in the pool; restore it, or curate the pool again")
    digest = shard_digest(shard, version.lake.digest)
    if digest != part.digest:
        raise PoolError(
            f"{part.path}: the shard has changed since the version was made (digest {part.digest[:16]} was expected, "
            f"{digest[:16]} was found); restore it, or curate the pool again"
        )
    return shard
