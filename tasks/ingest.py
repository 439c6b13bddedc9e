"""Ingest: every sample of every shard gets a place, part and row; what cannot be used is quarantined with a reason.

The image is decoded here, once. A `Sink` given by the flow receives each decoded image while the shard is read, so that
embedding costs no second read and no second decode.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from tasks import samples
from tasks.errors import ConfigError
from tasks.files import read_table, write_table
from tasks.lake import Lake, MapParts, Part, Version
from tasks.reading import tombstones
from tasks.reading.ahead import in_order
from tasks.reading.images import FORMATS, ImageProblem, decode
from tasks.reading.pools import Broken, Raw, Shard, bytes_of, expect_files, failed_rows, read_shard
from tasks.reading.tombstones import Tombstones

REVISION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    formats: tuple[str, ...] = FORMATS  # Pillow's names of the formats that are decoded
    max_pixels: int = 80_000_000  # width × height above which an image is a decompression bomb
    max_bytes: int = 256 << 20  # bytes of one image file

    def __post_init__(self) -> None:
        unknown = sorted(set(self.formats) - set(FORMATS))
        if unknown:
            raise ConfigError(f"ingest.formats: {', '.join(FORMATS)} can be decoded, not {', '.join(unknown)}")
        if not 1 <= self.max_pixels <= 89_000_000:
            raise ConfigError(f"ingest.max_pixels: 1 to 89,000,000 was expected, {self.max_pixels} was found")
        if self.max_bytes < 1:
            raise ConfigError(f"ingest.max_bytes: at least 1 was expected, {self.max_bytes} was found")


class PartSink(Protocol):
    """Takes one part's images in row order and writes what it makes of them."""

    def prepare(self, image: Image.Image) -> Any: ...
    def put(self, prepared: Any | None) -> None: ...
    def finish(self) -> None: ...


Sink = Callable[[str], PartSink | None]  # a part's name → its sink, or None where that work is done already


def examine(raw: Raw, config: Config) -> tuple[dict[str, Any], Image.Image | None]:
    """One sample's facts and its decoded image; the image is None where the sample is quarantined."""
    sha256 = hashlib.sha256(raw.image or b"").hexdigest()
    caption, caption_problem = _caption(raw.caption)
    row: dict[str, Any] = {
        "uid": samples.uid_of(raw.uid, raw.url, sha256, raw.key), "key": raw.key, "member": raw.member,
        "offset": raw.offset, "caption": caption, "width": None, "height": None,
        "sha256": sha256 if raw.image is not None else None, "status": samples.OK, "reason": None,
    }  # fmt: skip
    image, image_problem = None, samples.MISSING_IMAGE
    if raw.image is not None and raw.problem not in (samples.TRUNCATED_TAR, samples.TOO_MANY_BYTES):
        try:
            image, image_problem = decode(raw.image, config.max_pixels, config.formats), ""
            row["width"], row["height"] = image.size
        except ImageProblem as problem:
            image_problem = str(problem)
    reason = raw.problem or image_problem or caption_problem
    if reason:
        row["status"], row["reason"], image = samples.QUARANTINED, reason, None
    return row, image


def _caption(caption: bytes | str | None) -> tuple[str | None, str | None]:
    """The caption as text, or the reason why it is none."""
    if caption is None:
        return None, samples.MISSING_CAPTION
    try:
        text = caption.decode("utf-8") if isinstance(caption, bytes) else caption
        text.encode("utf-8")  # a JSON escape can name half a surrogate pair
    except UnicodeError:
        return None, samples.CAPTION_NOT_UTF8
    return (text, None) if text.strip() else (text, samples.EMPTY_CAPTION)


def ingest_part(
    item: tuple[Shard, str, str], config: Config, sink: Sink | None, decoders: int, stones: Tombstones = tombstones.NONE
) -> int:
    """Read one shard and write its part's samples; the sink writes what it makes of the images on the way.

    Returns the samples that it held.

    `item` is the shard, the part's name and the path to write. Of what was forgotten only its place is written.
    """
    shard, part, path = item
    expect_files(shard)
    writer = sink(part) if sink is not None else None
    rows: list[dict[str, Any]] = []
    broken: list[str] = []

    def work(raw: Raw) -> tuple[dict[str, Any], Any | None]:
        row, image = examine(raw, config)
        if (refused := tombstones.refuse(row, stones)) is not None:
            row, image = refused, None
        return row, writer.prepare(image) if writer is not None and image is not None else None

    for row, prepared in in_order(work, _without_break(shard, config, broken), decoders, bytes_of):
        rows.append(row)
        if writer is not None:
            writer.put(prepared)
    if writer is not None:
        writer.finish()
    table = pa.Table.from_pylist(rows, schema=samples.SAMPLES)
    write_table(Path(path), table.replace_schema_metadata({"broken": broken[0]} if broken else {}))
    return len(rows)


def _without_break(shard: Shard, config: Config, broken: list[str]) -> Iterator[Raw]:
    for item in read_shard(shard, config.max_bytes):
        if isinstance(item, Broken):
            broken.append(item.why)
        else:
            yield item


def samples_key(lake: Lake, config: Config) -> str:
    """The key of the samples group: what names its rows."""
    return lake.key("samples", REVISION, dataclasses.asdict(config))


def run(
    version: Version,
    config: Config,
    map_parts: MapParts,
    shards: list[tuple[Shard, str]],
    sink: Sink | None,
    decoders: int,
) -> Version:
    """Samples of every shard (each with its content's digest), and the first decision: usable or quarantined."""
    settings = dataclasses.asdict(config)
    key = samples_key(version.lake, config)
    stones = tombstones.read_tombstones(version.lake)
    named = named_parts(shards)
    paths = {part: version.lake.column_path("samples", key, part) for part in named}
    items = [(shard, part, str(paths[part])) for part, (shard, _) in named.items() if not paths[part].exists()]
    map_parts(partial(ingest_part, config=config, sink=sink, decoders=decoders, stones=stones), items)
    draft = version.derive("ingest", columns={"samples": key}, config=settings)
    parts = tuple(_part(draft, name, shard, digest) for name, (shard, digest) in named.items())
    draft = dataclasses.replace(draft, parts=parts)
    table = draft.table("samples", ["uid", "status", "reason", "sha256"])
    decision = decide(table)
    decision_key = version.lake.key("ingest", REVISION, key, [[part.path, part.part] for part in parts], *stones.marks)
    draft.write_decision(decision, decision_key)
    return draft.derive("ingest", columns={"decision": decision_key}, summary=summarise(draft, table, decision))


def named_parts(shards: list[tuple[Shard, str]]) -> dict[str, tuple[Shard, str]]:
    """Shards with their digests by the name of their part, in path order.

    The name comes from the content, so a renamed shard is the same part. A second shard of the same content is a part
    of its own: its samples have verdicts of their own (they repeat the first one's uids).
    """
    named: dict[str, tuple[Shard, str]] = {}
    for shard, digest in sorted(shards, key=lambda pair: pair[0].path):
        name, copies = digest[:16], 1
        while name in named:
            copies += 1
            name = Lake.key("copy of a shard", digest, copies)
        named[name] = (shard, digest)
    return named


def _part(draft: Version, name: str, shard: Shard, digest: str) -> Part:
    """What the version records of a shard."""
    part = Part(name, shard.path, digest, 0, failed_rows(shard))
    table = read_table(draft.column_path("samples", part), ["status"])
    broken = (table.schema.metadata or {}).get(b"broken")
    return dataclasses.replace(part, rows=table.num_rows, broken=broken.decode() if broken else None)


def decide(table: pa.Table) -> pa.Table:
    """The verdict of each sample after ingest; a uid that an earlier usable sample has is quarantined."""
    seen: set[str] = set()
    reasons: list[str | None] = []
    for uid, status, reason in zip(*(table[name].to_pylist() for name in ("uid", "status", "reason")), strict=True):
        if status == samples.OK and uid in seen:
            reason = samples.DUPLICATE_UID
        elif status == samples.OK:
            seen.add(uid)
        reasons.append(reason)
    return decision_of(reasons, "ingest")


def decision_of(reasons: list[str | None], stage: str) -> pa.Table:
    """A decision table that quarantines where there is a reason and keeps the rest."""
    rows = len(reasons)
    columns = {
        "verdict": [samples.KEPT if reason is None else samples.QUARANTINED for reason in reasons],
        "stage": [None if reason is None else stage for reason in reasons],
        "reason": reasons,
        "duplicate_of": [None] * rows,
        "duplicate_similarity": [None] * rows,
        "weight": [None] * rows,
    }
    return pa.table(columns, schema=samples.DECISION)


def summarise(draft: Version, table: pa.Table, decision: pa.Table) -> dict[str, Any]:
    """What ingest saw, for the report and the gate."""
    reasons = Counter(reason for reason in decision["reason"].to_pylist() if reason is not None)
    kept = pc.equal(decision["verdict"], samples.KEPT)
    usable = table["sha256"].filter(kept)
    return {
        "shards": len(draft.parts),
        "read": draft.rows,
        "quarantined": dict(sorted(reasons.items())),
        "failed_rows": sum(part.failed_rows for part in draft.parts),
        "broken_shards": {part.path: part.broken for part in draft.parts if part.broken},
        "exact_copies": len(usable) - pc.count_distinct(usable).as_py(),
    }
