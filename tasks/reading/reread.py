"""A shard read again: each sample with its row of the samples file, refused where it is no longer what ingest read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tasks.errors import PoolError
from tasks.files import read_table
from tasks.reading.pools import Raw, Shard, read_shard
from tasks.reading.tombstones import FORGOTTEN

Pair = tuple[Raw | None, dict[str, Any] | None]  # of a shard that is unchanged both are there


def pairs(shard: Shard, samples: Path, max_bytes: int) -> Iterator[Pair]:
    """The shard's samples in order, each with what the part's samples file says of it; not checked."""
    raws = (raw for raw in read_shard(shard, max_bytes) if isinstance(raw, Raw))
    return zip_longest(raws, read_table(samples, ["status", "reason", "sha256"]).to_pylist())


def checked(shard: Shard, pair: Pair) -> tuple[Raw, dict[str, Any]]:
    """The sample and its row, where it is what ingest read. PoolError where the shard has changed."""
    raw, row = pair
    if raw is not None and row is not None and row["reason"] == FORGOTTEN:
        return raw, row  # its digest was forgotten too
    sha256 = None if raw is None or raw.image is None else hashlib.sha256(raw.image).hexdigest()
    if raw is None or row is None or row["sha256"] != sha256:
        place = "its end" if raw is None else f"sample {raw.key}"
        raise PoolError(
            f"{shard.path}: the shard changed while it was worked on: at {place} it is not what ingest read; "
            "run `sluice curate` again when nothing writes to the pool"
        )
    return raw, row
